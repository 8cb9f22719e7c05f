"""Where the end behind a ref is, and who may have it: the one place that decides it, for both kinds. It opens no call.

::

    here ──encoded──▶ here, on offer ──claimed from elsewhere | reclaimed──▶ gone
    here | here, on offer ──used──▶ in use                         far ──used──▶ in use (by a call)
    far ──encoded──▶ far, on offer: whoever claims it is relayed
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from penstock.calls import call_unary, untyped_request
from penstock.codec import Extension
from penstock.errors import FailedPrecondition, StatusError
from penstock.protocol import CallKind
from penstock.refs._offers import TOKEN_BYTES, Offered, RefLocation, offers
from penstock.refs._routes import route_to

E = TypeVar("E")

RELEASE: Final = "Penstock/release"


class RefState(Generic[E]):
    """The end `end` itself, or the place where it is."""

    __slots__ = ("end", "gone", "item", "location", "token")

    def __init__(self, end: E | None, location: RefLocation | None = None, item: Any = Any) -> None:
        self.end = end
        self.location = location
        self.item = item
        self.token: bytes | None = None
        self.gone: StatusError | None = None

    def offer(self, ref: Offered) -> RefLocation:
        """Put the ref on offer, once. Raises why it cannot be sent."""
        if self.gone is not None:
            raise self.gone.fresh_copy()
        if self.token is not None and offers().find(self.token) is ref:
            return RefLocation(offers().instance, self.token)
        location = offers().put(ref)
        self.token = location.token
        return location

    def leave(self, refusal: StatusError) -> E | RefLocation:
        """Give the end to somebody; `refusal` is what everybody else gets. Raises the refusal of who came before."""
        if self.gone is not None:
            raise self.gone.fresh_copy()
        self.gone = refusal
        end, self.end = self.end, None
        if end is not None:
            return end
        assert self.location is not None  # noqa: S101 - a ref has one or the other
        return self.location

    def use(self, what: str) -> E | RefLocation:
        """Give the end to the user of the ref, here. Raises `Unavailable`, and changes nothing, when no way leads to it."""
        if self.gone is None and self.location is not None:
            route_to(self.location)
        left = self.leave(FailedPrecondition(f"this {what} is in use here, and cannot be sent any more"))
        if self.token is not None:
            offers().withdraw(self.token)
        return left

    def describe(self) -> str:
        """Say in a word where the end is."""
        if self.gone is not None:
            return "gone" if self.token is not None else "in use"
        where = "here" if self.location is None else f"far, {self.location.short}"
        return f"{where}, on offer" if self.token is not None else where


def travelling(code: int, held: Callable[[Any], RefState[Any]], make: Callable[[RefState[Any]], Any]) -> Extension[Any]:
    """Return how the refs of one kind travel: as the place where they are on offer. `held` is what is in a ref.

    One that comes home is the very object that left.
    """

    def pack(ref: Any) -> bytes:
        location = held(ref).offer(ref)
        return location.instance + location.token

    def unpack(data: bytes) -> Any:
        if len(data) != 2 * TOKEN_BYTES:
            raise ValueError(f"the end of a stream in {len(data)} bytes, where it has {2 * TOKEN_BYTES}")
        location = RefLocation(data[:TOKEN_BYTES], data[TOKEN_BYTES:])
        if not is_here(location):
            return make(RefState(None, location))
        known = offers().find(location.token)
        if known is not None:
            return known
        lost: RefState[Any] = RefState(None, location)
        lost.gone = offers().refusal(location.token)
        return make(lost)

    def fit(ref: Any, kind: Any) -> Any:
        now = held(ref)
        arguments = getattr(kind, "__args__", ())
        if arguments and now.location is not None:
            now.item = arguments[0]
        return ref

    return Extension(code, pack, unpack, fit)


async def released(location: RefLocation) -> None:
    """Tell the process where the end is that nobody will use it. One that cannot be told takes it back in time."""
    with suppress(StatusError):
        await call_unary(route_to(location), untyped_request(RELEASE, CallKind.UNARY, (location.token,)))


def is_here(location: RefLocation) -> bool:
    """Whether this end is at the running event loop."""
    return location.instance == offers().instance
