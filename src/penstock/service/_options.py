"""How a call is made: its time-outs, its buffer, its priority. This module never makes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

from penstock.protocol import MAX_NUMBER, Priority

S = TypeVar("S")

_PRIORITIES: Final = {priority.name.lower(): int(priority) for priority in Priority}


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a call, for the untyped forms of `Peer`; `options` explains each, and sets them on a stub."""

    timeout: float | None = None
    idle_timeout: float | None = None
    buffer_size: int | None = None
    buffer_bytes: int | None = None
    priority: Literal["interactive", "normal", "bulk"] = "normal"
    metadata: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name in ("timeout", "idle_timeout"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or not value > 0):
                raise ValueError(f"{name} is {value!r}; it takes seconds above zero, or None for no limit")
        for name in ("buffer_size", "buffer_bytes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or not 1 <= value <= MAX_NUMBER):
                raise ValueError(f"{name} is {value!r}; it takes a whole number of at least one, or None to tune itself")
        if self.priority not in _PRIORITIES:
            raise ValueError(f"priority is {self.priority!r}; it is one of {', '.join(_PRIORITIES)}")
        if not all(isinstance(text, str) for pair in self.metadata.items() for text in pair):
            raise TypeError(f"metadata {self.metadata!r} is not a map of strings to strings")

    @property
    def priority_number(self) -> int:
        """The priority as it travels."""
        return _PRIORITIES[self.priority]


DEFAULT: Final = CallOptions()


def options(stub: S, **changes: Any) -> S:
    """Return the same stub with other options; what is not named stays as it was.

    timeout: seconds until the whole call must be over (`DeadlineExceeded`); nested calls inherit what is left.
    idle_timeout: seconds that a stream may bring no item (`IdleTimeout`).
    buffer_size: items that the producer may be ahead of the consumer, kept exactly; unset, it tunes itself.
    buffer_bytes: the same in bytes. priority: "interactive", "normal" or "bulk". metadata: strings that travel with the call.

    Raises `TypeError` for something that is no stub or an unknown option, `ValueError` for a value out of range.
    """
    with_options = getattr(type(stub), "_penstock_with_options", None)
    if with_options is None:
        raise TypeError(f"{stub!r} is no stub; use what peer.service(...) returned")
    changed: S = with_options(stub, changes)
    return changed


def changed(base: CallOptions, changes: Mapping[str, Any]) -> CallOptions:
    """Return `base` with `changes`."""
    unknown = set(changes) - set(CallOptions.__struct_fields__)
    if unknown:
        raise TypeError(f"unknown call option {min(unknown)!r}; known are {', '.join(CallOptions.__struct_fields__)}")
    return CallOptions(**{name: changes.get(name, getattr(base, name)) for name in CallOptions.__struct_fields__})
