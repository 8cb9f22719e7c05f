"""Sending and receiving on a channel, by any `Sink` and `Source`. This module neither opens nor closes anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any, Generic, TypeVar

from penstock.channel._life import Life
from penstock.errors import StreamCancelled, StreamClosed
from penstock.observe import Kind
from penstock.streams import Sink, Source

T = TypeVar("T")


class Messages(Generic[T]):
    """What both ends of a channel can do while it is open."""

    __slots__ = ("_life", "_sink", "_source", "id")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self._life = Life()
        self._sink: Sink[Any] | None = None  # both from `accept` on
        self._source: Source[T] | None = None

    async def send(self, message: Any) -> None:
        """Send one message; waits while the other side has as many before it as its buffer holds.

        Raises `ChannelClosed` with the reason when either side has closed, `ConnectionLost`, or what the other side failed
        with. A cancelled `send` never delivers its message.
        """
        try:
            await self._sending().send(message)
        except (StreamClosed, StreamCancelled):
            raise self._life.refusal() from None
        if self._life.observer is not None:
            self._record("channel_message", direction="out", message=message)

    def send_nowait(self, message: Any) -> None:
        """Send one message, or raise `WouldBlock` when the other side has no room for it; else as `send`."""
        try:
            self._sending().send_nowait(message)
        except (StreamClosed, StreamCancelled):
            raise self._life.refusal() from None
        if self._life.observer is not None:
            self._record("channel_message", direction="out", message=message)

    async def send_many(self, messages: Iterable[Any]) -> None:
        """Send all `messages` in order. Cancelling it stops before one that had to wait; those before it are delivered."""
        if self._life.observer is not None:
            for message in messages:
                await self.send(message)
            return
        try:
            await self._sending().send_many(messages)
        except (StreamClosed, StreamCancelled):
            raise self._life.refusal() from None

    async def receive(self) -> T:
        """Return the next message. Raises `EndOfStream` when the other side has closed or half-closed, else as `send`.

        Cancelling it loses no message.
        """
        try:
            message = await self._receiving().receive()
        except StreamClosed:
            raise self._life.refusal() from None
        if self._life.observer is not None:
            self._taken([message])
        return message

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over the messages as they come. It ends when either side has closed, or the other one half-closed.

        Raises what the channel failed with, else nothing. Cancelling it loses no message.
        """
        life = self._life
        try:
            async for message in self._receiving():
                if life.observer is not None:
                    self._taken([message])
                yield message
        except StreamClosed:
            if life.ending != "closed":
                raise life.refusal() from None

    async def batches(self, max_items: int = 256) -> AsyncGenerator[list[T], None]:
        """Iterate over lists of 1 to `max_items` messages: whatever is there, without waiting for more."""
        try:
            async for messages in self._receiving().batches(max_items):
                self._taken(messages)
                yield messages
        except StreamClosed:
            if self._life.ending != "closed":
                raise self._life.refusal() from None

    def _sending(self) -> Sink[Any]:
        """Return where messages go; raise why there is no such place yet."""
        if self._sink is None:
            raise self._life.refusal()
        return self._sink

    def _receiving(self) -> Source[T]:
        """Return where messages come from; raise why there is no such place yet."""
        if self._source is None:
            raise self._life.refusal()
        return self._source

    def _taken(self, messages: list[T]) -> None:
        """Tell the observer of messages that the program takes."""
        if self._life.observer is not None:
            for message in messages:
                self._record("channel_message", direction="in", message=message)

    def _record(self, kind: Kind, **data: Any) -> None:
        if self._life.observer is not None:
            self._life.observer(kind, {"channel": self.id, **data})
