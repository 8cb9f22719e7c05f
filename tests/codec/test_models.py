"""Models of pydantic come back as they were, by any codec, or are refused before the first call."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field

import penstock
from penstock.codec import JSON, MSGPACK, UNDECODABLE, check_type, json_schemas
from penstock.errors import InvalidArgument
from tests.calls.kit import linked


class Inner(BaseModel, frozen=True):
    x: int


class Rich(BaseModel):
    user_name: str = Field(alias="userName")
    path: Path = Path("/a/b")
    url: pydantic.HttpUrl = pydantic.HttpUrl("http://example.com/x")
    ip: ipaddress.IPv4Address = ipaddress.IPv4Address("1.2.3.4")
    at: dt.datetime = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    since: dt.timedelta = dt.timedelta(seconds=3)
    price: decimal.Decimal = decimal.Decimal("1.10")
    places: tuple[int, ...] = (1, 2)
    tags: frozenset[str] = frozenset({"a"})
    color: Literal["red"] = "red"
    inner: tuple[Inner, ...] = (Inner(x=1),)

    @pydantic.computed_field
    @property
    def full(self) -> str:
        return f"{self.user_name}!"


class Strict(Rich):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    a: int = Field(validation_alias="in")
    b: int = Field(validation_alias=pydantic.AliasChoices("b", "c"), default=2)


class Tree(BaseModel):
    children: list[Tree] = []


class TextBytes(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes


class Open(BaseModel):
    secret: Annotated[pydantic.SecretStr, pydantic.PlainSerializer(lambda one: one.get_secret_value(), when_used="json")]
    other: pydantic.SecretStr

    @pydantic.field_serializer("other", when_used="json")
    def write(self, other: pydantic.SecretStr) -> str:
        return other.get_secret_value()


class Holds(penstock.Struct):
    model: Strict


RICH = Rich(userName="Ann")
STRICT = Strict(userName="Ann")
GOOD = [
    (Rich, RICH),
    (Strict, STRICT),
    (dict[str, Strict | None], {"a": STRICT, "b": None}),
    (set[Strict], {STRICT}),
    (Holds, Holds(STRICT)),
    (ByName, ByName(a=1, b=3)),
    (Tree, Tree(children=[Tree()])),
    (pydantic.RootModel[list[Rich]], pydantic.RootModel[list[Rich]]([RICH])),
    (TextBytes, TextBytes(data=b"\xff\x00")),
    (Open, Open(secret="s", other="t")),
]


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=repr)
@pytest.mark.parametrize(("kind", "value"), GOOD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_model_comes_back_as_it_was(codec, kind, value):
    """FAULTS E2: by alias, strict or not, with types that JSON writes as text."""
    check_type(kind, "here")
    decode = codec.decode_for(kind)
    assert decode.value(codec.encode(value)) == value
    assert decode.batch(codec.encode([value, value])) == [value, value]


class Service:
    async def same(self, model: Strict) -> Strict:
        assert type(model) is Strict
        return model


async def test_a_call_takes_and_gives_models_and_untyped_callers_their_json_form():
    """FAULTS E2."""
    plain = STRICT.model_dump(mode="json", by_alias=True, round_trip=True)
    async with linked(Service()) as pair:
        assert await pair.stub(Service).same(STRICT) == STRICT
        assert await pair.peer.call("Service/same", plain) == plain
        assert await pair.peer.call("Service/same", plain | {"at": STRICT.at}) == plain
        with pytest.raises(
            InvalidArgument, match=r"argument `model`: Strict: userName: Field required; x: Extra inputs are not"
        ):
            await pair.peer.call("Service/same", {"x": 1})
        with pytest.raises(InvalidArgument, match="got `bytes`"):
            await pair.peer.call("Service/same", plain | {"userName": b"Ann"})


def test_the_value_of_a_field_that_does_not_fit_is_not_in_the_error():
    with pytest.raises(UNDECODABLE) as raised:
        MSGPACK.decode_for(Inner).value(MSGPACK.encode({"x": "a secret"}))
    assert "Inner: x: Input should be a valid integer" in str(raised.value)
    assert "a secret" not in str(raised.value)


class Secret(BaseModel):
    password: pydantic.SecretStr


class Secrets(BaseModel):
    inner: dict[str, list[Secret]]


class ManySecrets(BaseModel):
    keys: list[pydantic.SecretBytes] | None = None


class Bytes(BaseModel):
    data: bytes


class TwoNames(BaseModel):
    a: int = Field(validation_alias="in", serialization_alias="out")


class LeftOut(BaseModel):
    a: int = Field(exclude=True)


class Function(BaseModel):
    call: Callable[[int], int]


class OfAClass(BaseModel):
    kind: type[int]


class Unfinished(BaseModel):
    other: Nowhere  # noqa: F821 - that is the case under test


@pydantic.dataclasses.dataclass
class Dataclass:
    positive: pydantic.PositiveInt


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Secret, "field `password` of Secret is a secret, which pydantic writes as asterisks; declare it as str"),
        (list[Secrets], "field `password` of Secret is a secret"),
        (ManySecrets, "field `keys` of ManySecrets is a secret"),
        (Bytes, "field `data` of Bytes is bytes, which pydantic writes as UTF-8; set ser_json_bytes='base64'"),
        (TwoNames, "field `a` of TwoNames is written as `out`, and not read by that name; give it one `alias`"),
        (LeftOut, "field `a` of LeftOut is left out when it is written, and required when it is read"),
        (Function, "Function has no JSON form: Cannot generate a JsonSchema"),
        (OfAClass, "field `kind` of OfAClass is a class, which has no JSON form"),
        (Unfinished, "Unfinished has no JSON form: `Unfinished` is not fully defined"),
        (Dataclass, "Dataclass, a dataclass of pydantic, would arrive without being validated; use a BaseModel"),
        (BaseModel, "BaseModel has no fields of its own; name the model that travels"),
        (Rich | Inner, "models of pydantic, in a RootModel of their union"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_that_would_come_back_as_another_is_refused(kind, text):
    """FAULTS E2: secrets do not become asterisks."""
    with pytest.raises(TypeError) as raised:
        check_type(kind, "S.put: parameter `p`")
    assert str(raised.value).startswith("S.put: parameter `p`: ")
    assert text in str(raised.value)


# ── JSON Schema ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Shared:
    class Inner(penstock.Struct):
        """Another class of the same name."""

        y: str


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if "$ref" in part else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def test_each_reference_leads_to_a_definition():
    """FAULTS E2: nested models, models that contain themselves, and two types of one name."""
    kinds = [Rich, list[Tree], Inner, Shared.Inner, Holds, dict[str, Shared.Inner], pydantic.RootModel[list[Inner]], Tree]
    schemas, definitions = json_schemas(kinds)
    found = references([*schemas, definitions])
    assert found <= {f"#/$defs/{name}" for name in definitions}
    assert not [name for name, part in definitions.items() if "$defs" in part]

    def properties(schema: dict[str, Any]) -> set[str]:
        return set(definitions[schema["$ref"].removeprefix("#/$defs/")]["properties"])

    assert properties(schemas[2]) == {"x"}
    assert properties(schemas[3]) == {"y"}
    assert properties(schemas[0]) == set(RICH.model_dump(mode="json", by_alias=True, round_trip=True))
