"""Channels: two-way typed pipes that are opened, accepted or rejected, and closed with a reason. They know no actor."""

from penstock.channel._channel import OPEN_TIMEOUT_S, Channel, ChannelStatistics, is_in_use, when_left
from penstock.channel._local import local_channel
from penstock.channel._opening import accept_channel, open_channel

__all__ = [
    "OPEN_TIMEOUT_S",
    "Channel",
    "ChannelStatistics",
    "accept_channel",
    "is_in_use",
    "local_channel",
    "open_channel",
    "when_left",
]
