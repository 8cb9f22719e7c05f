"""`Dispatcher`: the services of one side. It finds the method of a call that the peer opens, and begins its handler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from penstock._outcomes import ends_the_loop, log_error
from penstock.calls._context import Interceptor
from penstock.calls._scope import CallScope
from penstock.calls._server_call import ServerCall
from penstock.codec import by_number
from penstock.errors import Internal, StatusError, Unimplemented
from penstock.protocol import CallKind
from penstock.service import Arguments, Method, served, suggest
from penstock.session import StreamHandle

log = logging.getLogger("penstock.calls")


#: The start of the targets of built-in services. Each client may call them; those that give something away ask for access.
BUILT_IN_TARGETS: Final = "Penstock/"


class Found(NamedTuple):
    """The handler of a call, as it was found.

    method: its types, and the target in errors.
    handler: the function to call.
    innermost: interceptors of this call alone, inside the others.
    arguments: the decoded arguments; None for those of the stream, which are not decoded yet.
    """

    method: Method
    handler: Callable[..., Any]
    innermost: tuple[Interceptor, ...] = ()
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None


class FindActor(Protocol):
    """The function that finds the handlers of calls to actors, whose targets begin with a slash."""

    def __call__(self, dispatcher: Dispatcher, scope: CallScope, handle: StreamHandle) -> Found | None:
        """Return the handler of a stream that the peer opened; None for a lane or a channel, which has begun.

        Raises the `StatusError` that refuses the stream.
        """


class Dispatcher:
    """The services of one side, ready to be called.

    services: the objects to serve, each with its methods.
    interceptors: entered around every call, the first one outermost.
    expose_errors: whether the text of unexpected errors is sent to the caller.
    find_actor: finds the handlers of calls to actors; None on a side without actors.
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
        find_actor: FindActor | None = None,
        built_in: Sequence[object] = (),
    ) -> None:
        self.services = [served(service) for service in services]
        self.interceptors = tuple(interceptors)
        self.expose_errors = expose_errors
        self._find_actor = find_actor
        self._methods: dict[str, Found] = {}
        for one in [*self.services, *map(served, built_in)]:
            for method in one.schema.methods.values():
                if method.target in self._methods:
                    raise ValueError(f"two services answer to {method.target}; give one of them a service_name")
                self._methods[method.target] = Found(method, one.handlers[method.name])

    def accept(self, scope: CallScope, handle: StreamHandle) -> None:
        """Begin the handler of a stream that the peer opened, let it wait for room, or refuse it. It never raises."""
        if scope.waiting or len(scope.tasks) >= scope.waiting.tasks_max:
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
        call = ServerCall(scope, handle, method, self.interceptors, exposed=self.expose_errors)
        call.call.kind = CallKind(handle.opened.kind).label
        call.start(answer, (), {})

    def _begin_call(self, scope: CallScope, handle: StreamHandle) -> None:
        """Find the handler of a call and begin it. Raises the `StatusError` that refuses it."""
        target = handle.opened.target
        if not target.startswith("/"):
            found = self._methods.get(target)
            if scope.restricted and not target.startswith(BUILT_IN_TARGETS):
                scope.check_access(target, "stream" if handle.opened.kind else "call")
            if found is None:
                raise Unimplemented(self._unknown(target), started=False)
        elif self._find_actor is None:
            raise Unimplemented(f"this side serves no actors, so it cannot handle {target!r}", started=False)
        else:
            found = self._find_actor(self, scope, handle)
        if found is not None:
            self._begin(scope, handle, found)

    def _unknown(self, target: str) -> str:
        """Return the text of the error for a target that is not served."""
        service, _slash, name = target.partition("/")
        for one in self.services:
            if one.schema.name == service and name in one.schema.left_out:
                return f"{target!r} cannot be called: {one.schema.left_out[name]}"
        targets = [method.target for one in self.services for method in one.schema.methods.values()]
        return f"unknown method {target!r}; {suggest(target, targets, 'methods') if targets else 'nothing is served here'}"

    def _begin(self, scope: CallScope, handle: StreamHandle, found: Found) -> None:
        """Run the handler of a stream that the peer opened. Raises the `StatusError` that refuses it."""
        opened, (method, handler, innermost, arguments) = handle.opened, found
        if method.kind != opened.kind:
            raise Unimplemented(f"{method.target} is {method.kind.label}, not {CallKind(opened.kind).label}", started=False)
        if arguments is None:
            arguments = method.arguments.decode(by_number(opened.codec), opened.argument)
        handle.forget_argument()
        call = ServerCall(scope, handle, method, (*self.interceptors, *innermost), exposed=self.expose_errors)
        call.start(handler, *arguments)
