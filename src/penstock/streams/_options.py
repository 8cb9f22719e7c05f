"""The numbers that a program gives as options, sizes and time-outs: a value of a wrong type is refused where it is given.

One that travelled would break a rule of the wire at the other side, and end the connection with all its calls.
"""

from __future__ import annotations

import math
from typing import Any, Final

#: The largest size: a number that every language can count with (PROTOCOL.md 1.3).
SIZE_MAX: Final = 2**53 - 1


def checked_size(name: str, value: Any, *, or_none: str = "", most: int = SIZE_MAX) -> int:
    """Return `value`, an option that counts items or bytes. Raises `ValueError` unless it is a whole number from 1 to `most`.

    or_none: what None would mean, for the message of an option that takes it; `value` itself must not be None.
    """
    if type(value) is int and 1 <= value <= most:
        return value
    try:
        number = int(value.__index__())  # an IntEnum, or the integer of another package
    except (AttributeError, TypeError):  # a class has the method, too
        number = 0
    if isinstance(value, bool) or not 1 <= number <= most:
        wanted = "of at least one" if most == SIZE_MAX else f"from 1 to {most}"
        choice = f", or None {or_none}" if or_none else ""
        raise ValueError(f"{name} is {value!r}; it takes a whole number {wanted}{choice}")
    return number


def checked_seconds(name: str, value: Any, *, above: float = 0.0) -> float | None:
    """Return `value`, a time-out, or None for no limit. Raises `ValueError` for any value that is not a number `above` zero.

    above: -infinity for a time-out that may be over already, as one that was computed from a deadline.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > above:
        wanted = "seconds above zero" if above == 0.0 else "seconds"
        raise ValueError(f"{name} is {value!r}; it takes {wanted}, or None for no limit")
    try:
        float(value)
    except OverflowError:  # no clock can count with it
        return math.copysign(math.inf, value > 0 or -1)
    return value
