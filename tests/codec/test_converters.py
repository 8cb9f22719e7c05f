"""Decoders of types that run code of the program raise an `Exception`, whatever it raises; others are not slowed down."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from penstock import Struct
from penstock.codec import JSON, MSGPACK, as_travelled
from penstock.codec._converters import contained, runs_code


def leave() -> int:
    sys.exit(3)


class Checked(Struct):
    """It checks itself when it is made."""

    number: int

    def __post_init__(self) -> None:
        leave()


class Filled(Struct):
    """A field that is not given is made by the program."""

    number: int
    made: int = msgspec.field(default_factory=leave)


@dataclass
class Data:
    """A dataclass that checks itself."""

    number: int
    made: int = field(default=0)

    def __post_init__(self) -> None:
        leave()


class Plain(Struct):
    """It runs no code of the program."""

    number: int
    parts: list[int] = msgspec.field(default_factory=list)


@pytest.mark.parametrize("kind", [Checked, Filled, Data])
@pytest.mark.parametrize("codec", [MSGPACK, JSON])
def test_an_exit_in_a_converter_is_an_error_of_its_value(codec, kind):
    for hint in (kind, list[kind], dict[str, kind], kind | None):
        assert runs_code(hint)
    decode = codec.decode_for(kind)
    encoded = codec.encode({"number": 1})
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        decode.value(encoded)
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        decode.batch(codec.encode([{"number": 1}]))
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        as_travelled({"number": 1}, kind)


@pytest.mark.parametrize("kind", [int, Any, Plain, list[Plain], dict[str, int]])
def test_a_type_without_such_code_has_the_decoder_of_msgspec(kind):
    assert not runs_code(kind)
    assert type(JSON.decode_for(kind).value).__name__ == "builtin_function_or_method"


def test_an_interrupt_from_the_keyboard_goes_on():
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contained(interrupted)()
