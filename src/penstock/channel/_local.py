"""A channel inside one process: two pipes. Messages and payloads pass by reference and are never copied."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from penstock._outcomes import as_failure
from penstock.channel._channel import Channel
from penstock.channel._wire import ChannelEvents, Opening, Wire
from penstock.codec import reader
from penstock.errors import DataLoss, EndOfStream, InvalidArgument
from penstock.streams import BUFFER_SIZE, Converted, PipeSink, PipeSource, PipeState, Source, checked_size


def local_channel(
    initiator: str,
    target: str,
    payload: Any = None,
    *,
    buffer_size: int = BUFFER_SIZE,
    accept_buffer_size: int = BUFFER_SIZE,
    messages: Any = Any,
    accept_messages: Any = Any,
) -> tuple[Channel[Any], Channel[Any]]:
    """Make a channel inside this process and return the opener's end and the acceptor's end.

    `initiator` and `target` name the two sides, `payload` is for the acceptor. `buffer_size` (messages, at least 1, 16 by
    default) is how many may wait at the opener, `accept_buffer_size` how many at the acceptor; `messages` and `accept_messages`
    are the types of the messages that the opener and the acceptor receive, any by default. Raises `ValueError` for a smaller
    buffer. Give the second end to the acceptor, and then ``await opener.wait_opened()``. Use both ends on one event loop.
    """
    there: PipeState[Any] = PipeState(checked_size("accept_buffer_size", accept_buffer_size))
    back: PipeState[Any] = PipeState(checked_size("buffer_size", buffer_size))
    opening = Opening(secrets.token_hex(8), initiator, target, payload)
    opener, acceptor = ChannelEvents(opening, opener=True), ChannelEvents(opening, opener=False)
    near, far = LocalWire(opener, acceptor, there, back, messages), LocalWire(acceptor, opener, back, there, accept_messages)
    return Channel(near), Channel(far)


class LocalWire(Wire):
    """The wire of one end in this process. It notes its steps at the events of both ends.

    The wire of the other end is out of its reach, so that a forgotten channel is freed without the garbage collector.
    """

    __slots__ = ("_far", "_in", "_messages", "_out", "events")

    def __init__(
        self, events: ChannelEvents, far: ChannelEvents, out: PipeState[Any], into: PipeState[Any], messages: Any
    ) -> None:
        self._messages = messages
        self.events = events
        self._far = far
        self._out = out
        self._in = into

    def ends(self) -> tuple[PipeSink[Any], Source[Any]]:
        source: PipeSource[Any] = PipeSource(self._in)
        if self._messages is Any:
            return PipeSink(self._out), source
        bad = DataLoss if self.events.opener else InvalidArgument
        read = reader(self._messages, f"{self.events.opening.target}: a message", bad)
        return PipeSink(self._out), Converted(source, read, partial(self.end_with, "lost"))

    @property
    def waiter(self) -> Any:
        return self._in.consumer

    def accept(self, payload: Any) -> None:
        self._far.opened(payload)

    def half_close(self) -> None:
        self._out.finish("ended", EndOfStream())
        if self._far.half_closed():
            self._far.completed()

    def close(self, reason: str) -> None:
        self._far.closed(reason)
        self._out.finish("ended", EndOfStream())
        self.drop()

    def fail(self, error: Exception) -> None:
        self._far.failed(error)
        self._out.finish("failed", as_failure(error))
        self.drop()

    def complete(self) -> None:
        self.events.completed()

    def drop(self) -> None:
        self._in.cancel()
