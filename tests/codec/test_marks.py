"""Marks between items are told from items, typed or not."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import Struct
from penstock.codec import JSON, MSGPACK, Codec, decode_marked
from penstock.streams import Dropped


class Price(Struct):
    symbol: str
    value: float


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=repr)
@pytest.mark.parametrize("kind", [Price, Any], ids=["typed", "untyped"])
def test_a_mark_is_read_as_itself_between_items_of_any_type(codec: Codec, kind: Any):
    decode = decode_marked(codec, kind, Dropped)
    items = [Price("a", 1.0), Dropped(3), Price("b", 2.0), Dropped(70_000)]
    read = decode.batch(codec.encode(items))
    plain = codec.decode_for(kind).batch(codec.encode([items[0], items[2]]))
    assert read == [plain[0], Dropped(3), plain[1], Dropped(70_000)]
    assert [decode.value(codec.encode(item)) for item in items] == read


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=repr)
def test_an_item_that_only_speaks_of_a_mark_stays_an_item(codec: Codec):
    decode = decode_marked(codec, Any, Dropped)
    items = [{"note": {"$penstock": "dropped", "count": 1}}, "$penstock", ["$penstock", "dropped"], {"$penstock": "x"}]
    assert decode.batch(codec.encode(items)) == items


def test_an_item_that_does_not_fit_is_found_at_its_place():
    decode = decode_marked(MSGPACK, Price, Dropped)
    items, error = decode.one_by_one(MSGPACK.encode([Price("a", 1.0), Dropped(1), "no price"]))
    assert items == [Price("a", 1.0), Dropped(1)]
    assert error is not None


def test_a_value_encoded_once_stands_in_many_places():
    raw = MSGPACK.encode_raw(Price("a", 1.0))
    assert MSGPACK.encode([raw, raw]) == MSGPACK.encode([Price("a", 1.0)] * 2)
