"""A model of pydantic that cannot make the way is refused when its service is registered, as far as its types tell."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, create_model, field_serializer, field_validator, model_serializer

from penstock.codec import JSON, MSGPACK, check_type


def one(annotation: Any, default: Any = ..., **config: Any) -> type[BaseModel]:
    """Return a model with one field, `a`."""
    return create_model("One", __config__=ConfigDict(**config), a=(annotation, default))


class Excluded(BaseModel):
    a: int = Field(exclude=True)

    @field_serializer("a")
    def write(self, a: int) -> int:
        return a


class Renamed(BaseModel):
    a: int = Field(serialization_alias="z")

    @field_serializer("a")
    def write(self, a: int) -> int:
        return a


class ListAsText(BaseModel):
    a: list[int]

    @field_serializer("a")
    def write(self, a: list[int]) -> str:
        return ",".join(map(str, a))


class ListAsTextAndBack(ListAsText):
    @field_validator("a", mode="before")
    @classmethod
    def read(cls, a: Any) -> Any:
        return a.split(",") if isinstance(a, str) else a


class WholeAsText(BaseModel):
    a: int

    @model_serializer
    def write(self) -> str:
        return str(self.a)


class WholeAsTextAndBack(WholeAsText):
    @pydantic.model_validator(mode="before")
    @classmethod
    def read(cls, whole: Any) -> Any:
        return {"a": whole} if isinstance(whole, str) else whole


class OwnInit(BaseModel):
    a: int

    def __init__(self, text: str) -> None:
        super().__init__(a=int(text))


class OwnInitByName(BaseModel):
    a: int

    def __init__(self, a: int, more: str = "") -> None:
        super().__init__(a=a)


class OwnRoot(pydantic.RootModel[int]):
    def __init__(self, number: int) -> None:
        super().__init__(number)


class SameAlias(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    a: int = Field(alias="z")
    b: int = Field(alias="z")


@dataclasses.dataclass
class WithInitVar:
    a: int
    b: dataclasses.InitVar[int]

    def __post_init__(self, b: int) -> None:
        self.a += b


@dataclasses.dataclass
class Computes:
    a: int
    b: int = dataclasses.field(init=False, default=3)


@dataclasses.dataclass
class Middle:
    inner: Excluded


class Map(typing_extensions.TypedDict):
    inner: Excluded


class Pair(NamedTuple):
    inner: Excluded


@dataclasses.dataclass
class PlainBytes:
    data: bytes


class Number(enum.Enum):
    ONE = 1


class Text(enum.Enum):
    ONE = "1"


class Digit(enum.IntEnum):
    ONE = 1


AS_TEXT = pydantic.PlainSerializer(str, return_type=str)
SPLIT = pydantic.BeforeValidator(lambda key: tuple(key.split(",")) if isinstance(key, str) else key)
KEYS = "has keys that JSON writes as a text, from which they are not read; use a list of pairs"
LEFT_OUT = "field `a` of Excluded is left out when it is written, and required"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Excluded, LEFT_OUT),
        (one(int, Field(exclude_if=lambda a: a == 1)), "field `a` of One may be left out when it is written (exclude_if), and"),
        (Renamed, "field `a` of Renamed is written as `z`, and not read by that name"),
        (one(int, Field(alias="z"), validate_by_alias=False, validate_by_name=True), "is written as `z`, and not read by"),
        (ListAsText, "field `a` of ListAsText is written as string, and read as array; add a validator with mode='before'"),
        (one(Annotated[str, pydantic.PlainSerializer(len, return_type=int)]), "is written as integer, and read as string"),
        (one(Annotated[float, AS_TEXT], strict=True), "field `a` of One is written as string, and read as number"),
        (one(Annotated[float, AS_TEXT], Field(strict=True)), "field `a` of One is written as string, and read as number"),
        (one(dt.timedelta, strict=True, ser_json_timedelta="float"), "is written as number, and read as string"),
        (WholeAsText, "WholeAsText is written as string, and read as object; add a validator"),
        (one(WholeAsText | None), "WholeAsText is written as string, and read as object; add a validator"),
        (OwnInit, "OwnInit has an __init__ that does not take its fields by their names, as they arrive: missing a required"),
        (SameAlias, "SameAlias has two fields that are written as `z`"),
        (one(WithInitVar), "WithInitVar takes `b` as an InitVar, which it does not keep"),
        (one(Computes, extra="forbid"), "Computes refuses its field `b` (init=False), which is written, as an extra one"),
        (one(Middle), LEFT_OUT),
        (one(list[Map]), LEFT_OUT),
        (one(Pair), LEFT_OUT),
        (one(pydantic.dataclasses.dataclass(Middle)), LEFT_OUT),
        (one(PlainBytes), "field `data` of PlainBytes is bytes, which pydantic writes as UTF-8"),
        (one(dict[tuple[int, int], int]), KEYS),
        (one(list[dict[int | None, int]]), KEYS),
        (one(dict[create_model("Key", x=(int, ...)), int]), KEYS),
        (one(dict[Number, int]), KEYS),
        (one(dict[Literal["a", 1], int]), KEYS),
    ],
    ids=str,
)
def test_a_model_that_would_fail_at_its_first_item_is_refused_before(kind, text):
    with pytest.raises(TypeError) as raised:
        check_type(kind, "S.put: parameter `p`")
    assert text in str(raised.value)


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=repr)
@pytest.mark.parametrize(
    "value",
    [
        ListAsTextAndBack(a=[1, 2]),
        WholeAsTextAndBack(a=1),
        OwnInitByName(a=1),
        OwnRoot(3),
        one(Computes)(a=Computes(1)),
        one(Annotated[float, AS_TEXT])(a=1.5),
        one(Annotated[dt.timedelta, pydantic.PlainSerializer(dt.timedelta.total_seconds, return_type=float)])(
            a=dt.timedelta(1)
        ),
        one(dt.timedelta, ser_json_timedelta="float")(a=dt.timedelta(1)),
        one(Annotated[str, pydantic.PlainSerializer(int, return_type=int)], coerce_numbers_to_str=True)(a="1"),
        one(dict[Text, dict[Digit, int]])(a={Text.ONE: {Digit.ONE: 1}}),
        one(dict[Annotated[tuple[str, str], SPLIT], int])(a={("1", "2"): 3}),
        one(dict[dt.date, pydantic.JsonValue], strict=True)(a={dt.date(2026, 1, 2): [None]}),
    ],
    ids=repr,
)
def test_a_model_whose_own_code_reads_what_it_writes_comes_back(value, codec):
    check_type(type(value), "here")
    assert codec.decode_for(type(value)).value(codec.encode(value)) == value
