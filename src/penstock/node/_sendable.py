"""Values of a program on their way to a screen: one that cannot travel is shown by its repr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from penstock._outcomes import shown
from penstock.codec import MSGPACK, UNDECODABLE

#: How deep a value may be nested to be sent: the reader decodes it with all others inside one answer.
STATE_DEPTH_MAX: Final = 100
#: How much is shown of a value that cannot travel.
_REPR_CHARACTERS: Final = 200
_DECODE: Final = MSGPACK.decode_for(Any).value


def sendable_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state in which every value that cannot travel is its repr."""
    return {name: sendable(value) for name, value in state.items()}


def sendable(value: Any) -> Any:
    """Return a value, or the beginning of its repr when it cannot travel."""
    return value if _is_sendable(value) else _shown(value)


def _is_sendable(value: Any) -> bool:
    try:
        return _depth(_DECODE(MSGPACK.encode(value))) <= STATE_DEPTH_MAX
    except UNDECODABLE:  # also what cannot be encoded: it may run code of the user
        return False


def _depth(value: Any) -> int:
    """Return how deep the containers of a value are nested, up to one more than `STATE_DEPTH_MAX`."""
    depth, parts = 0, [value]
    while parts and depth <= STATE_DEPTH_MAX:
        parts = [each for part in parts for each in _inside(part)]
        depth += 1
    return depth


def _inside(part: Any) -> Iterable[Any]:
    return part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


def _shown(value: Any) -> str:
    """Return the beginning of the repr of a value, or its class where that raises."""
    return f"{shown(value):.{_REPR_CHARACTERS}}"
