"""A channel inside one process: two pipes, and two ends that tell each other. Messages pass by reference, never copied."""

from __future__ import annotations

import secrets
import weakref
from typing import Any, TypeVar

from penstock.channel._channel import BUFFER_SIZE, Channel
from penstock.errors import ChannelClosed, EndOfStream
from penstock.streams import PipeSink, PipeSource, PipeState, as_failure

T = TypeVar("T")


def local_channel(
    initiator: str, target: str, payload: Any = None, *, buffer_size: int = BUFFER_SIZE, accept_buffer_size: int = BUFFER_SIZE
) -> tuple[Channel[Any], Channel[Any]]:
    """Make a channel inside this process and return the opener's end and the acceptor's.

    `buffer_size` (messages, at least 1) is how many may wait at the opener, `accept_buffer_size` at the acceptor. Give the
    second end to who is to accept it, and ``await opener.wait_opened()``. An end that is forgotten fails the other one.
    """
    for size in (buffer_size, accept_buffer_size):
        if size < 1:
            raise ValueError(f"a buffer of {size}; a channel holds at least one message in each direction")
    there: PipeState[Any] = PipeState(accept_buffer_size)
    back: PipeState[Any] = PipeState(buffer_size)
    id_ = secrets.token_hex(8)
    opener: LocalChannel[Any] = LocalChannel(id_, initiator, target, payload, opener=True)
    acceptor: LocalChannel[Any] = LocalChannel(id_, initiator, target, payload, opener=False)
    opener.join(acceptor, there, back)
    acceptor.join(opener, back, there)
    return opener, acceptor


class LocalChannel(Channel[T]):
    """One end of a channel inside this process."""

    __slots__ = ("_far", "_in", "_out")

    def join(self, far: LocalChannel[Any], out: PipeState[Any], into: PipeState[T]) -> None:
        """Learn of the other end. It is held weakly: who forgets it has left."""
        self._far = weakref.ref(far)
        self._out = out
        self._in = into

    def _opened(self, payload: Any) -> None:
        self._sink, self._source = PipeSink(self._out), PipeSource(self._in)
        super()._opened(payload)

    def _tell_accepted(self, payload: Any) -> None:
        far = self._far()
        if far is None:  # it is being forgotten in another thread
            raise ChannelClosed("the opener has left before the channel was accepted")
        far._opened(payload)

    def _tell_half_closed(self) -> None:
        self._out.finish("ended", EndOfStream())
        far = self._far()
        if far is not None:
            far._half_closed_there()

    def _tell_closed(self, reason: str) -> None:
        far = self._far()
        if far is not None:
            far._closed_there(reason)
        self._out.finish("ended", EndOfStream())
        self._drop()

    def _tell_failed(self, error: Exception) -> None:
        far = self._far()
        if far is not None:
            far._failed_there(error)
        self._out.finish("failed", as_failure(error))
        self._drop()

    def _complete(self) -> None:
        self._ended("closed", "", ChannelClosed("both sides have ended the channel"))

    def _drop(self) -> None:
        self._in.cancel()
