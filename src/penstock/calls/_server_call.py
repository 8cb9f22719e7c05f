"""`ServerCall`: one call at its callee, from the start of the handler to the outcome that the caller gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from penstock._outcomes import as_answer, as_exception, as_internal, ends_the_loop
from penstock.calls._context import CallInfo, Interceptor, current_call, intercepted, outcome_of
from penstock.calls._scope import CLEANUP_S, CallScope
from penstock.codec import MSGPACK, UNENCODABLE, by_number, refuse_value
from penstock.errors import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    EndOfStream,
    InvalidArgument,
    StatusError,
    StreamCancelled,
    StreamClosed,
    Unavailable,
)
from penstock.protocol import Cancel, Grant, Status, grant_wished
from penstock.service import PRIORITIES, Method
from penstock.session import Endpoint, RemoteSink, RemoteSource, Session, StreamHandle
from penstock.streams import KeptEncoded, Source


class ServerCall(Endpoint):
    """One call that is being handled: the endpoint of its stream, and the task of its handler.

    call: the `CallInfo` for the handler.
    source: the caller's items; None for a kind without requests.
    sink: takes the handler's items; None for a kind with one response.

    With the argument `exposed` the caller gets the text of an unexpected error.
    """

    __slots__ = (
        "_deadline",
        "_departure",
        "_ended",
        "_expired",
        "_exposed",
        "_handle",
        "_interceptors",
        "_is_capped",
        "_method",
        "_name",
        "_patience",
        "_scope",
        "_started",
        "_task",
        "call",
        "sink",
        "source",
    )

    def __init__(
        self,
        scope: CallScope,
        handle: StreamHandle,
        method: Method,
        interceptors: tuple[Interceptor, ...],
        *,
        exposed: bool,
    ) -> None:
        session, opened = handle.session, handle.opened
        self._handle = handle
        self._scope = scope
        self._interceptors = interceptors
        self._exposed = exposed
        self._method = method
        self._name = method.target.removeprefix("/")
        self._departure: Exception | None = None  # the reason, once the caller has left
        self._expired = False
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.source: RemoteSource[Any] | None = None
        self.sink: RemoteSink[Any] | None = None
        self._ended = False  # whether the caller has ended its requests before they were accepted
        if method.streams_responses:
            self.sink = handle.sink(by_number(opened.codec))
        if method.kind and not interceptors:
            _accept(self, handle.accept_on_arrival)
        left_s = None if opened.deadline_ms is None else opened.deadline_ms / 1000
        limit_s = session.settings.max_call_s
        self._is_capped = limit_s is not None and not method.kind and (left_s is None or left_s > limit_s)
        if self._is_capped:
            left_s = limit_s
        deadline = None if left_s is None else session.loop.time() + left_s
        self.call = CallInfo(
            method.target,
            method.kind.label,
            "callee",
            metadata=opened.metadata,
            deadline=deadline,
            scope=scope,
            priority=PRIORITIES[opened.priority],
        )
        self.call.sink = self.sink
        self.call._session = cast("Session", handle.session)

    def start(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler in a task."""
        if self.call.deadline is not None:
            self._deadline = self._scope.session.loop.call_at(self.call.deadline, self._expire)
        self._started = False
        self._task: asyncio.Task[None] | None = None
        self._handle.begin_handling(self)
        task = self._scope.own_handler(self._run(handler, args, kwargs))
        if not task.done():  # an eager task may have ended here
            self._task = task

    # ── the events of the stream ──────────────────────────────────────────────────────────────────────────────────────

    def on_items(self) -> None:
        if self.source is not None:
            self.source.wake()

    def on_room(self) -> None:
        if self.sink is not None:
            self.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        self._ended = True
        if self.source is not None:
            self.source.finish(EndOfStream())

    def on_cancelled(self, cancel: Cancel) -> None:
        self.call._depart("deadline" if cancel.code == DeadlineExceeded.code else "cancelled")
        error = self._departure = StreamCancelled(f"{self._name}: the caller left. {cancel.message}".rstrip())
        if self.sink is not None:
            self.sink.finish(error)
        if self.source is not None:
            self.source.finish(error)
        self._stop()

    def on_lost(self, error: StatusError) -> None:
        """Let a handler read the requests that have arrived, and then `error`; cancel any other handler."""
        source, sink = self.source, self.sink
        self._departure = error
        if self.call.outcome is None:
            self.call._depart(outcome_of(error))
        if source is None or source.told:
            if sink is not None:
                sink.finish(error)
            self._stop()
            return
        source.finish(error)
        if sink is not None:
            sink.drops = lambda: not source.told
            sink.finish(error)
        _await_reader(self, source)

    def _expire(self) -> None:
        self._expired = True
        self.call._depart("deadline")
        self._stop()

    def _stop(self) -> None:
        """Cancel the task once, because a second cancellation would interrupt its clean-up.

        A task that has not begun never reports its outcome, so this does.
        """
        if self._deadline is not None:
            self._deadline.cancel()
        task = self._task
        if task is None:
            return
        if not task.cancelling():
            task.cancel()
        if not self._started:
            task.add_done_callback(self._scope.disown)
            self._report(self._cancelled())

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler inside the interceptors and give the caller its outcome."""
        self._started = True
        if self._task is None:
            _own_eager(self._scope)
        current_call.set(self.call)
        error: StatusError | None = None
        done = False
        try:
            if self._interceptors:
                await self._run_intercepted(handler, args, kwargs)
            elif self.sink is None:
                await self._answer(_encoded(self._handle, await _begin(self, handler, args, kwargs)))
            else:
                responses = _begin(self, handler, args, kwargs)
                await self.sink.feed(_passed_on(self, await responses if self._method.awaited else responses))
            done = True
        except asyncio.CancelledError:
            error = self._cancelled()
            if error is None:
                raise
        except BaseException as raised:
            failure = as_exception(raised, f"{self._name}: the handler")
            error = as_answer(failure, self._name) or _internal(self, failure)
            del failure  # it holds this frame
            if ends_the_loop(raised):
                raise
        finally:
            if not done and error is None:
                error = Aborted(f"{self._name}: the handler was stopped before it was done")
            self._conclude(error)
            self._scope.disown(asyncio.current_task())
            # an error holds this frame by its traceback, and a cancelled task holds its error: neither may keep the call alive
            self._task = None
            del error

    async def _run_intercepted(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler inside the interceptors, which see its outcome before the caller does."""
        answer: bytes | None = None
        swallowed = f"{self._name}: an interceptor swallowed the error that the handler raised"
        async with intercepted(self._interceptors, self.call, swallowed=swallowed):
            if self._departure is not None:
                await asyncio.sleep(0)  # this task is cancelled: the caller has left meanwhile
            if self._method.kind:
                _accept(self, self._handle.accept)  # not before: a refused caller does not learn what there is
            responses = _begin(self, handler, args, kwargs)
            if self.sink is None:
                answer = _encoded(self._handle, await responses)
            else:
                await self.sink.feed(_passed_on(self, await responses if self._method.awaited else responses))
        if answer is not None:
            await self._answer(answer)

    async def _answer(self, encoded: bytes) -> None:
        """Send the one response of a call."""
        if self._departure is None and not self._handle.answer(encoded):  # the caller has given no credit for one item yet
            self._handle.hold(len(encoded), answer=True)
            self.sink = self._handle.sink(by_number(self._handle.opened.codec))
            await self.sink.send(msgspec.Raw(encoded))

    def _conclude(self, error: StatusError | None) -> None:
        """Report how the call ended. An outcome that cannot travel becomes an `Internal`, or the caller would wait for ever."""
        self.call._note(error)
        try:
            self._report(error)
        except Exception as raised:  # noqa: BLE001 - the caller must get an outcome
            self._handle.fail(_internal(self, raised))

    def _report(self, error: StatusError | None) -> None:
        """Send the outcome to the caller, unless it has left, and release the call: the handler is done."""
        for timer in (self._deadline, self._patience):
            if timer is not None:
                timer.cancel()
        if self.source is not None:
            self.source.discard(StreamClosed(f"{self._name}: the handler has returned, and its requests are closed"))
        self.call._end()
        handle = self._handle
        handle.end_handling()
        if self._departure is not None or handle.wire.over:
            return
        if error is not None:
            handle.fail(error)
        elif self.sink is not None:
            if self.source is not None:
                handle.stop("the handler has returned")
            self.sink.close()

    def _cancelled(self) -> StatusError | None:
        """Return the error of a cancelled handler for the caller; None when the caller has left."""
        if self._departure is not None:
            return None
        if self._expired:
            why = "the deadline passed before the handler was done"
            if self._is_capped:
                why = f"its server gives a call {self._scope.session.settings.max_call_s:g} s (Settings.max_call_s)"
            return DeadlineExceeded(f"{self._name}: {why}")
        if self._scope.closing:
            self.call._depart("cancelled")
            return Unavailable(f"{self._name}: its side is shutting down")
        return Cancelled(f"{self._name}: the handler was cancelled")


