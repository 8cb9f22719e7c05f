"""Arguments arrive as they were given: by place, by name, by default; what does not fit is named."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import DataLoss, InvalidArgument
from penstock.calls import Request, call_unary
from penstock.codec import JSON, MSGPACK
from penstock.protocol import CallKind
from penstock.service import CallOptions
from tests.calls.kit import linked


class Order(penstock.Struct):
    symbol: str
    size: int
    limits: tuple[float, ...] = ()


class Desk:
    async def plain(self, a: int, b: str) -> str:
        return f"{a!r} {b!r}"

    async def defaults(self, a: int, b: str = "b", c: float | None = None) -> str:
        return f"{a!r} {b!r} {c!r}"

    async def keywords(self, a: int = 1, *, b: int, c: int = 3) -> str:
        return f"{a!r} {b!r} {c!r}"

    async def only_keywords(self, *, a: int) -> str:
        return f"{a!r}"

    async def more_keywords(self, a: int, b: int = 2, *, c: int) -> str:
        return f"{a!r} {b!r} {c!r}"

    async def put(self, order: Order) -> int:
        return order.size

    async def put_all(self, orders: dict[str, list[Order]]) -> int:
        return len(orders)

    async def nothing(self) -> str:
        return "nothing"

    async def when(self, at: dt.datetime) -> str:
        return at.isoformat()

    async def record(self, before: int, items: AsyncIterator[int], after: int = 7, *, name: str = "n") -> str:
        return f"{before} {[item async for item in items]} {after} {name}"

    async def named_record(self, a: int = 1, *, items: AsyncIterator[int], b: int = 2) -> str:
        return f"{a} {[item async for item in items]} {b}"

    async def mutable(self, items: list[int] = []) -> list[int]:  # noqa: B006 - as services are written
        return items


@pytest.fixture
async def pair():
    async with linked(Desk()) as pair:
        yield pair


GOOD = [
    ("plain", (1, "x"), {}, "1 'x'"),
    ("plain", (1,), {"b": "x"}, "1 'x'"),
    ("plain", (), {"b": "x", "a": 1}, "1 'x'"),
    ("defaults", (1,), {}, "1 'b' None"),
    ("defaults", (1, "x"), {}, "1 'x' None"),
    ("defaults", (1,), {"c": 2.5}, "1 'b' 2.5"),
    ("defaults", (), {"c": 2.5, "a": 0}, "0 'b' 2.5"),
    ("keywords", (), {"b": 2}, "1 2 3"),
    ("keywords", (5,), {"b": 2}, "5 2 3"),
    ("keywords", (5,), {"c": 9, "b": 2}, "5 2 9"),
    ("only_keywords", (), {"a": 1}, "1"),
    ("more_keywords", (1,), {"c": 3}, "1 2 3"),
    ("more_keywords", (1, 5), {"c": 3}, "1 5 3"),
    ("nothing", (), {}, "nothing"),
    ("mutable", (), {}, []),
    ("mutable", ([1],), {}, [1]),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "result"), GOOD)
async def test_arguments_arrive_as_they_would_in_one_process(pair, name, args, kwargs, result):
    assert await getattr(Desk(), name)(*args, **kwargs) == result
    assert await getattr(pair.stub(Desk), name)(*args, **kwargs) == result


BAD = [
    ("plain", (1,), {}),
    ("plain", (1, "x", 3), {}),
    ("plain", (1, "x"), {"b": "y"}),
    ("plain", (1, "x"), {"c": 1}),
    ("keywords", (1,), {}),
    ("keywords", (1, 2), {}),
    ("keywords", (), {}),
    ("only_keywords", (1,), {}),
    ("more_keywords", (1, 2), {}),
    ("more_keywords", (1, 2, 3), {}),
    ("nothing", (1,), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), BAD)
async def test_what_python_refuses_the_stub_refuses_without_asking_the_peer(pair, name, args, kwargs):
    with pytest.raises(TypeError):
        await getattr(Desk(), name)(*args, **kwargs)
    with pytest.raises(TypeError, match=f"Desk/{name}"):
        await getattr(pair.stub(Desk), name)(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "result"),
    [
        ((1, [2, 3]), {}, "1 [2, 3] 7 n"),
        ((1, [2], 4), {"name": "x"}, "1 [2] 4 x"),
        ((1,), {"items": [2]}, "1 [2] 7 n"),
        ((), {"items": [2], "before": 1, "after": 3}, "1 [2] 3 n"),
        ((1, []), {}, "1 [] 7 n"),
    ],
)
async def test_the_stream_of_requests_stands_among_the_arguments(pair, args, kwargs, result):
    assert await pair.stub(Desk).record(*args, **kwargs) == result


@pytest.mark.parametrize(
    ("args", "kwargs", "result"),
    [((), {"items": [7]}, "1 [7] 2"), ((5,), {"items": [7]}, "5 [7] 2"), ((), {"b": 6, "items": [7], "a": 5}, "5 [7] 6")],
)
async def test_the_stream_of_requests_may_be_taken_by_name_only(pair, args, kwargs, result):
    assert await pair.stub(Desk).named_record(*args, **kwargs) == result
    with pytest.raises(TypeError, match="Desk/named_record"):
        await pair.stub(Desk).named_record(5, [7])
    call = pair.peer.open("Desk/named_record", 5, kind="client_streaming")
    await call.send(7)
    assert await call.close_and_receive() == "5 [7] 2"


async def test_a_missing_stream_of_requests_is_named(pair):
    with pytest.raises(TypeError, match="Desk/record takes a stream of requests as `items`"):
        await pair.stub(Desk).record(1)


WRONG = [
    ("plain", ["x", "y"], ("`a`", "Expected `int`, got `str`")),
    ("plain", [1, None], ("`b`", "Expected `str`")),
    ("plain", [1], ("`b`", "missing")),
    ("plain", [], ("`a`", "missing")),
    ("plain", [1, "x", 2], ("3 arguments", "2 are taken", "a, b")),
    ("nothing", [1], ("1 arguments", "0 are taken")),
    ("put", [{"symbol": "A", "size": "many"}], ("`order`", "size", "Expected `int`, got `str`")),
    ("put", [{"symbol": "A"}], ("`order`", "size")),
    ("put", [{"symbol": "A", "size": 1, "limits": [1, "x"]}], ("`order`", "limits[1]")),
    ("put_all", [{"a": [{"symbol": 1, "size": 1}]}], ("`orders`", "symbol")),
    ("when", ["yesterday"], ("`at`",)),
    ("plain", {"a": 1}, ("b", "missing")),
    ("plain", {"a": "x", "b": "y"}, ("a", "Expected `int`, got `str`")),
    ("plain", {"a": 1, "b": "y", "c": 2}, ("c", "unknown")),
    ("plain", 7, ()),
    ("plain", None, ()),
    ("plain", "text", ()),
]


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=repr)
@pytest.mark.parametrize(("name", "arguments", "words"), WRONG)
async def test_a_wrong_argument_of_a_foreign_client_is_invalid_and_named(pair, codec, name, arguments, words):
    request = Request(f"Desk/{name}", CallKind.UNARY, codec, codec.encode(arguments), codec.decode_for(str), CallOptions())
    with pytest.raises(InvalidArgument) as raised:
        await call_unary(pair.peer._scope, request)
    assert raised.value.message.startswith(f"Desk/{name}: ")
    assert not [word for word in words if word not in raised.value.message], raised.value.message
    assert raised.value.started is False


@pytest.mark.parametrize("encoded", [b"\xc1", b"\x92", b"\xdd\xff\xff\xff\xff", b"[1, ", b"\x91\xd9\x02\xff\xff"])
async def test_arguments_that_are_no_value_at_all_are_invalid(pair, encoded):
    request = Request("Desk/plain", CallKind.UNARY, MSGPACK, encoded, MSGPACK.decode_for(str), CallOptions())
    with pytest.raises(InvalidArgument, match="Desk/plain"):
        await call_unary(pair.peer._scope, request)


async def test_what_does_not_fit_is_found_by_the_callee_before_the_handler_is_started(pair):
    with pytest.raises(InvalidArgument, match=r"Desk/put: argument `order`: Expected `object`, got `int`"):
        await pair.stub(Desk).put(7)
    with pytest.raises(InvalidArgument, match="`before`"):
        await pair.stub(Desk).record("x", [1])


@pytest.mark.parametrize("value", [object(), {1: object()}, "\ud800"], ids=["object", "nested", "surrogate"])
async def test_a_value_that_cannot_travel_is_invalid_for_stub_and_untyped_call(pair, value):
    with pytest.raises(InvalidArgument, match="Desk/put"):
        await pair.stub(Desk).put(value)
    with pytest.raises(InvalidArgument, match="Desk/put"):
        await pair.peer.call("Desk/put", value)
    with pytest.raises(InvalidArgument, match="Desk/put"):
        pair.peer.stream("Desk/put", value)


async def test_untyped_calls_give_builtin_types(pair):
    assert await pair.peer.call("Desk/put", {"symbol": "A", "size": 3}) == 3
    assert await pair.peer.call("Desk/nothing") == "nothing"
    assert await pair.peer.call("Desk/when", "2026-11-20T12:00:00Z") == "2026-11-20T12:00:00+00:00"


# ── a type that checks itself ─────────────────────────────────────────────────────────────────────────────────────────


class Even(penstock.Struct):
    value: int

    def __post_init__(self) -> None:
        assert self.value % 2 == 0, "odd"


class Checking:
    async def check(self, even: Even) -> int:
        return even.value

    async def wrong(self) -> Even:
        even = Even(2)
        even.value = 3
        return even


async def test_a_type_that_checks_itself_may_raise_what_it_likes():
    async with linked(Checking()) as pair:
        stub = pair.stub(Checking)
        with pytest.raises(InvalidArgument, match="odd"):
            await pair.peer.call("Checking/check", {"value": 3})
        with pytest.raises(DataLoss, match="odd"):
            await stub.wrong()
        assert await stub.check(Even(4)) == 4


@pytest.mark.parametrize("argument", [b"[1,2,3,", b"{", b"["])
async def test_an_argument_that_cannot_be_read_is_refused_and_the_connection_goes_on(argument):
    async with linked(Checking()) as pair:
        request = Request("Checking/check", 0, JSON, argument, JSON.decode_for(object), CallOptions())
        with pytest.raises(InvalidArgument):
            await call_unary(pair.peer._scope, request)
        assert await pair.stub(Checking).check(Even(4)) == 4
