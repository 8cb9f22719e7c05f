"""`penstock channel open`: a conversation with an actor, at a prompt or in a pipe."""

from penstock.cli._node._channel._converse import open_channel, opening

__all__ = ["open_channel", "opening"]