def _own_eager(scope: CallScope) -> None:
    """Enter the running task, which is eager: its handler begins in `CallScope.own_handler`, before the scope has the task."""
    task = asyncio.current_task()
    if task is not None:
        scope.tasks.add(task)


def _internal(call: ServerCall, error: BaseException) -> StatusError:
    """Return an unexpected error of a handler as the caller gets it; the log has its text."""
    return as_internal(error, call._name, exposed=call._exposed, error_id=call.call._take_crash(error))


def _await_reader(call: ServerCall, source: RemoteSource[Any], before: int = -1) -> None:
    """Cancel the handler of a lost connection when it takes no request for `CLEANUP_S`. `before`: the requests it had taken."""
    received = source.statistics().received
    if received == before:
        call._stop()
    else:
        call._patience = call._scope.session.loop.call_later(CLEANUP_S, _await_reader, call, source, received)


def _accept(call: ServerCall, accept: Callable[[Grant | None], None]) -> None:
    """Accept a streaming call, with the first credit for its requests, and make their source."""
    method, handle = call._method, call._handle
    if not method.streams_requests:
        accept(None)
        return
    session = handle.session
    accept(grant_wished(session.settings, session.hello, handle.opened, method.window))
    call.source = handle.source(method.target, by_number(handle.opened.codec).decode_for(method.request))
    call.source.bad_item = InvalidArgument
    if call._ended:
        call.source.finish(EndOfStream())


def _begin(call: ServerCall, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the handler, with the source of the requests among its arguments."""
    if call.source is not None:
        args, kwargs = call._method.arguments.with_requests(args, kwargs, call.source)
    return handler(*args, **kwargs)


def _encoded(handle: StreamHandle, result: Any) -> bytes:
    """Return a result encoded. Raises `TypeError` for one that cannot travel."""
    try:
        return by_number(handle.opened.codec).encode(result)
    except UNENCODABLE as error:
        refuse_value(error, f"{handle.opened.target} returned a value that cannot travel", TypeError)


def _passed_on(call: ServerCall, responses: Any) -> Any:
    """Return the items of a handler as they are to be sent: those that are kept encoded, as they are."""
    if isinstance(responses, Source):
        call._scope.deliveries.pass_on(responses)
    if isinstance(responses, KeptEncoded) and by_number(call._handle.opened.codec) is MSGPACK:
        return responses._encoded()
    return responses
