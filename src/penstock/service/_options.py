"""The options of a call: time-outs, buffer, priority and metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from penstock.protocol import Priority
from penstock.service._suggest import suggest
from penstock.streams import checked_seconds, checked_size

S = TypeVar("S")
PriorityName = Literal["interactive", "normal", "bulk"]
F = TypeVar("F", bound=Callable[..., Any])

#: The attribute of a function with the window of its requests.
_WINDOW: Final = "_penstock_window"
_AGAIN: Final = "_penstock_again"
#: A call of an idempotent method that may have started is made again so often: a call that kills its server would kill all of
#: them, one after the other.
AGAIN_MAX: Final = 3

#: A time-out above this, about thirty years, is none, as an infinite one is.
NO_DEADLINE_S: Final = 1e9

_PRIORITIES: Final = {priority.name.lower(): int(priority) for priority in Priority}
#: The names of the priorities, by their number on the wire.
PRIORITIES: Final[tuple[PriorityName, ...]] = get_args(PriorityName)


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one call, for `Peer.call`, `Peer.stream` and `Peer.open`. On a stub, `options` sets them.

    timeout: seconds from the beginning of the call to its end; then it fails with `DeadlineExceeded`. A call that is made in a
    handler has no more time than the handled call has left. None, the default, sets no limit of its own.
    idle_timeout: seconds that a stream may wait for its next item; then it fails with `IdleTimeout`. None, the default, sets no
    limit. For both, a time above 1e9 seconds, about thirty years, sets none either.
    buffer_size: items that the producer may be ahead of the consumer, kept exactly. None, the default: the window tunes itself.
    buffer_bytes: the same in bytes; one item always passes. With both, both hold.
    priority: "interactive", "normal" (the default) or "bulk": calls share a connection by bytes in the ratio 16 : 4 : 1.
    metadata: strings by name that travel with the call; its handler reads them from `penstock.context()`.

    Raises `ValueError` for a number or priority out of range or of a wrong type, `TypeError` for metadata that are not strings.
    """

    timeout: float | None = None
    idle_timeout: float | None = None
    buffer_size: int | None = None
    buffer_bytes: int | None = None
    priority: PriorityName = "normal"
    metadata: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name in ("timeout", "idle_timeout"):
            value = getattr(self, name)
            if value is not None:
                msgspec.structs.force_setattr(self, name, checked_seconds(name, value))
        for name in ("buffer_size", "buffer_bytes"):
            value = getattr(self, name)
            if value is not None:
                msgspec.structs.force_setattr(self, name, checked_size(name, value, or_none="to tune itself"))
        if self.priority not in tuple(_PRIORITIES):  # a tuple, because a value of a wrong type may have no hash
            raise ValueError(f"priority is {self.priority!r}; it is one of {', '.join(_PRIORITIES)}")
        metadata: object = self.metadata
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for pair in metadata.items() for text in pair):
            raise TypeError(f"metadata {metadata!r} is not a map of strings to strings")

    @property
    def priority_number(self) -> int:
        """The priority as it travels."""
        return _PRIORITIES[self.priority]

    @property
    def idle_timeout_s(self) -> float | None:
        """The idle time-out to keep: None also for one above `NO_DEADLINE_S`, for which no clock has a time."""
        return None if self.idle_timeout is None or self.idle_timeout > NO_DEADLINE_S else self.idle_timeout


#: The options of a call for which none are given.
DEFAULT: Final = CallOptions()


def options(stub: S, **changes: Any) -> S:
    """Return a copy of a stub with other options for its calls. The first stub is not changed.

    ``await penstock.options(market, timeout=5).quote("ACME")``. An option that is not named stays as it is in `stub`.

    timeout: seconds until the whole call must be over (`DeadlineExceeded`); nested calls inherit what is left.
    idle_timeout: seconds that a stream may bring no item (`IdleTimeout`). None, the default of both, sets no limit.
    buffer_size: items that the producer may be ahead of the consumer, kept exactly; None, the default, tunes itself.
    buffer_bytes: the same in bytes.
    priority: "interactive", "normal" (the default) or "bulk".
    metadata: strings by name that travel with the call. They replace those of `stub`.

    Raises `TypeError` for an object that is not a stub or for an unknown option, `ValueError` for a value out of range.
    """
    with_options = getattr(type(stub), "_penstock_with_options", None)
    if with_options is None:
        raise TypeError(f"{stub!r} is not a stub; give the object that peer.service(...), spawn(...) or actor(...) returned")
    copy: S = with_options(stub, changes)
    return copy


def receives(*, buffer_size: int | None = None, buffer_bytes: int | None = None) -> Callable[[F], F]:
    """Return a decorator for a handler with a stream of requests: how far its callers may be ahead of it.

    ``@penstock.receives(buffer_size=8)`` above ``async def record(self, prices: AsyncIterator[Price])``.

    buffer_size: items; kept exactly, also when a caller asks for more. None, the default, leaves it to the caller.
    buffer_bytes: the same in bytes; one item always passes.

    A caller that asks for less gets less. An actor's caller in the same process is as far ahead of it, by items: nothing has
    bytes there. Raises `ValueError` for a number out of range or of a wrong type. `serve` and `spawn` raise `TypeError`
    when the method has no stream of requests.
    """
    sizes = {"buffer_size": buffer_size, "buffer_bytes": buffer_bytes}
    window = tuple(0 if size is None else checked_size(name, size) for name, size in sizes.items())

    def mark(handler: F) -> F:
        setattr(handler, _WINDOW, window)
        return handler

    return mark


def window_of(handler: Any) -> tuple[int, int]:
    """Return the window that `receives` has set for a handler, in items and bytes; 0 for each that it has not set."""
    window: tuple[int, int] = getattr(handler, _WINDOW, (0, 0))
    return window


def idempotent(method: F) -> F:
    """Mark a unary method whose call may be made twice: a decorator.

    ``@penstock.idempotent`` above ``async def price(self, symbol: str) -> float``, in the class of which the caller makes its
    stub. When the server is lost while such a call runs, a client that reconnects (`Reconnect`) makes the call again at the
    next server, within its deadline and at most three times; any other call that may have started raises `ConnectionLost`. So
    the handler may run more than once, also at the same time.

    `serve` and `Peer.service` raise `TypeError` when the method has a stream.
    """
    setattr(method, _AGAIN, AGAIN_MAX)
    return method


def again_of(method: Any) -> int:
    """Return how often a call of a method that may have started is made again: 0 unless `idempotent` has marked the method."""
    again: int = getattr(method, _AGAIN, 0)
    return again


def changed(base: CallOptions, changes: Mapping[str, Any]) -> CallOptions:
    """Return `base` with `changes` in it. Raises `TypeError` for an unknown option, and what `CallOptions` raises."""
    unknown = set(changes) - set(CallOptions.__struct_fields__)
    if unknown:
        raise TypeError(
            f"unknown option {min(unknown)!r} of a call; {suggest(min(unknown), CallOptions.__struct_fields__, 'options')}"
        )
    return CallOptions(**{name: changes.get(name, getattr(base, name)) for name in CallOptions.__struct_fields__})
