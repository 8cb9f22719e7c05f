"""Extension types: values typed, untyped and nested; values of other classes are refused, unknown codes left alone."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
import pytest

from penstock.codec import JSON, MSGPACK, Extension, ExtensionCode, check_type, is_extension, register_extension
from penstock.codec import _extensions as module

T = TypeVar("T")


class Token(Generic[T]):
    def __init__(self, text: str, kind: Any = None) -> None:
        self.text, self.kind = text, kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and (self.text, self.kind) == (other.text, other.kind)

    __hash__ = None


def unpack(data: bytes) -> Token[Any]:
    if not data:
        raise ValueError("an empty token")
    return Token(data.decode())


HOW = Extension(99, lambda token: token.text.encode(), unpack, lambda token, kind: Token(token.text, kind))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in ("_BY_CLASS", "_BY_CODE"):
        monkeypatch.setattr(module, table, dict(getattr(module, table)))
    register_extension(Token, HOW)


def test_they_travel_with_and_without_a_hint():
    encoded = MSGPACK.encode([Token("a"), {"deep": Token("b")}])
    assert MSGPACK.decode_for(Any).value(encoded) == [Token("a"), {"deep": Token("b")}]
    typed = MSGPACK.decode_for(tuple[Token[int], dict[str, Token | None]]).value(encoded)
    assert typed == (Token("a", Token[int]), {"deep": Token("b", Token)})


def test_a_hint_of_one_is_a_type_that_can_travel():
    assert is_extension(Token)
    assert is_extension(Token[int])
    check_type(list[Token[int]], "here")


def test_another_value_is_not_one_of_them():
    for value in ("text", b"bytes", msgspec.msgpack.Ext(98, b"x"), {"text": "a"}):
        with pytest.raises(msgspec.ValidationError, match="Expected a Token"):
            MSGPACK.decode_for(Token).value(MSGPACK.encode(value))


def test_bytes_that_are_none_of_them_are_refused():
    with pytest.raises(ValueError, match="an empty token"):
        MSGPACK.decode_for(Any).value(MSGPACK.encode(msgspec.msgpack.Ext(99, b"")))


def test_an_unknown_extension_stays_an_extension():
    foreign = msgspec.msgpack.Ext(98, b"x")
    assert MSGPACK.decode_for(Any).value(MSGPACK.encode(foreign)) == foreign


def test_json_has_none_of_them():
    with pytest.raises(TypeError, match="a Token cannot travel"):
        JSON.encode(Token("a"))


def test_a_code_and_a_class_are_registered_once():
    with pytest.raises(ValueError, match="is registered already"):
        register_extension(Token, Extension(97, HOW.pack, HOW.unpack))
    with pytest.raises(ValueError, match="extension type 99"):
        register_extension(str, HOW)


def test_each_class_of_penstock_has_a_code_of_its_own():
    owners = {"SourceRef": ExtensionCode.SOURCE_REF, "SinkRef": ExtensionCode.SINK_REF}
    registered = {cls.__name__: extension.code for cls, extension in module._BY_CLASS.items() if cls is not Token}
    assert registered == {**owners, "ActorRef": ExtensionCode.ACTOR}
