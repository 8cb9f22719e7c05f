"""Types of all kinds, for `penstock typescript`."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec

import penstock


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Date(penstock.Struct):
    """A name that TypeScript has already."""

    year: int


class Price(penstock.Struct):
    """A price."""

    symbol: str
    value: float | None = None
    when: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    raw: bytes = b""
    tags: dict[str, list[int | str]] = msgspec.field(default_factory=dict)
    pair: tuple[int, str] = (1, "a")
    on: Date | None = None


class Bought(penstock.Struct, tag=True):
    x: int


class Sold(penstock.Struct, tag=True):
    y: list[Price]


class Odd(penstock.Struct, rename={"with_dash": "with-dash"}):
    with_dash: int


class Oddities:
    """Methods of all shapes."""

    async def trade(self, a: int, b: str = "x", *, c: Colour = Colour.RED, new: Literal["u", 1] = "u") -> Bought | Sold:
        """Trade.

        A comment ends with */ in TypeScript.
        """
        return Bought(a)

    async def late(self, first: int = 1, *, last: str) -> Odd:
        return Odd(first)

    async def watch(
        self, items: AsyncIterator[Price], u: uuid.UUID, t: dt.timedelta, number: decimal.Decimal, day: dt.date
    ) -> AsyncIterator[dict[str, Any]]:
        async for item in items:
            yield {item.symbol: item.value}

    async def nothing(self) -> None:
        pass

    async def echo(self, raw: bytes, some: set[int], nested: list[tuple[int, ...]], known: Any = None) -> bytes:
        return raw
