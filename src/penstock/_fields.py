"""The ranges of the fields of a struct that a program makes, as their types state them. It imports nothing of Penstock."""

from __future__ import annotations

from functools import cache

import msgspec


@cache
def _checked(cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a struct with the same fields, which is only for decoding: that checks their ranges."""
    return msgspec.defstruct(cls.__name__, [(field.name, field.type) for field in msgspec.structs.fields(cls)])


def check_fields(struct: msgspec.Struct) -> None:
    """Raise `ValueError`, with the name of the field, when a field of a struct is out of the range that its type states."""
    cls = type(struct)
    try:
        msgspec.convert(msgspec.structs.asdict(struct), _checked(cls))
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].rstrip("`")
        raise ValueError(f"{cls.__name__}.{name} is {getattr(struct, name, None)!r}: {error}") from None
