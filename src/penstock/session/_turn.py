"""`Turn`: a call of the other side that waits until this side has room for its handler."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from penstock.errors import DeadlineExceeded, StatusError
from penstock.protocol import Cancel, Status, shorten_deadline
from penstock.session._endpoint import Endpoint
from penstock.session._stream import StreamHandle


class Turn(Endpoint):
    """A call that waits in `line` for its turn. It leaves the line when its caller leaves.

    begin: called with the stream when its turn has come.
    """

    __slots__ = ("_begin", "_ended", "_handle", "_line")

    def __init__(self, handle: StreamHandle, begin: Callable[[StreamHandle], None], line: MutableMapping[Turn, None]) -> None:
        self._handle = handle
        self._begin = begin
        self._line = line
        self._ended = False
        handle.wire.waits_since = handle.session.loop.time()
        handle.attach(self)
        line[self] = None

    def take(self) -> None:
        """Begin the call with what is left of its deadline, or end it when that has passed."""
        handle = self._handle
        handle.detach()
        if not shorten_deadline(handle.wire, handle.session.loop.time()):
            self.refuse(DeadlineExceeded(f"{handle.opened.target}: the deadline passed before it could begin", started=False))
            return
        handle.opened = handle.wire.opened
        self._begin(handle)
        if self._ended and not handle.over:
            handle.wire.endpoint.on_ended(None)

    def refuse(self, error: StatusError) -> None:
        """End the call with `error`."""
        self._handle.fail(error)

    def on_ended(self, status: Status | None) -> None:
        self._ended = True

    def on_cancelled(self, cancel: Cancel) -> None:
        self._line.pop(self, None)

    def on_lost(self, error: StatusError) -> None:
        self._line.pop(self, None)
