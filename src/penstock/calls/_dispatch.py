"""`Dispatcher`: the services of one side. It finds the method of a call that the peer opens, and begins its handler."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

from penstock._outcomes import ends_the_loop, log_error, named, new_error_id
from penstock._texts import peer_text
from penstock.calls._context import Interceptor
from penstock.calls._scope import CallScope
from penstock.calls._server_call import ServerCall
from penstock.codec import by_number
from penstock.errors import Internal, StatusError, Unimplemented
from penstock.protocol import CallKind
from penstock.service import Arguments, Method, served, suggest
from penstock.session import StreamHandle

log = logging.getLogger("penstock.calls")

#: Characters of an error's text that travel with `expose_errors=True`.
EXPOSED_MAX: Final = 1024


class Arrive(Protocol):
    """The function that handles the streams to actors, whose targets begin with a slash."""

    def __call__(self, dispatcher: Dispatcher, scope: CallScope, handle: StreamHandle) -> None:
        """Begin to handle a stream that the peer opened. Raises the `StatusError` that refuses it."""


class Dispatcher:
    """The services of one side, ready to be called.

    services: the objects to serve, each with its methods.
    interceptors: entered around every call, the first one outermost.
    expose_errors: whether the text of unexpected errors is sent to the caller.
    arrive: handles the streams to actors; None on a side without actors.
    built_in: services that reflection does not list.

    Raises `TypeError` for a class, an actor, or a service with a type that cannot travel; `ValueError` for two methods with the
    same target.
    """

    def __init__(
        self,
        services: Sequence[object],
        interceptors: Sequence[Interceptor],
        *,
        expose_errors: bool,
        arrive: Arrive | None = None,
        built_in: Sequence[object] = (),
    ) -> None:
        self.services = [served(service) for service in services]
        self.interceptors = tuple(interceptors)
        self.expose_errors = expose_errors
        self._arrive = arrive
        self._methods: dict[str, tuple[Method, Any]] = {}
        for one in [*self.services, *map(served, built_in)]:
            for method in one.schema.methods.values():
                if method.target in self._methods:
                    raise ValueError(f"two services answer to {method.target}; give one of them a service_name")
                self._methods[method.target] = (method, one.handlers[method.name])

    def accept(self, scope: CallScope, handle: StreamHandle) -> None:
        """Begin the handler of a stream that the peer opened, let it wait for room, or refuse it. It never raises."""
        if scope.waiting.is_needed():
            scope.waiting.add(handle, partial(self._begin_or_refuse, scope))
        else:
            self._begin_or_refuse(scope, handle)

    def _begin_or_refuse(self, scope: CallScope, handle: StreamHandle) -> None:
        try:
            self._begin_call(scope, handle)
        except StatusError as error:
            error.started = False
            refusal: StatusError = error.fresh_copy()  # `error` holds this frame, which must not hold it
        except BaseException as error:  # this runs where the connection is read: an error here must not end the connection
            log_error(log, error, "a call of %.200r could not be begun", handle.opened.target)
            handle.fail(Internal("the call could not be begun", started=False))
            if ends_the_loop(error):
                raise
            return
        else:
            return
        self.refuse(scope, handle, refusal)

    def refuse(self, scope: CallScope, handle: StreamHandle, error: StatusError) -> None:
        """Answer a call with `error`, inside the interceptors: the error of one that refuses the caller comes first."""
        if not self.interceptors:
            handle.fail(error)
            return

        async def answer() -> Any:
            raise error.fresh_copy()

        target = handle.opened.target
        method = Method(target, "", CallKind.UNARY, Arguments(target, (), None), Any, Any, awaited=True, doc="")
        handle.forget_argument()
        call = ServerCall(scope, handle, method, self.interceptors, self.internal)
        call.call.kind = CallKind(handle.opened.kind).label
        call.start(answer, (), {})

    def _begin_call(self, scope: CallScope, handle: StreamHandle) -> None:
        """Find the method of a call and begin it. Raises the `StatusError` that refuses it."""
        target = handle.opened.target
        if target.startswith("/"):
            if self._arrive is None:
                raise Unimplemented(f"this side serves no actors, so it cannot handle {target!r}", started=False)
            self._arrive(self, scope, handle)
            return
        entry = self._methods.get(target)
        if entry is None:
            raise Unimplemented(self._unknown(target), started=False)
        self.begin(scope, handle, *entry)

    def _unknown(self, target: str) -> str:
        """Return the text of the error for a target that is not served."""
        service, _slash, name = target.partition("/")
        for one in self.services:
            if one.schema.name == service and name in one.schema.left_out:
                return f"{target!r} cannot be called: {one.schema.left_out[name]}"
        targets = [method.target for one in self.services for method in one.schema.methods.values()]
        return f"unknown method {target!r}; {suggest(target, targets, 'methods') if targets else 'nothing is served here'}"

    def begin(
        self,
        scope: CallScope,
        handle: StreamHandle,
        method: Method,
        handler: Any,
        guards: Sequence[Interceptor] = (),
        *,
        arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
    ) -> None:
        """Run `handler` for a stream that the peer opened. Raises the `StatusError` that refuses it.

        guards: interceptors of this call alone, inside the others.
        arguments: the decoded arguments, when the caller of `begin` has decoded those of the stream.
        """
        opened = handle.opened
        if method.kind != opened.kind:
            raise Unimplemented(f"{method.target} is {method.kind.label}, not {CallKind(opened.kind).label}", started=False)
        if arguments is None:
            arguments = method.arguments.decode(by_number(opened.codec), opened.argument)
        handle.forget_argument()
        call = ServerCall(scope, handle, method, (*self.interceptors, *guards), self.internal)
        call.start(handler, *arguments)

    def internal(self, where: str, raised: BaseException, error_id: str = "") -> StatusError:
        """Log an unexpected error of a handler under an id, and return the `Internal` with that id for the caller.

        where: the target, for the log and the message.
        error_id: the id under which the log has the error already, as that of a crash; empty for an error that is logged here.
        """
        text = peer_text(named(raised))  # it may quote an argument
        if not error_id:
            error_id = new_error_id()
            log_error(log, raised, "error %s in %s: %s", error_id, where, text)
        if self.expose_errors:
            return Internal(text[:EXPOSED_MAX], {"error_id": error_id})
        return Internal(f"{where} raised; its log has the text under {error_id}", {"error_id": error_id})
