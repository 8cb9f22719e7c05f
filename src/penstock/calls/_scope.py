"""`CallScope`: what all calls of one connection share. Calls, refs and lanes hold a scope, not the `Peer` above them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeVar, cast

from penstock.session import Session

log = logging.getLogger("penstock.calls")

#: How long a side that closes waits for its handlers' clean-up before it leaves them behind, in seconds.
CLEANUP_S: Final = 5.0


#: An `Interceptor`, whose argument is a `CallInfo`: that class knows the scope, not the reverse.
Around = Callable[[Any], AbstractAsyncContextManager[None]]


class Attachment(Protocol):
    """A part of a connection that drains and ends with it, like the lanes to its actors. It is made with its scope."""

    def __init__(self, scope: CallScope) -> None: ...

    def drain(self) -> None:
        """Begin nothing new: one of the sides shuts down. What was begun goes on."""

    async def end(self, patience_s: float) -> None:
        """End in at most `patience_s` seconds: this side closes the connection."""


A = TypeVar("A", bound=Attachment)


class CallScope:
    """The session, interceptors and tasks of one connection.

    peer: the object that the program holds, a `Peer`. principal: the proven identity of the other side, None without a proof.
    tasks: handlers, request streams, interceptors. closing: whether this side has begun to close. on_gone: called once the
    connection is gone and its last task has ended.
    """

    def __init__(self, session: Session, interceptors: Sequence[Around], peer: Any) -> None:
        self.session = session
        self.interceptors = tuple(interceptors)
        self.peer = peer
        self.principal: Any = None
        self.closing = False
        self.on_gone: Callable[[], None] = lambda: None
        self.tasks: set[asyncio.Task[Any]] = set()
        self._attachments: dict[type[Attachment], Attachment] = {}
        self._drain = asyncio.Event()
        self._announced = False  # whether the other side was told to open no more calls
        session.on_draining = self._drained
        session.closed.add_done_callback(lambda _closed: self._check_gone())

    # ── the other side ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> str:
        """The address of the other side."""
        return self.session.remote

    @property
    def instance(self) -> bytes:
        """The event loop at the other side; empty before the handshake."""
        hello = self.session.hello
        return b"" if hello is None else hello.instance

    @property
    def name(self) -> str:
        """The name of this side for the other one where no actor is calling, as for the initiator of a channel."""
        return f"peer-{self.session.instance.hex()[:8]}"

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in a task that ends with this connection."""
        task = self.session.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.disown)
        return task

    def own_handler(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """As `own`, for work that calls `disown` itself at its end: a done callback would cost a turn of the loop."""
        task = self.session.loop.create_task(work)
        if not task.done():  # a task may begin, and end, at once
            self.tasks.add(task)
        return task

    def share(self, task: asyncio.Task[Any]) -> None:
        """Wait for, and cancel, a task of another owner with the handlers of this connection."""
        self.tasks.add(task)
        task.add_done_callback(self.disown)

    def disown(self, task: asyncio.Task[Any] | None) -> None:
        """Note that a task is over."""
        self.tasks.discard(task)
        if not self.tasks:
            self._check_gone()

    @property
    def busy(self) -> bool:
        """Whether a task runs, or something waits to be written."""
        return bool(self.tasks) or self.session.has_data

    async def wait_idle(self) -> None:
        """Wait until no task runs and everything was handed to the system. Safe to cancel."""
        while self.tasks:
            done, _running = await asyncio.wait(self.tasks)
            self.tasks -= done  # a handler that was cancelled before it began does not disown itself
        await self.session.wait_written()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def attached(self, kind: type[A]) -> A:
        """Return the one attachment of this class, made at the first call."""
        attachment = self._attachments.get(kind)
        if attachment is None:
            attachment = self._attachments[kind] = kind(self)
        return cast("A", attachment)

    @property
    def draining(self) -> bool:
        """Whether one of the sides has begun to shut down."""
        return self._drain.is_set()

    async def wait_draining(self) -> None:
        """Wait until one of the sides begins to shut down. Safe to cancel."""
        await self._drain.wait()

    def begin_drain(self) -> None:
        """Take no new calls, and say so to the other side and to the handlers. Open calls go on. Idempotent."""
        self._drain.set()
        if not self._announced:
            self._announced = True
            self.session.drain("this side is shutting down")

    def _drained(self) -> None:
        """Note that the other side shuts down: it takes nothing new, and answers open calls."""
        self._drain.set()
        for attachment in tuple(self._attachments.values()):
            attachment.drain()

    async def aclose(self) -> None:
        """Cancel the tasks, wait for their clean-up, end the attachments, close the link. Cancelling it aborts the link.

        Each of the three waits takes at most `CLEANUP_S` seconds; a task that has not ended by then is logged and left behind.
        """
        self.closing = True
        self.session.refuse_streams()  # a call that begins now could not be awaited
        try:
            await asyncio.sleep(0)  # a task that was about to begin does so, and can say how it ended
            for task in self.tasks:
                if not task.cancelling():  # a second cancellation would interrupt its clean-up
                    task.cancel()
            if self.tasks:
                _done, stuck = await asyncio.wait(self.tasks, timeout=CLEANUP_S)
                for task in stuck:
                    log.error("%s: %r has not ended %g s after it was cancelled; it is left behind", self.peer, task, CLEANUP_S)
                self.tasks.clear()
            for attachment in tuple(self._attachments.values()):
                await attachment.end(CLEANUP_S)
            self.session.close()
            await asyncio.wait([self.session.closed], timeout=CLEANUP_S)
        finally:
            if not self.session.closed.done():
                self.session.abort()

    def _check_gone(self) -> None:
        """Report the end when the connection is gone and no task runs any more."""
        if self.session.closed.done() and not self.tasks:
            self.on_gone()

    def __repr__(self) -> str:
        return f"<CallScope {self.remote}, {len(self.tasks)} tasks>"
