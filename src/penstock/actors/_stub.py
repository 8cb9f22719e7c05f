"""An actor as an object with the methods of its class, and `tell` and `ref` of it. It knows no transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, cast

from penstock.actors._ref import ActorRef
from penstock.errors import Unimplemented
from penstock.service import DEFAULT, CallOptions, Service, changed

A = TypeVar("A")
#: What a user may look for on a stub, and finds on a ref.
HIDDEN: Final = frozenset({"address", "id", "stop", "open_channel", "subscribe", "stream", "ask", "tell"})


class ActorStub:
    """Stands for an actor, here or elsewhere. Its methods are made when they are first asked for."""

    def __init__(
        self, ref: ActorRef, service: Service, options: CallOptions = DEFAULT, mode: Literal["ask", "tell"] = "ask"
    ) -> None:
        self._penstock_ref = ref
        self._penstock_service = service
        self._penstock_options = options
        self._penstock_mode = mode

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):  # Python looks for these by itself, before there is a service
            raise AttributeError(name)
        service, ref = self._penstock_service, self._penstock_ref
        if name in HIDDEN and name not in service.methods:
            raise AttributeError(f"a stub has only the methods of its actor; penstock.ref(stub) has .{name}, if anything has")
        try:
            method = service.method(name)
        except Unimplemented as error:
            raise AttributeError(error.message) from None
        if self._penstock_mode == "ask":
            bound = ref._asking(method, self._penstock_options)
        elif method.kind:
            raise AttributeError(f"{service.name}.{name} streams; only a message can be told")
        else:
            bound = ref._telling(method, self._penstock_options)
        bound.__name__ = bound.__qualname__ = name
        bound.__doc__ = method.doc
        self.__dict__[name] = bound
        return bound

    def _penstock_with_options(self, changes: Mapping[str, Any]) -> ActorStub:
        return ActorStub(self._penstock_ref, self._penstock_service, changed(self._penstock_options, changes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorStub) and self._penstock_ref == other._penstock_ref

    def __hash__(self) -> int:
        return hash(self._penstock_ref)

    def __repr__(self) -> str:
        return f"<{self._penstock_service.name} {self._penstock_ref!r}>"


def ref(actor: object) -> ActorRef:
    """Return the `ActorRef` of a stub: its address, `stop`, `open_channel` and the untyped verbs.

    Inside an actor, ``penstock.ref(self)`` is its own. Raises `TypeError` for anything else.
    """
    if isinstance(actor, ActorRef):
        return actor
    found = getattr(actor, "_penstock_ref", None)
    if not isinstance(found, ActorRef):
        raise TypeError(f"{actor!r} is no actor's stub; use what spawn(...) or actor(...) returned")
    return found


def tell(actor: A) -> A:
    """Return the same stub, whose methods send their message and wait for nothing but room in the mailbox.

    ``await penstock.tell(counter).add(1)``: fire and forget. Raises `TypeError` for something that is no stub, and later what
    `ActorRef.tell` raises.
    """
    if not isinstance(actor, ActorStub):
        raise TypeError(f"{actor!r} is no actor's stub; use what spawn(...) or actor(...) returned")
    cached = actor.__dict__.get("_penstock_telling")
    if cached is None:
        cached = ActorStub(actor._penstock_ref, actor._penstock_service, actor._penstock_options, "tell")
        actor.__dict__["_penstock_telling"] = cached
    return cast("A", cached)
