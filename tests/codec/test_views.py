"""A large `memoryview` begins at a multiple of 64, wherever it stands in its message, and keeps no other item in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import numpy as np
import pytest

import penstock
from penstock.codec import MSGPACK, _views, decode_marked
from penstock.codec._views import ALIGNMENT, LARGE_VIEW_BYTES, placed
from penstock.streams import Dropped

SIZES = [LARGE_VIEW_BYTES, 5001, 65_536, 300_000, 1_200_000]
T = TypeVar("T")
URLS = ["memory://views", "tcp://127.0.0.1:0"]


class Frame(penstock.Struct):
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class Views:
    async def one(self, size: int) -> memoryview:
        return memoryview(bytes(size))

    async def frame(self, size: int) -> Frame:
        return Frame("<f8", (size // 8,), memoryview(bytes(size)))

    async def ones(self, size: int) -> AsyncIterator[memoryview]:
        for number in range(3):
            yield memoryview(bytes([number]) * size)

    async def frames(self, size: int) -> AsyncIterator[Frame]:
        for number in range(3):
            yield Frame("<f8", (size // 8,), memoryview(bytes([number]) * size))

    async def take(self, frame: Frame, name: str) -> int:
        return place_of(frame.data)

    async def record(self, frames: AsyncIterator[Frame]) -> list[int]:
        return [place_of(frame.data) async for frame in frames]


def place_of(data: Any) -> int:
    return np.frombuffer(data, "u1").ctypes.data % ALIGNMENT


async def places(stub: Views, size: int) -> list[int]:
    frame = Frame("<f8", (1,), memoryview(bytes(size)))
    ones = [item async for item in stub.ones(size)]
    frames = [item async for item in stub.frames(size)]
    assert [bytes(item[:1]) for item in ones] == [bytes(item.data[-1:]) for item in frames] == [b"\0", b"\1", b"\2"]
    alone = [await stub.one(size), (await stub.frame(size)).data]
    assert [len(item) for item in [*alone, *ones]] == [size] * 5
    there = [await stub.take(frame, "x" * size), *await stub.record([frame, frame])]
    return [*map(place_of, [*alone, *ones, *(item.data for item in frames)]), *there]


@pytest.mark.parametrize("url", URLS)
async def test_a_large_view_begins_at_a_multiple_of_64(url):
    """FAULTS G7: as a result, an argument, an item of a stream, inside a struct or alone, in fragments or not."""
    async with penstock.serve(Views(), listen=url) as server, penstock.connect(server.urls[0]) as peer:
        for size in SIZES:
            assert set(await asyncio.wait_for(places(peer.service(Views), size), 30)) == {0}, size


@pytest.mark.parametrize(
    "before", [None, 7, "text", "x" * 5000, [1.5] * 40, {"a": [b"b" * 300, -1, 2**40]}, -(2**20)], ids=repr
)
def test_the_first_large_view_is_found_behind_any_value(before):
    view = MSGPACK.decode_for(tuple[Any, memoryview]).value(MSGPACK.encode((before, bytes(9000))))[1]
    assert place_of(view) == 0
    assert len(view) == 9000


def test_a_message_with_more_values_before_is_decoded_all_the_same():
    value = [[1] * 1000, bytes(9000)]
    first, view = MSGPACK.decode_for(tuple[list[int], memoryview]).value(MSGPACK.encode(value))
    assert [first, bytes(view)] == value


def test_small_views_and_messages_without_one_are_as_before():
    frame = Frame("<f8", (1,), memoryview(b"small"))
    assert MSGPACK.decode_for(Frame).batch(MSGPACK.encode([frame] * 1000)) == [frame] * 1000
    assert MSGPACK.decode_for(memoryview).batch(MSGPACK.encode([])) == []
    assert MSGPACK.decode_for(dict[str, memoryview | None]).value(MSGPACK.encode({"x" * 9000: None})) == {"x" * 9000: None}


@pytest.mark.parametrize("size", [1, 63, 64, 4096, 65_563])
def test_a_copy_is_placed_whether_the_guess_is_right_or_wrong(size, monkeypatch):
    data = bytes(range(256)) * (size // 256 + 1)
    for usual in range(0, ALIGNMENT, 16):
        monkeypatch.setattr(_views, "_usual", [usual])
        for at in (0, 1, size - 1):
            copy = placed(data[:size], at)
            assert place_of(copy[at:]) == 0
            assert copy == data[:size]
            assert copy.readonly


def test_a_kept_item_keeps_no_other_in_memory():
    batch = MSGPACK.encode([Frame("<f8", (1,), memoryview(bytes(20_000)))] * 3)
    first = MSGPACK.decode_for(Frame).batch(batch)[0]
    assert len(first.data.obj) < 21_000


def test_a_batch_with_a_mark_or_a_bad_item_has_its_large_views_too():
    items = decode_marked(MSGPACK, memoryview, Dropped).batch(MSGPACK.encode([bytes(9000), Dropped(3), bytes(5000)]))
    assert [len(items[0]), items[1], len(items[2])] == [9000, Dropped(3), 5000]
    assert place_of(items[0]) == place_of(items[2]) == 0
    good, error = MSGPACK.decode_for(memoryview).one_by_one(MSGPACK.encode([bytes(9000), 5]))
    assert [len(item) for item in good] == [9000]
    assert "Expected `memoryview`" in str(error) or "Expected `bytes`" in str(error)


# ── small views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Keyed(penstock.Struct, frozen=True):
    key: memoryview
    body: bytes


@dataclass(frozen=True)
class Keys:
    first: memoryview
    others: list[memoryview]
    named: dict[str, tuple[memoryview, ...]]
    name: str = ""


class Box(penstock.Struct, Generic[T]):
    value: T


class Pair(NamedTuple):
    left: memoryview
    right: int


class Row(TypedDict):
    key: memoryview | None


def views_in(value: Any) -> list[memoryview]:
    if isinstance(value, memoryview):
        return [value]
    if isinstance(value, dict):
        return [view for part in (*value, *value.values()) for view in views_in(part)]
    if isinstance(value, list | tuple | set | frozenset):
        return [view for part in value for view in views_in(part)]
    fields = getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", ())
    return [view for name in fields for view in views_in(getattr(value, name))]


KEY = memoryview(b"0123456789abcdef")
SMALL = [
    (Keyed, Keyed(KEY, b"")),
    (Keys, Keys(KEY, [KEY, KEY], {"a": (KEY,)}, "name")),
    (Box[memoryview], Box(KEY)),
    (Pair, Pair(KEY, 1)),
    (Row, {"key": KEY}),
    (dict[memoryview, memoryview], {KEY: KEY}),
    (set[memoryview], {KEY}),
    (tuple[int, memoryview], (1, KEY)),
    (Box[Keyed] | None, Box(Keyed(KEY, b""))),
    (memoryview, KEY),
]


@pytest.mark.parametrize(("kind", "value"), SMALL, ids=[str(kind) for kind, _value in SMALL])
def test_a_small_view_keeps_nothing_but_itself(kind: Any, value: Any) -> None:
    """FAULTS B6"""
    decode = MSGPACK.decode_for(kind)
    encoded = MSGPACK.encode(value)
    batch = MSGPACK.encode([value, value])
    for decoded in (decode.value(encoded), *decode.batch(batch)):
        assert decoded == value
        found = views_in(decoded)
        assert found
        assert all(type(view.obj) is bytes and len(view.obj) == 16 for view in found)


def test_keys_that_are_kept_do_not_keep_their_bodies() -> None:
    """FAULTS B6"""
    decode = MSGPACK.decode_for(Keyed)
    batch = MSGPACK.encode([Keyed(KEY, bytes(20_000))] * 3)
    kept = [item.key for _ in range(1_000) for item in decode.batch(batch)]
    assert sum(len(key.obj) for key in kept) == 16 * 3_000


@pytest.mark.parametrize(("size", "is_copy"), [(LARGE_VIEW_BYTES - 1, True), (LARGE_VIEW_BYTES, False)])
def test_the_threshold_between_copies_and_views(size: int, is_copy: bool) -> None:
    view = MSGPACK.decode_for(Keyed).value(MSGPACK.encode(Keyed(memoryview(bytes(size)), b"")))
    assert (len(view.key.obj) == size) is is_copy
