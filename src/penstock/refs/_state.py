"""`RefState`: the location and the user of the end behind a ref, for both kinds of refs.

::

    here ──encoded──▶ here, on offer ──claimed by a peer | released | reclaimed──▶ gone
    here | here, on offer ──used──▶ in use                         far ──used──▶ in use (by a call)
    far ──encoded──▶ far, on offer: this process relays for the claimer
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from penstock.calls import call_unary, untyped_request
from penstock.codec import MSGPACK, UNENCODABLE, Extension, refuse_value
from penstock.errors import FailedPrecondition, StatusError
from penstock.protocol import CallKind
from penstock.refs._offers import TOKEN_BYTES, Offered, RefLocation, dropped, offers
from penstock.refs._routes import guarded, route_to
from penstock.streams import finalize_on

E = TypeVar("E")

RELEASE: Final = "Penstock/release"
FORGET: Final = "Penstock/forget"
#: Whether an item is being encoded for a number of receivers that is not known.
_encoded_for_many: Final[ContextVar[bool]] = ContextVar("penstock_encoded_for_many", default=False)


class RefState(Generic[E]):
    """The state of one ref.

    end: the end of the stream, in the process that made the ref; else None.
    location: its location, in another process; else None.
    item: the type of its items, from a type hint; `Any` without one.
    copies: the tokens of its copies on offer.
    sent: whether it was ever encoded.
    refusal: the error of further uses, once the end is claimed, in use or reclaimed; else None.
    """

    __slots__ = ("_loop", "copies", "end", "item", "location", "refusal", "sent")

    def __init__(self, end: E | None, location: RefLocation | None = None, item: Any = Any) -> None:
        self.end = end
        self.location = location
        self.item = item
        self.copies: set[bytes] = set()
        self.sent = False
        self.refusal: StatusError | None = None
        self._loop = None if location is None else weakref.ref(asyncio.get_running_loop())
        if location is not None:
            offers().received[location] += 1

    def offer(self, offered: Offered) -> RefLocation:
        """Put a new copy of the ref on offer; return its location. Raises the refusal of a ref in use."""
        if self.refusal is not None:
            raise self.refusal.fresh_copy()
        location = offers().put(offered, self.copies, for_many=_encoded_for_many.get())
        self.sent, self._loop = True, weakref.ref(asyncio.get_running_loop())
        return location

    def hand_over(self, refusal: StatusError) -> E | RefLocation:
        """Return the end, or its location, for its one user. Later calls raise `refusal`, as this one raises an earlier one."""
        if self.refusal is not None:
            raise self.refusal.fresh_copy()
        self.refusal = refusal
        end, self.end = self.end, None
        if end is not None:
            return end
        assert self.location is not None  # noqa: S101 - a ref has an end or a location
        return self.location

    def use(self, kind: str) -> E | RefLocation:
        """Return the end, or its location, for a use of the ref on this side.

        kind: the class of the ref, for the message of later uses.

        Raises `Unavailable`, and changes nothing, without a connection to its process; the refusal of an earlier use.
        """
        if self.refusal is None and self.location is not None:
            route_to(self.location)
        end = self.hand_over(FailedPrecondition(f"this {kind} is in use here, and cannot be sent any more"))
        if self.copies:
            offers().withdraw_all(self.copies)
        return end

    def __del__(self) -> None:
        home = getattr(self, "_loop", None)
        loop = None if home is None else home()
        if loop is None or loop.is_closed():  # also at the exit of Python, where the names of this module are gone
            return
        if self.copies:
            finalize_on(loop, partial(_withdraw, self.copies))
        if self.location is not None:
            finalize_on(loop, partial(_drop, self.location, unused=self.refusal is None))

    def describe(self) -> str:
        """Return the state in words, for a `repr`."""
        if self.refusal is not None:
            return "gone" if self.sent else "in use"
        where = "here" if self.location is None else f"far, {self.location.short}"
        return f"{where}, on offer" if self.copies else where


def ref_extension(code: int, state_of: Callable[[Any], RefState[Any]], make: Callable[[RefState[Any]], Any]) -> Extension[Any]:
    """Return the extension type of one kind of refs. A ref travels as its `RefLocation`.

    code: the number of the extension type.
    state_of: returns the state of a ref.
    make: returns a new ref with a state.

    A ref that comes back to its process while it is on offer is the same object again. For that copy, the table of offers keeps
    it alive no longer.
    """

    def pack(ref: Any) -> bytes:
        location = state_of(ref).offer(ref)
        return location.instance + location.token

    def unpack(data: bytes) -> Any:
        if len(data) != 2 * TOKEN_BYTES:
            raise ValueError(f"a ref to the end of a stream has {2 * TOKEN_BYTES} bytes, not {len(data)}")
        location = RefLocation(data[:TOKEN_BYTES], data[TOKEN_BYTES:])
        if not is_here(location):
            return make(RefState(None, location))
        ref = offers().find(location.token)
        if ref is not None:
            offers().came_home(location.token)
            return ref
        gone: RefState[Any] = RefState(None, location)
        gone.refusal = offers().refusal(location.token)
        return make(gone)

    def fit(ref: Any, hint: Any) -> Any:
        state = state_of(ref)
        arguments = getattr(hint, "__args__", ())
        if arguments and state.location is not None:
            state.item = arguments[0]
        return ref

    return Extension(code, pack, unpack, fit)


async def send_release(location: RefLocation) -> None:
    """Release the end in its process: it will not be used. A process that cannot be reached reclaims it after `RECLAIM_S`."""
    await _call(RELEASE, location)


async def _call(target: str, location: RefLocation) -> None:
    with suppress(StatusError):
        scope = route_to(location)
        await call_unary(scope, guarded(scope, untyped_request(target, CallKind.UNARY, (location.token,))))


def _withdraw(copies: set[bytes]) -> None:
    """Note that a ref was dropped here whose copies had all come home."""
    with suppress(RuntimeError):  # the event loop has stopped
        offers().withdraw_all(copies, dropped)


def _drop(location: RefLocation, *, unused: bool) -> None:
    """Note that a copy of a ref was dropped. The last one that was not used is reported to the process of the ref."""
    try:
        table = offers()
    except RuntimeError:  # the event loop has stopped: the other process reclaims the end after `RECLAIM_S`
        return
    table.received[location] -= 1
    if table.received[location] <= 0:
        del table.received[location]
        if unused:
            table.run_clean_up(_report_unused(location))


async def _report_unused(location: RefLocation) -> None:
    """Tell the process of a ref that a copy of it was dropped here, unless the ref was read again meanwhile."""
    if location not in offers().received:
        await _call(FORGET, location)


def encode_for_many(item: Any) -> msgspec.Raw:
    """Encode an item once for any number of receivers. The drop of one copy of a ref in it says nothing about the others.

    Raises `TypeError` for an item that cannot travel.
    """
    before = _encoded_for_many.set(True)
    try:
        return MSGPACK.encode_raw(item)
    except UNENCODABLE as error:
        refuse_value(error, "an item of a port cannot travel", TypeError)
    finally:
        _encoded_for_many.reset(before)


def is_here(location: RefLocation) -> bool:
    """Whether the end is offered by the running event loop."""
    return location.instance == offers().instance
