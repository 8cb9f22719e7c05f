"""`Dispatcher`: the services of one side. It finds the method of a call that the peer opens and begins its handler."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final, Protocol

from penstock.calls._interceptors import Interceptor
from penstock.calls._scope import CallScope
from penstock.calls._server_call import ServerCall
from penstock.codec import by_number
from penstock.errors import Internal, ResourceExhausted, StatusError, Unimplemented
from penstock.protocol import CallKind
from penstock.service import Method, service_of, suggest
from penstock.session import StreamHandle

log = logging.getLogger("penstock.calls")

#: Characters of an error's text that travel with `expose_errors=True`.
EXPOSED_MAX: Final = 1024


class Arrive(Protocol):
    """The function that takes streams whose target begins with a slash: those to actors."""

    def __call__(self, dispatcher: Dispatcher, scope: CallScope, stream: StreamHandle) -> None:
        """Take a stream that the peer opened. Raises the `StatusError` that refuses it."""


class Dispatcher:
    """The services of one side, ready to be called.

    `interceptors` go around every call. `expose_errors` sends the text of unexpected errors to the caller. `arrive` takes the
    streams to actors, None where there are none. `built_in` are services that no listing of this side shows.
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
        for service in services:
            if isinstance(service, type):
                raise TypeError(f"{service.__name__} is a class; serve an object of it: {service.__name__}()")
            if hasattr(service, "_penstock_hidden"):
                raise TypeError(f"{service!r} is an actor; spawn it in an ActorSystem, and serve the system")
        self.services = [(service_of(type(one)), one) for one in services]
        self.interceptors = tuple(interceptors)
        self.expose_errors = expose_errors
        self._arrive = arrive
        self._methods: dict[str, tuple[Method, Any]] = {}
        for described, service in [*self.services, *((service_of(type(one)), one) for one in built_in)]:
            for method in described.methods.values():
                if method.target in self._methods:
                    raise ValueError(f"two services answer to {method.target}; give one of them a service_name")
                self._methods[method.target] = (method, getattr(service, method.name))

    def accept(self, scope: CallScope, stream: StreamHandle) -> None:
        """Take a stream that the peer opened: begin its handler, or refuse it with an error."""
        try:
            self._take(scope, stream)
        except StatusError as error:
            error.started = False
            refusal: StatusError = error.fresh_copy()  # `error` holds this frame, which must not hold it
        except Exception:  # this runs where the connection is read: no argument may end it
            log.exception("a call of %r could not be read", stream.opened.target)
            refusal = Internal("the call could not be read", started=False)
        else:
            return
        stream.fail(refusal)

    def _take(self, scope: CallScope, stream: StreamHandle) -> None:
        """Begin a call. Raises the `StatusError` that refuses it."""
        if len(scope.tasks) >= scope.session.settings.max_streams:  # streams that were cancelled, and clean up, count too
            raise ResourceExhausted(f"{len(scope.tasks)} handlers run for this connection (Settings.max_streams)")
        target = stream.opened.target
        if target.startswith("/"):
            if self._arrive is None:
                raise Unimplemented(f"this side has no actors, so it cannot take {target!r}", started=False)
            self._arrive(self, scope, stream)
            return
        entry = self._methods.get(target)
        if entry is None:
            targets = [method.target for described, _service in self.services for method in described.methods.values()]
            hint = suggest(target, targets, "methods") if targets else "nothing is served here"
            raise Unimplemented(f"unknown method {target!r}; {hint}", started=False)
        self.begin(scope, stream, *entry)

    def begin(
        self,
        scope: CallScope,
        stream: StreamHandle,
        method: Method,
        handler: Any,
        guards: Sequence[Interceptor] = (),
        *,
        arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
    ) -> None:
        """Run `handler` for a stream that the peer opened. Raises the `StatusError` that refuses it.

        `guards` go inside of the interceptors; `arguments` are given where those of the stream were decoded already.
        """
        opened = stream.opened
        if method.kind != opened.kind:
            raise Unimplemented(f"{method.target} is {method.kind.label}, not {CallKind(opened.kind).label}", started=False)
        if arguments is None:
            arguments = method.arguments.decode(by_number(opened.codec), opened.argument)
        stream.forget_argument()
        call = ServerCall(scope, stream, method, (*self.interceptors, *guards), self.internal)
        call.start(handler, *arguments)

    def internal(self, where: str, raised: BaseException, *, logged: bool = False) -> StatusError:
        """Log an unexpected error of a handler, and return the error for the caller: it carries an id to find the log by.

        `logged` says that its traceback is in the log already.
        """
        error_id = secrets.token_hex(4)
        text = _text_of(raised)
        log.error("error %s in %s: %s", error_id, where, text, exc_info=None if logged else raised)
        if self.expose_errors:
            return Internal(text[:EXPOSED_MAX], {"error_id": error_id})
        return Internal(f"{where} raised; its log has the text under {error_id}", {"error_id": error_id})


def _text_of(error: BaseException) -> str:
    """Return the text of an error, also of one whose `__str__` raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a broken __str__ is no reason to leave the caller without an answer
        return type(error).__name__
