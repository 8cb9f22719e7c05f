"""Code of the program that runs while a value is encoded or decoded: only an `Exception` leaves it, which is about that value.

Decoding runs where a connection is read. A ``sys.exit`` in a ``__post_init__`` would end the program there, and a
`CancelledError` the connection with all its calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from msgspec import inspect as shape

from penstock._outcomes import as_exception, ends_the_loop
from penstock.codec._types import type_parts

P = ParamSpec("P")
R = TypeVar("R")

#: Factories of default values that are not code of the program.
_PLAIN: Final = frozenset({list, dict, set, frozenset, tuple, bytearray})


def contained(convert: Callable[P, R]) -> Callable[P, R]:
    """Return `convert`, which raises an `Exception` in the place of anything else but an interrupt from the keyboard."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return convert(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            if ends_the_loop(error):
                raise
            raise as_exception(error, "the converter of a type") from error

    return run


def runs_code(hint: Any) -> bool:
    """Whether decoding a value of this type runs code of the program, apart from `decode_other`."""
    return any(map(_runs_code, type_parts(hint)))


def _runs_code(part: Any) -> bool:
    if isinstance(part, shape.StructType):
        factories = {field.default_factory for field in part.fields} - _PLAIN
        return hasattr(part.cls, "__post_init__") or any(map(callable, factories))
    return isinstance(part, shape.DataclassType)
