"""`Penstock.Channels`: channels for a page, which can ask and read a stream, but has no connection for both directions."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

from penstock.channel import Channel
from penstock.errors import NotFound, StatusError
from penstock.node._base import NodeBase
from penstock.node._lookup import find
from penstock.node._sendable import sendable
from penstock.node.watch._types import ChannelEvent


class Channels:
    """The channels that pages have opened to the actors of one node. Each ends with the stream of its events."""

    service_name = "Penstock.Channels"

    def __init__(self, node: NodeBase) -> None:
        self._node = node
        self._open: dict[str, Channel[Any]] = {}

    async def open(self, actor: str, payload: Any = None) -> AsyncIterator[ChannelEvent]:
        """Open a channel to an actor, and iterate over what happens to it: "opened" first, "closed" last.

        Raises `ChannelRejected` with the reason, `NotFound`, and `DeadlineExceeded` after 30 s. Leaving the iteration closes
        the channel.
        """
        channel = await self._node.open_channel(find(self._node, actor).address, payload)
        number = secrets.token_urlsafe(8)
        self._open[number] = channel
        try:
            yield ChannelEvent("opened", number, sendable(channel.accepted))
            try:
                async for message in channel:
                    yield ChannelEvent("message", number, sendable(message))
            except StatusError as error:
                yield ChannelEvent("closed", number, reason=error.message)
            else:
                yield ChannelEvent("closed", number, reason=channel.reason)
        finally:
            del self._open[number]
            await channel.close("the page has left")

    async def send(self, channel: str, message: Any) -> None:
        """Send a message over a channel that was opened. Waits as `Channel.send`, and raises its errors, and `NotFound`."""
        await self._find(channel).send(message)

    async def close(self, channel: str, reason: str = "") -> None:
        """Close a channel that was opened; the stream of its events ends. Raises `NotFound`."""
        await self._find(channel).close(reason)

    def _find(self, number: str) -> Channel[Any]:
        channel = self._open.get(number)
        if channel is None:
            raise NotFound("this channel is not open any more", started=False)
        return channel
