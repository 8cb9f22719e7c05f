"""`CallScope`: the state that all calls of one connection share. Calls, refs and lanes hold a scope, not its `Peer`."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeVar, cast
from weakref import WeakSet

from penstock.errors import DeadlineExceeded, StatusError, Unavailable
from penstock.protocol import Cancel, Status
from penstock.session import Endpoint, Session, StreamHandle
from penstock.streams import Source, check_thread

R = TypeVar("R")

log = logging.getLogger("penstock.calls")

#: Seconds that a closing side waits for the clean-up of its handlers, before it leaves them behind.
CLEANUP_S: Final = 5.0
#: Seconds that the last word of an open end, which says that it ends here, may take to arrive.
LAST_WORD_S: Final = 1.0
#: An `Interceptor`, whose argument is a `CallInfo`. This module cannot name that class, because `CallInfo` has a scope.
Around = Callable[[Any], AbstractAsyncContextManager[None]]


class Attachment(Protocol):
    """A part of a connection that drains and ends with it, as the lanes to its actors do. It is made with its scope."""

    def __init__(self, scope: CallScope) -> None: ...

    def drain(self) -> None:
        """Begin nothing new, because one of the sides shuts down. Work that was begun goes on."""

    async def end(self, patience_s: float) -> None:
        """End within `patience_s` seconds, because this side closes the connection."""


A = TypeVar("A", bound=Attachment)


class WaitingCall(Endpoint):
    """A call that waits in `line`. It leaves the line when its caller leaves.

    begin: called with the stream when there is room.
    """

    __slots__ = ("_begin", "_ended", "_handle", "_line", "_since_s")

    def __init__(
        self, handle: StreamHandle, begin: Callable[[StreamHandle], None], line: MutableMapping[WaitingCall, None]
    ) -> None:
        self._handle = handle
        self._begin = begin
        self._line = line
        self._ended = False
        self._since_s = handle.session.loop.time()
        handle.attach(self)
        line[self] = None

    def go_on(self) -> None:
        """Begin the call with what is left of its deadline, or end it when that has passed."""
        handle = self._handle
        handle.attach()
        if not handle.has_waited(self._since_s):
            self.refuse(DeadlineExceeded(f"{handle.opened.target}: the deadline passed before it could begin", started=False))
            return
        self._begin(handle)
        if self._ended:
            handle.repeat_end()

    def refuse(self, error: StatusError) -> None:
        """End the call with `error`."""
        self._handle.fail(error)

    def on_ended(self, status: Status | None) -> None:
        self._ended = True

    def on_cancelled(self, cancel: Cancel) -> None:
        self._line.pop(self, None)

    def on_lost(self, error: StatusError) -> None:
        self._line.pop(self, None)


class WaitingCalls(OrderedDict[WaitingCall, None]):
    """The calls of the other side that wait until a handler of an earlier call has ended, in their order.

    Each of them is an open stream, so there are at most `Settings.max_streams`. A new call has to wait while others do, or
    while `tasks_max` handlers run; those of cancelled calls count until their end.
    """

    __slots__ = ("_scope", "tasks_max")

    def __init__(self, scope: CallScope) -> None:
        super().__init__()
        self._scope = scope
        self.tasks_max = scope.session.settings.max_streams

    def _is_full(self) -> bool:
        return len(self._scope.tasks) >= self.tasks_max

    def add(self, handle: StreamHandle, begin: Callable[[StreamHandle], None]) -> None:
        """Let a call wait; `begin` is called when there is room."""
        WaitingCall(handle, begin, self)

    def begin_soon(self) -> None:
        """Begin the calls for which there is room now, in the next turn of the loop, as calls that do not wait begin.

        That is in the empty context of the session: the one of the handler that has ended is not for them.
        """
        session = self._scope.session
        session.loop.call_soon(self._begin, context=session.context)

    def _begin(self) -> None:
        while self and not self._scope.closing and not self._is_full():
            self.popitem(last=False)[0].go_on()

    def refuse(self, error: StatusError) -> None:
        """End all waiting calls with `error`."""
        while self:
            self.popitem(last=False)[0].refuse(error.fresh_copy())


class Leaving(Protocol):
    """An open stream that has to say at the other side that it ends here."""

    def leave(self) -> None:
        """End the stream in words, after the items that were sent, because this side leaves."""


class Deliveries:
    """What the program has sent and what is not at the other side yet. A side that closes its connection waits for it.

    ends: the open ends; they leave first.
    """

    __slots__ = ("__weakref__", "_scope", "_sources", "_tasks", "ends")

    def __init__(self, scope: CallScope) -> None:
        self._scope = scope
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sources: dict[asyncio.Task[Any], Source[Any]] = {}
        self.ends: WeakSet[Leaving] = WeakSet()

    def run(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """Run `work`, which ends when some items have arrived, in a task of the connection."""
        task: asyncio.Task[R] = self._scope.own(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def pass_on(self, source: Source[Any]) -> None:
        """Note that the running task sends the items of `source`, and ends when it does."""
        task = asyncio.current_task()
        if task is not None:
            self._sources[task] = source
            task.add_done_callback(self._sources.pop)

    async def finish(self, patience_s: float) -> None:
        """Wait `patience_s` until everything has arrived that was sent into streams that have ended. The open ends leave.

        What they say has `LAST_WORD_S` to arrive, or as long as the rest when that is longer.
        """
        sent = self._tasks | {task for task, source in self._sources.items() if source.statistics().state != "open"}
        for end in tuple(self.ends):
            end.leave()
        await asyncio.gather(self._arrive(sent, patience_s), self._arrive(self._tasks - sent, max(LAST_WORD_S, patience_s)))

    async def _arrive(self, tasks: set[asyncio.Task[Any]], patience_s: float) -> None:
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=patience_s)
            if late:
                log.warning("%s: the items of %d streams had not arrived after %g s", self._scope.remote, len(late), patience_s)


class CallScope:
    """The session, interceptors and tasks of one connection.

    peer: the object that the program holds, a `Peer`.
    restricted: whether the other side may do some things only. check_access: called with a target and a verb; raises
        `PermissionDenied` for another thing.
    tasks: the running handlers, request streams and interceptors.
    waiting: the calls of the other side that wait until a handler has ended.
    deliveries: what was sent into streams and is not at the other side yet.
    movable: streams that another server can go on with: they end when this side begins to shut down.
    closing: whether this side has begun to close.
    on_gone: called once, when the connection is gone and its last task has ended.
    session: the one that new calls use. leaving: those before it, whose other side shuts down and ends what is open.
    next_session: waits, until a deadline, for a session that takes calls, when this one does not; None when no other follows.
    """

    def __init__(self, session: Session, interceptors: Sequence[Around], peer: Any) -> None:
        self.session = session
        self.interceptors = tuple(interceptors)
        self.peer = peer
        self.restricted = False
        self.check_access: Callable[[str, str], None] = lambda _target, _verb: None
        self.closing = False
        self.on_gone: Callable[[], None] = lambda: None
        self.leaving: set[Session] = set()
        self.next_session: Callable[[float | None], Awaitable[None]] | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self.waiting = WaitingCalls(self)
        self.deliveries = Deliveries(self)
        self.movable: WeakSet[Leaving] = WeakSet()
        self._attachments: dict[type[Attachment], Attachment] = {}

    def go_on_with(self, session: Session) -> None:
        """Use this session for new calls. One before it is lost, and its streams have ended, or its other side shuts down."""
        if session is not self.session and not self.session.closed.done():
            self.leaving.add(self.session)
        self.session = session
        session.on_draining = self._drained
        session.closed.add_done_callback(lambda _closed: self._check_gone(session))

    async def session_for_calls(self, deadline: float | None) -> Session:
        """Return the session for a new call; wait for the next one, until `deadline`, when this one takes none."""
        if not self.session.takes_calls and self.next_session is not None:
            await self.next_session(deadline)
        return self.session

    # ── the other side ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> str:
        """The address of the other side."""
        return self.session.remote

    @property
    def instance(self) -> bytes:
        """The id of the event loop at the other side; empty before the handshake."""
        hello = self.session.hello
        return b"" if hello is None else hello.instance

    @property
    def name(self) -> str:
        """The name that the other side gets for this one when no actor is calling: "peer-" and the start of its id."""
        return f"peer-{self.session.instance.hex()[:8]}"

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in a task that ends with this connection."""
        task = self.session.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.disown)
        return task

    def own_handler(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """As `own`, for work that calls `disown` at its end, because a done callback would cost a turn of the loop."""
        task = self.session.loop.create_task(work)
        if not task.done():  # an eager task may have ended here
            self.tasks.add(task)
        return task

    def share(self, task: asyncio.Task[Any]) -> None:
        """Await and cancel a task of another owner together with the handlers of this connection."""
        self.tasks.add(task)
        task.add_done_callback(self.disown)

    def disown(self, task: asyncio.Task[Any] | None) -> None:
        """Remove a task that is over."""
        self.tasks.discard(task)
        if self.waiting:
            self.waiting.begin_soon()
        if not self.tasks:
            self._check_gone()

    @property
    def busy(self) -> bool:
        """Whether a task runs, a call waits for room, or frames wait to be written."""
        return bool(self.tasks or self.waiting) or self.session.has_data

    async def wait_idle(self) -> None:
        """Wait until no task runs and all frames were handed to the link. Safe to cancel."""
        while self.tasks or self.waiting:
            if not self.tasks:
                await asyncio.sleep(0)  # the next call is about to begin
                continue
            done, _running = await asyncio.wait(self.tasks)
            for task in done & self.tasks:  # a handler that was cancelled before it began never calls `disown`
                self.disown(task)
        await self.session.wait_written()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def attached(self, cls: type[A]) -> A:
        """Return the attachment of this class; the first call makes it."""
        attachment = self._attachments.get(cls)
        if attachment is None:
            attachment = self._attachments[cls] = cls(self)
        return cast("A", attachment)

    def begin_drain(self) -> None:
        """Take no new calls, and let the other side and the handlers know. Open calls go on. Idempotent."""
        self.session.drain("this side is shutting down")
        for stream in tuple(self.movable):
            stream.leave()

    def _drained(self) -> None:
        """Drain the attachments: the other side shuts down, takes nothing new, and answers open calls."""
        for attachment in tuple(self._attachments.values()):
            attachment.drain()

    async def aclose(self, deliver_s: float = CLEANUP_S) -> None:
        """Deliver, cancel the tasks, await their clean-up, end the attachments, close the link. Cancelling it aborts the link.

        deliver_s: how long to wait until what was sent has arrived; 0 for a side that has waited for its calls, and with them
            for that.

        Each of the other three waits takes at most `CLEANUP_S` (5 s). A task that has not ended by then is logged and left
        behind.
        """
        check_thread(self.session.thread, self.peer)
        self.closing = True
        self.waiting.refuse(Unavailable("this side is shutting down", started=False))
        sessions = [self.session, *self.leaving]
        for session in sessions:
            session.refuse_streams()  # the call of a later stream would not be awaited below
        try:
            await asyncio.sleep(0)  # a task that has not begun yet begins, so that it can report its outcome
            if any(session.lost is None for session in sessions):
                await self.deliveries.finish(deliver_s)
            await _cancel_all(self.tasks, self.peer)
            for attachment in tuple(self._attachments.values()):
                await attachment.end(CLEANUP_S)
            for session in sessions:
                session.close()
            await asyncio.wait([session.closed for session in sessions], timeout=CLEANUP_S)
        finally:
            for session in sessions:
                if not session.closed.done():
                    session.abort()

    def _check_gone(self, closed: Session | None = None) -> None:
        """Call `on_gone` when the connection is gone and no task runs."""
        if closed is not None:
            self.leaving.discard(closed)
        if self.session.closed.done() and not self.tasks and not self.leaving:
            self.on_gone()

    def __repr__(self) -> str:
        return f"<CallScope {self.remote}, {len(self.tasks)} tasks>"


async def _cancel_all(tasks: set[asyncio.Task[Any]], peer: Any) -> None:
    """Cancel the tasks of a connection, and wait for their clean-up, at most `CLEANUP_S`."""
    for task in tasks:
        if not task.cancelling():  # a second cancellation would interrupt its clean-up
            task.cancel()
    if tasks:
        _done, stuck = await asyncio.wait(tasks, timeout=CLEANUP_S)
        for task in stuck:
            log.error("%s: %r has not ended %g s after it was cancelled; it is left behind", peer, task, CLEANUP_S)
        tasks.clear()
