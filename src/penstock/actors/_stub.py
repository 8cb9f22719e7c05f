"""An actor as an object with the methods of its class, and the functions `tell` and `ref` for such objects."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Literal, ParamSpec, Protocol, overload

from penstock.actors._ref import ActorRef
from penstock.errors import Unimplemented
from penstock.service import DEFAULT, CallOptions, Method, Service, changed

P = ParamSpec("P")
#: Names of `ActorRef` that a user may look for on a stub.
HIDDEN: Final = frozenset({"address", "id", "stop", "open_channel", "subscribe", "stream", "ask", "tell"})


class ActorStub:
    """Stands for an actor of this process or another. Each method is made when it is first used."""

    def __init__(
        self, ref: ActorRef, service: Service, options: CallOptions = DEFAULT, mode: Literal["ask", "tell"] = "ask"
    ) -> None:
        self._penstock_ref = ref
        self._penstock_service = service
        self._penstock_options = options
        self._penstock_mode = mode

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):  # copy and pickle look for these, before there is a service
            raise AttributeError(name)
        service, ref = self._penstock_service, self._penstock_ref
        if name in HIDDEN and name not in service.methods:
            raise AttributeError(f"a stub has only the methods of its actor; use penstock.ref(stub).{name}")
        try:
            method = service.method(name)
        except Unimplemented as error:
            raise AttributeError(error.message) from None
        if self._penstock_mode == "ask":
            bound = ref._asking(method, self._penstock_options)
            vars(bound)["_penstock_tell"] = partial(_telling, ref, service, method, self._penstock_options)
        else:
            bound = _telling(ref, service, method, self._penstock_options)
        bound.__name__ = bound.__qualname__ = name
        bound.__doc__ = method.doc
        self.__dict__[name] = bound
        return bound

    def __dir__(self) -> list[str]:
        """Offer the methods of the actor to completion; to that of a tell, those that can be told."""
        methods = self._penstock_service.methods.values()
        return [method.name for method in methods if self._penstock_mode == "ask" or not method.kind]

    def _penstock_with_options(self, changes: Mapping[str, Any]) -> ActorStub:
        return ActorStub(self._penstock_ref, self._penstock_service, changed(self._penstock_options, changes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorStub) and self._penstock_ref == other._penstock_ref

    def __hash__(self) -> int:
        return hash(self._penstock_ref)

    def __repr__(self) -> str:
        return f"<{self._penstock_service.name} {self._penstock_ref!r}>"


class Telling(Protocol):
    """An actor whose methods send their message and wait for no answer, for type checkers: they do not know its methods."""

    def __getattr__(self, name: str, /) -> Callable[..., Coroutine[Any, Any, None]]:
        """Return the function that sends a message of this name."""
        raise NotImplementedError


def _telling(ref: ActorRef, service: Service, method: Method, options: CallOptions) -> Callable[..., Any]:
    """Return the function that tells the actor. Raises `AttributeError` for a method that streams."""
    if method.kind:
        raise AttributeError(f"{service.name}.{method.name} streams; only a message can be told")
    return ref._telling(method, options)


def ref(actor: object) -> ActorRef:
    """Return the `ActorRef` of a stub: it has the address, `stop`, `open_channel`, `subscribe` and the untyped verbs.

    Inside an actor, ``penstock.ref(self)`` is its own; an `ActorRef` is returned as it is. Raises `TypeError` for any other
    object.
    """
    if isinstance(actor, ActorRef):
        return actor
    own = getattr(actor, "_penstock_ref", None)
    if not isinstance(own, ActorRef):
        raise TypeError(f"{actor!r} is not an actor stub; use the object that spawn(...) or actor(...) returned")
    return own


@overload
def tell(  # type: ignore[overload-overlap] # an actor that is a function as well is told as one
    actor: Callable[P, Coroutine[Any, Any, Any]],
) -> Callable[P, Coroutine[Any, Any, None]]: ...
@overload
def tell(actor: object) -> Telling: ...
def tell(actor: object) -> Any:
    """Return a stub of the same actor whose methods send their message and wait for no answer, only for room in the mailbox.

    ``await penstock.tell(counter).add(1)``: fire and forget; the result is None. ``await penstock.tell(counter.add)(1)`` does
    the same, and type checkers check the arguments. Await it: an unawaited one sends nothing. It raises the errors of
    `ActorRef.tell`, and a cancelled one sends nothing.

    actor: a stub of an actor, or a method of one. Streaming methods cannot be told: `AttributeError`.

    Raises `TypeError` for any other object.
    """
    telling_method = getattr(actor, "__dict__", {}).get("_penstock_tell")
    if telling_method is not None:
        return telling_method()
    if not isinstance(actor, ActorStub):
        raise TypeError(f"{actor!r} is not an actor stub; use the object that spawn(...) or actor(...) returned")
    cached = actor.__dict__.get("_penstock_telling")
    if cached is None:
        cached = ActorStub(actor._penstock_ref, actor._penstock_service, actor._penstock_options, "tell")
        actor.__dict__["_penstock_telling"] = cached
    return cached
