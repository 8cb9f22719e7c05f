"""Actors of this process, as other code of the process uses them: refs, streams and channels. Nothing here is encoded."""

from penstock.actors.local._channels import adopt, channel_call, handle_channel
from penstock.actors.local._ref import LocalRef

__all__ = ["LocalRef", "adopt", "channel_call", "handle_channel"]
