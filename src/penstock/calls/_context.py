"""`CallInfo`: one call while it runs. `context` returns that of the running handler, `intercepted` runs one in interceptors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, Self

from penstock._outcomes import as_exception, ends_the_loop
from penstock.calls._scope import CallScope
from penstock.errors import Aborted, Cancelled, ConnectionLost, DeadlineExceeded, EndOfStream, FailedPrecondition
from penstock.service import NO_DEADLINE_S, PriorityName
from penstock.streams import Sink, feeding

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    P = TypeVar("P", default=Any)
else:
    from typing import TypeVar

    P = TypeVar("P")


#: Seconds by which a timer may come early: a deadline that is as near as this has passed.
TIMER_S: Final = 0.001
#: How a call has ended, as `CallInfo.outcome`.
Outcome = Literal["ended", "failed", "cancelled", "deadline", "lost"]


class CallInfo(Generic[P]):
    """One call, on one side. A handler gets it from `penstock.context()`; an interceptor gets it as its argument.

    target: "Service/method"; "/address/method" for an actor.
    kind: "unary", "client_streaming", "server_streaming" or "bidirectional".
    side: "caller" or "callee".
    metadata: strings that travel with the call. An interceptor of the caller may add to it before its ``yield``.
    deadline: the time by which the call must be over, in seconds of the event loop's clock; None for no limit.
    priority: the priority that the caller has set: "interactive", "normal" (the default, and that of a message to an actor) or
        "bulk".
    principal: the proven identity of the caller, an `auth.Principal`; None without a proof.
    sink: the sink for the items of a streaming handler, whose statistics show how far the consumer is behind; else None.
    outcome: how the call has ended: "ended" normally, "failed" with an error, "cancelled" by one of the sides, "deadline" when
        its deadline or idle time-out passed, "lost" with its connection; None while it runs. An interceptor reads it after its
        ``yield``, and a handler in its ``finally``, where a cancellation or a ``GeneratorExit`` does not say why.
    """

    __slots__ = (
        "_crash",
        "_departed",
        "_loop",
        "_outcome",
        "_scope",
        "_session",
        "deadline",
        "kind",
        "metadata",
        "principal",
        "priority",
        "side",
        "sink",
        "target",
    )

    def __init__(
        self,
        target: str,
        kind: str,
        side: Literal["caller", "callee"],
        *,
        metadata: dict[str, str],
        deadline: float | None,
        scope: CallScope | None,
        priority: PriorityName = "normal",
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.target = target
        self.kind = kind
        self.side = side
        self.metadata = metadata
        self.deadline = deadline
        self.priority = priority
        self._scope = scope
        self._session = None if scope is None else scope.session
        # kept, because a thread that a handler has started has no running loop
        self._loop = scope.session.loop if scope is not None else loop or asyncio.get_running_loop()
        self.sink: Sink[Any] | None = None
        self._outcome: Outcome | None = None
        self._departed = False
        self._crash: tuple[BaseException, str] | None = None
        self.principal: Any = None if scope is None else scope.session.proof.principal

    @property
    def peer(self) -> P | None:
        """The other side of the connection, a `Peer`, which a handler can call back; None for a call in one process."""
        return None if self._scope is None else self._scope.peer

    @property
    def outcome(self) -> Outcome | None:
        """How the call has ended; None while it runs. A handler that is cancelled because its side closes is "cancelled"."""
        if self._outcome is None and self.side == "callee" and self._scope is not None and self._scope.closing:
            return "cancelled"
        return self._outcome

    def _depart(self, outcome: Outcome) -> None:
        """Note the end of the call at its caller, its deadline, or that of its actor. What the handler does changes nothing."""
        self._outcome = outcome
        self._departed = True

    def _leave(self, error: Exception) -> None:
        """Note that the call ends with `error` for its other side, unless it has ended."""
        if self._outcome is None:
            self._depart(outcome_of(error))

    def _note(self, error: BaseException | None) -> None:
        """Note that the call, or an interceptor inside, has ended with `error`; None for a normal end or a swallowed error."""
        if self._departed:
            return
        if error is None:
            self._outcome = self._outcome or "ended"
            return
        lost = self._session is not None and isinstance(self._session.lost, ConnectionLost)
        if self.side == "caller":
            self._outcome = outcome_of(error)
        elif lost and isinstance(error, asyncio.CancelledError | ConnectionLost):
            self._outcome = "lost"
        elif isinstance(error, DeadlineExceeded) and self._is_late():
            self._outcome = "deadline"
        else:  # a handler whose own connection was lost, or whose own time-out has passed, has failed
            self._outcome = "failed" if isinstance(error, ConnectionLost | DeadlineExceeded) else outcome_of(error)

    def _note_crash(self, error: BaseException, error_id: str) -> None:
        """Note that the call has ended with the crash of an actor, which the log has under that id."""
        self._crash = error, error_id

    def _take_crash(self, error: BaseException) -> str:
        """Return the id under which the log has `error`, if it is the crash that was noted; empty for any other one."""
        crash, self._crash = self._crash, None  # an error holds the frames that hold this call
        return crash[1] if crash is not None and crash[0] is error else ""

    def _is_late(self) -> bool:
        remaining = self.time_remaining()
        return remaining is not None and remaining < TIMER_S

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline, never below zero; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - self._loop.time())

    @property
    def draining(self) -> bool:
        """Whether one of the two sides has begun to shut down: a handler with a long stream should then end it soon."""
        return self._session is not None and self._session.draining.is_set()

    async def wait_draining(self) -> None:
        """Wait until one of the two sides begins to shut down; for ever in one process. Safe to cancel."""
        if self._session is not None:
            await self._session.draining.wait()
        else:
            await asyncio.get_running_loop().create_future()  # a call in one process has no connection that could drain

    def _into(self, sink: Sink[Any] | None) -> Self:
        """Return itself, with the sink for the items of its handler."""
        self.sink = sink
        return self

    def _end(self) -> None:
        """Take the deadline away at the end of the call: work that its handler has started, and that goes on, has none."""
        self.deadline = None

    def __repr__(self) -> str:
        remaining = self.time_remaining()
        left = "no deadline" if remaining is None else f"{remaining:.3g} s left"
        return f"<CallInfo {self.side} {self.target} {self.kind}, {left}>"


def outcome_of(error: BaseException | None) -> Outcome:
    """Return the outcome of a call that has ended with `error`; None is a normal end."""
    if error is None or isinstance(error, EndOfStream):
        return "ended"
    if isinstance(error, ConnectionLost):
        return "lost"
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    return "cancelled" if isinstance(error, Cancelled | asyncio.CancelledError | GeneratorExit) else "failed"


current_call: ContextVar[CallInfo | None] = ContextVar("penstock_call", default=None)


class Unannounced(NamedTuple):
    """Two functions for a call that has no `CallInfo`: one makes it, the other returns the deadline of the call.

    A message within one process is such a call. `ActorSystem` sets the functions in the context of its actors.
    """

    call: Callable[[], CallInfo | None]
    deadline: Callable[[], float | None]


_OUTSIDE: Final = Unannounced(lambda: None, lambda: None)
unannounced_call: ContextVar[Unannounced] = ContextVar("penstock_unannounced", default=_OUTSIDE)


def context() -> CallInfo:
    """Return the `CallInfo` of the call that the running handler handles: its deadline, metadata, peer and principal.

    It works in the handler of a service, in the methods of an actor, in tasks that they start and in `asyncio.to_thread`.
    Raises `FailedPrecondition` outside a handler.
    """
    call = current_call.get() or unannounced_call.get().call()
    if call is None:
        raise FailedPrecondition("no call is being handled here; penstock.context() works inside a handler")
    return call


def leave_call() -> None:
    """Go on outside of the call that is handled here, in the running context: for work that may outlive that call."""
    current_call.set(None)
    unannounced_call.set(_OUTSIDE)
    feeding.set(None)


def loop_here() -> asyncio.AbstractEventLoop | None:
    """Return the event loop of the handler that runs here, or has started this thread; None outside of handlers."""
    call = current_call.get() or unannounced_call.get().call()
    return None if call is None else call._loop


def inherited_deadline(timeout_s: float | None, now_s: float) -> float | None:
    """Return the deadline of a new call: the sooner of its own time-out and the deadline of the call that is handled here."""
    own = None if timeout_s is None or timeout_s > NO_DEADLINE_S else now_s + timeout_s
    call = current_call.get()
    if call is not None:
        deadline = call.deadline
    else:
        unannounced = unannounced_call.get()
        deadline = None if unannounced is _OUTSIDE else unannounced.deadline()
    if deadline is None:
        return own
    return deadline if own is None else min(own, deadline)


#: A function that takes a `CallInfo` and returns an async context manager around the whole call, on either side. It is entered
#: before the call starts and left with its outcome. A `StatusError` raised before the ``yield`` refuses the call; an error
#: raised after it replaces the outcome. See `intercepted` for the rules.
Interceptor = Callable[[CallInfo], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def intercepted(
    interceptors: Sequence[Interceptor],
    call: CallInfo,
    *,
    swallowed: str | None = None,
    deadline: float | None = None,
) -> AsyncIterator[None]:
    """Run the body, which is the call, inside `interceptors`, the first one outermost. Each sees how the body ends.

    An interceptor may replace an error by another one, but not hide it.

    swallowed: the text of the `Aborted` to raise when an interceptor swallows an error of the body, or of an interceptor inside
        of it; None raises the swallowed error.
    deadline: the time by which interceptors and body must be over, in seconds of the loop's clock; None for no limit.

    Raises `DeadlineExceeded` at the deadline, and else the outcome. Cancelling it leaves every interceptor.
    """
    outcome: BaseException | None = None
    ended: BaseException | None = None
    trace: TracebackType | None = None
    limit, begun = asyncio.timeout_at(deadline), False
    try:
        async with limit, AsyncExitStack() as stack:
            try:
                await _enter_all(stack, interceptors, call, limit)
                begun = True
                yield
            except BaseException as error:
                outcome, trace = error, error.__traceback__
                raise
    except TimeoutError:
        if limit.expired():
            raise _too_late(call) from None
        raise
    except BaseException as error:
        ended = error if begun and error is outcome else _of_one_call(error, call)
        if ended is error:
            raise
        raise ended from error
    else:
        if outcome is not None:  # an interceptor swallowed it
            # As contextlib does with an error that goes on: without the frames of the interceptors, whose callers hold it.
            outcome.__traceback__ = trace and trace.tb_next
            if limit.expired() and not is_cancelled():
                raise _too_late(call)
            if swallowed is not None:
                raise Aborted(swallowed)
            raise outcome if begun else _of_one_call(outcome, call)
    finally:
        outcome = trace = ended = None  # an error holds this frame, which must not hold the error


def _of_one_call(error: BaseException, call: CallInfo) -> BaseException:
    """Return an error of an interceptor as that of its call: one that would end the program or the task ends one call."""
    is_of_the_task = isinstance(error, asyncio.CancelledError) and is_cancelled()
    return error if is_of_the_task or ends_the_loop(error) else as_exception(error, f"{call.target}: an interceptor")


async def _enter_all(
    stack: AsyncExitStack, interceptors: Sequence[Interceptor], call: CallInfo, limit: asyncio.Timeout
) -> None:
    def note(_kind: object, error: BaseException | None, _trace: object) -> None:
        call._note(_too_late(call) if limit.expired() and isinstance(error, asyncio.CancelledError) else error)

    for interceptor in interceptors:
        await stack.enter_async_context(interceptor(call))
        stack.push(note)  # before this interceptor is left: one inside of it may have replaced the outcome


def is_cancelled() -> bool:
    """Whether the running task is cancelled, and not only what it waits for. A time-out has taken its own cancellation back."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _too_late(call: CallInfo) -> DeadlineExceeded:
    return DeadlineExceeded(f"{call.target}: the deadline passed before the call was over")
