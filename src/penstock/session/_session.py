"""`Session`: a protocol connection, its link and the clock. It feeds bytes in, dispatches events, writes, and sets the timer.

A session runs on callbacks of its link and has no task of its own. Each stream has an `Endpoint`, which gets its events, and a
`StreamHandle`, by which the owner acts on it. No code above this folder touches the connection; a house test checks that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from functools import partial
from threading import get_ident
from typing import Any, Final, cast

from penstock._outcomes import ends_the_loop, log_error
from penstock._upkeep import upkeep
from penstock.errors import Cancelled, Cause, ConnectionLost, StatusError, Unavailable
from penstock.protocol import Connection, Hello, Open, ReceiveHalf, Settings, WireStream
from penstock.protocol import events as ev
from penstock.session._endpoint import NULL_ENDPOINT, Endpoint
from penstock.session._events import DISPATCH
from penstock.session._process import LINK_COST_BYTES, READY_COST_BYTES, crowd
from penstock.session._proof import Proof
from penstock.session._sink import RemoteSink
from penstock.session._status import before_it_began, error_of_failure
from penstock.session._stream import StreamHandle, refuse
from penstock.session._turns import CALLS_PER_TURN, FRAMES_PER_LOOK, WorkTurns
from penstock.streams import Bell, check_thread
from penstock.transports import Link

log = logging.getLogger("penstock.session")

#: Bytes taken from the protocol at a time: enough for one large system call, few enough that the link can pause the writing.
WRITE_BYTES: Final = 256 * 1024


class Session:
    """One live connection with its streams.

    role: "client" or "server".
    accept: called with each stream that the peer opens. By default every stream is refused.
    agent: the name and version of this program, for the `HELLO`.
    instance: the id of this side's event loop, for the `HELLO`.
    keep_s: how long it could be kept without a link (`LastingSession`); token: by which the client could take it up again.

    `takes_calls`: whether calls may begin on this side, until the other side drains or the session is lost. `draining` is set
    when one of the sides begins to shut down. `ready` is done after the handshake, or has the error that prevented it; `closed`
    is done when the link is gone and every stream knows it. `lost` is the error that ended the connection, None until then.
    `context` is the empty context in which calls of the other side begin. Pass the session to `dial` or `listen` as the
    receiver of a link.
    """

    def __init__(
        self,
        role: str,
        settings: Settings,
        accept: Callable[[StreamHandle], None] | None = None,
        *,
        agent: str = "",
        instance: bytes = b"",
        keep_s: float = 0.0,
        token: bytes = b"",
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        # the clock of another loop than asyncio's may count in milliseconds, and a round trip takes less than one
        self._now: Callable[[], float] = self.loop.time if isinstance(self.loop, asyncio.BaseEventLoop) else time.monotonic
        self._connection = Connection(role, settings, self._now(), agent=agent, keep_s=keep_s, token=token, instance=instance)
        self._crowd = crowd()
        self.budget = self._crowd.join(self._connection.budget)
        self.settings = settings
        self.link: Link | None = None
        self.lost: StatusError | None = None
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.waiting_sinks: dict[RemoteSink[Any], None] = {}
        self.instance, self.role, self.proof = instance, role, Proof(self)
        self.unary_calls = self.unary_answers = 0  # calls of this side, and of the other side, without an answer
        self.get_buffer = self._connection.get_buffer
        self.takes_calls = True
        self.draining = asyncio.Event()
        self.on_draining: Callable[[], None] = lambda: None
        self.accept = accept or refuse
        self.context = Context()
        self._turns = WorkTurns(self._work, self._now, self.context)
        self.buffer_updated: partial[None] = partial(cast("Any", self.context.run), self._read)
        self._untold: Iterator[WireStream] | None = None
        self._link_is_gone = self._paused = self._closing = self._close_when_written = False
        self._flushing = self._urgent = False  # whether it is written later in this turn, and whether a lone call waits for it
        self._announced = False  # whether the other side was told to open no more calls
        self._timer: asyncio.TimerHandle | None = None
        self._written = Bell()

    # ── what the link calls ───────────────────────────────────────────────────────────────────────────────────────────

    def link_made(self, link: Link) -> None:
        self.link = link
        self._crowd.weigh(self, READY_COST_BYTES if self.hello else LINK_COST_BYTES)
        self._arm()
        self.flush()

    def pause_writing(self) -> None:
        self._paused = True
        self._connection.block(blocked=True)

    def resume_writing(self) -> None:
        self._paused = False
        self._connection.block(blocked=False)
        self.flush()

    def link_lost(self, error: Exception | None) -> None:
        self._link_is_gone = self._paused = True
        if self._closing:
            self.lose(Cancelled("the connection was closed on this side"))
        else:
            when = " before it said HELLO" if self.hello is None else ""
            why = f": {error}" if error is not None and str(error) else ""
            cause = error.cause if isinstance(error, Unavailable) else None
            self.lose(ConnectionLost(f"the connection to {self.remote} was lost{when}{why}", cause=cause or Cause.LOST))

    # ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, opened: Open, half: ReceiveHalf, endpoint: Endpoint) -> StreamHandle:
        """Begin a call whose items arrive in `half` and whose events go to `endpoint`.

        A call beyond the number of streams that the peer takes begins when another call of this side is over.

        Raises `Unavailable` or `ConnectionLost` on a connection that is gone or draining, `ResourceExhausted` when too many
        calls wait (`Settings.max_waiting_calls`) or the argument or metadata are too large, `InvalidArgument` for text that is
        not UTF-8. After an error, nothing was sent.
        """
        handle = self.open_unwritten(opened, half, endpoint)
        self.flush_soon()
        return handle

    def open_unwritten(self, opened: Open, half: ReceiveHalf, endpoint: Endpoint) -> StreamHandle:
        """As `open`, but write nothing yet: a unary call goes on with `StreamHandle.begin_unary`."""
        if get_ident() != self.thread or self.lost is not None:
            check_thread(self.thread, self)
            self.check_open()
        try:
            wire = self._connection.open(opened, half)
        except StatusError as error:
            error.came_from(self.remote)
            raise
        if wire.waits_since is not None:
            wire.waits_since = self._now()
        wire.endpoint = endpoint
        return StreamHandle(self, wire)

    @property
    def stream_count(self) -> int:
        """The number of open streams, of both sides."""
        return len(self._connection.streams.all())

    # ── the other side ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> str:
        """The address of the other side; "no peer" before there is a link."""
        return self.link.remote if self.link is not None else "no peer"

    @property
    def hello(self) -> Hello | None:
        """The `HELLO` of the other side; None before the handshake."""
        return self._connection.peer

    def drain(self, message: str) -> None:
        """Take no new calls from now on, and send `DRAIN`. Open calls go on. Does nothing on a lost connection. Idempotent."""
        self.draining.set()
        if self.lost is None and not self._announced:
            self._announced = True
            self._connection.drain(message)
            self.flush_soon()

    def refuse_streams(self) -> None:
        """Take no new calls from now on, without a `DRAIN`: this side is about to close."""
        self._connection.refuse_streams()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def flush_for(self, calls: int) -> None:
        """Write a frame of a unary call while `calls` such calls are open: at once for a lone call, else with the others.

        To wait for the next turn of the loop costs a lone call more than its own write (a fifth of its round trip, measured).
        """
        self._urgent = calls == 1
        if self._urgent and not self._flushing:
            self.flush()
        else:
            self.flush_soon()

    def flush_soon(self) -> None:
        """Write at the end of this turn of the loop: all frames that are queued until then leave together."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self.flush)

    def touch(self, stream: WireStream) -> None:
        """Put a stream that has frames to send in line, and write at the end of this turn."""
        self._connection.ready(stream)
        if not self._flushing:
            self.flush_soon()

    def flush(self) -> None:
        """Write the queued frames, as far as the link takes them; then wake the sinks that waited for a write."""
        self._flushing = False
        connection, link = self._connection, self.link
        if link is None:
            return
        while not self._paused:
            segments = connection.data_to_send(WRITE_BYTES, self._now())
            if not segments:
                break
            link.write(segments)
            if not connection.has_data():
                break
        if self.waiting_sinks:
            sinks = tuple(self.waiting_sinks)
            self.waiting_sinks.clear()
            for sink in sinks:
                sink.on_room()
        if (self._written.waiting or self._close_when_written) and not self.has_data:
            self._written.notify()
            if self._close_when_written:
                self._close_when_written = False
                self._close_link(link)

    def __repr__(self) -> str:
        return f"<connection to {self.remote}>"

    def check_open(self) -> None:
        """Raise the error of a call that begins on a lost connection; do nothing on a live one."""
        if self.lost is not None:
            cls = Unavailable if isinstance(self.lost, Cancelled) else type(self.lost)
            raise cls(self.lost.message, self.lost.details, started=False).came_from(self.remote)

    def lose(self, error: StatusError) -> None:
        """End every stream of this connection with `error`, once the frames that have arrived are handled. Idempotent.

        From now on nothing is written, and no call begins, on either side.
        """
        self.takes_calls = False
        if self.lost is None:
            self.lost = error
            self._connection.streams.ignore_new()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._written.notify()
            self._close_when_written = False
        self._turns.begin()

    @property
    def has_data(self) -> bool:
        """Whether frames wait to be written."""
        return self.lost is None and self._connection.has_data()

    async def wait_written(self) -> None:
        """Wait until all queued frames were handed to the link. Safe to cancel."""
        while self.has_data:
            await self._written.wait()

    def close(self) -> None:
        """Write the queued frames, then close the link. Await `closed` next."""
        self._closing = True
        self.flush()
        if self.link is not None:
            if self.has_data:
                self._close_when_written = True
            else:
                self._close_link(self.link)
        elif not self.closed.done():
            self.closed.set_result(None)

    def _close_link(self, link: Link) -> None:
        link.close()

    def abort(self) -> None:
        """Close the link at once; queued frames are dropped."""
        self._closing = True
        if self.link is not None:
            self.link.abort()

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, size: int) -> None:
        """Take `size` bytes from the link, and handle their frames as far as this turn goes."""
        now_s = self._now()
        if self._turns.waiting:  # a link may bring some bytes more after it was paused
            self._connection.buffer_updated(size, now_s, 0)
            return
        calls = self._handle(self._connection.buffer_updated(size, now_s, FRAMES_PER_LOOK))
        if self._connection.unread:
            left_over = self._turns.go_on(now_s, calls)
            if left_over and self.link is not None:
                self.link.pause_reading()

    def _work(self, now_s: float) -> int | None:
        """Handle some frames that wait, then end the streams of a connection that is lost, one by one; see `WorkTurns`."""
        if self._connection.unread:
            return self._handle(self._connection.buffer_updated(0, now_s, FRAMES_PER_LOOK))
        if self.lost is not None:
            return self._end_stream(self.lost)
        if self._turns.waiting and self.link is not None:
            self.link.resume_reading()
        return None

    def _handle(self, events: Sequence[ev.Event]) -> int:
        """Hand events to their endpoints, and have the answers written; return how many calls were begun."""
        calls = CALLS_PER_TURN if self._connection.has_grown else 0  # the handler of a large message decodes it in this turn
        flushing, self._flushing, self._urgent = self._flushing, True, False  # all that they send leaves behind the last one
        for event in events:
            calls += type(event) is ev.Opened
            try:
                _DISPATCH[type(event)](self, event)
            except BaseException as error:  # an error in one endpoint must not end the connection and all its other calls
                log_error(log, error, "%.500r could not be handled", event)
                if ends_the_loop(error):
                    raise
        self._flushing = flushing
        if not flushing and self._connection.has_data():
            (self.flush if self._urgent else self.flush_soon)()
        return calls

    def _end_stream(self, error: StatusError) -> int | None:
        """Tell one stream that the connection is lost, or forget some when all know it; None when all are forgotten.

        An error that its endpoint raises is logged, so that the others still get theirs.
        """
        if self._untold is None:
            if not self.ready.done():
                self.ready.set_exception(before_it_began(error))
                self.ready.exception()  # mark it as retrieved: there may be no waiter
            self._untold = iter(self._connection.streams.all())
        stream = next(self._untold, None)
        if stream is None:
            if not self._connection.link_lost():
                return 0
            self.waiting_sinks.clear()
            self._crowd.weigh(self, 0)
            if self._link_is_gone and not self.closed.done():
                self.closed.set_result(None)
            return None
        stream.stop_sending()
        if stream.endpoint is not None:
            copy = error.fresh_copy().came_from(self.remote)
            copy.started = stream.begun  # a call whose OPEN was never written has not started
            try:
                stream.endpoint.on_lost(copy)
            except Exception as failure:  # noqa: BLE001 - the others are told, too
                log_error(log, failure, "%r failed to handle the loss of its connection", stream)
        return 1

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_ready(self) -> None:
        self._crowd.weigh(self, READY_COST_BYTES)
        if not self.ready.done():
            self.ready.set_result(None)
        self._arm()

    def resume(self, _hello: Hello) -> tuple[int, str]:
        """Refuse to go on with another session over this link: return the code of the error, and the reason."""
        return 9, "this server keeps no session without a connection"

    def _on_opened(self, event: ev.Opened) -> None:
        event.stream.endpoint = NULL_ENDPOINT
        if not event.stream.over:  # a stream that is over was cancelled in the same read
            self.accept(StreamHandle(self, event.stream))

    def _on_failed(self, event: ev.Failed) -> None:
        if not event.code:
            log.warning("connection to %s: %s", self.remote, event.message)
        self.flush()
        self.lose(error_of_failure(event, self.remote))
        if self.link is not None:
            (self.link.close if event.error is not None else self.link.abort)()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._connection.next_timeout() if self.lost is None and self.link is not None else None
        self._timer = self.loop.call_at(due, self._on_time) if due is not None else None

    @upkeep
    def _on_time(self) -> None:
        for event in self._connection.handle_timeout(self._now()):
            _DISPATCH[type(event)](self, event)
        if self.lost is None:
            self._arm()
            self.flush()


_DISPATCH: Final[dict[type[ev.Event], Any]] = {**DISPATCH, ev.Opened: Session._on_opened}
