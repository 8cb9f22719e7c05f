"""Code of the program that runs while a value is encoded or decoded ends one call, whatever it raises; all others go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

import penstock
from penstock import Actor, SinkRef, SourceRef
from penstock.errors import DataLoss, Internal, InvalidArgument, NotFound, StatusError
from tests.laws.places import reached
from tests.laws.test_every_end import AT_ONCE, outcome_of, rest_of
from tests.refs.conftest import apart  # noqa: F401 - a fixture

#: No call takes longer. It is real time, which nothing here needs: a test that hangs fails by it.
BOUND_S = 20.0


class Read(penstock.Struct):
    """A value that can be encoded, and that raises when it is decoded, in the way that it names."""

    way: str

    def __post_init__(self) -> None:
        if self.way in AT_ONCE:
            error = AT_ONCE[self.way]()
            raise error


class Model:
    """As a model of pydantic: it raises when it is encoded, or ("read ...") when it is decoded, in the way that it names."""

    def __init__(self, way: str) -> None:
        self.way = way

    def model_dump(self, **_options: Any) -> dict[str, str]:
        if self.way in AT_ONCE:
            error = AT_ONCE[self.way]()
            raise error
        return {"way": self.way}

    @classmethod
    def model_validate_json(cls, written: str) -> Model:
        way = json.loads(written)["way"].removeprefix("read ")
        if way in AT_ONCE:
            error = AT_ONCE[way]()
            raise error
        return cls(way)

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object"}


class Unset(penstock.Struct):
    """A value without its field: msgspec raises `AttributeError`."""

    field: int


def _cut() -> memoryview:
    return memoryview(bytes(8))[::2]  # msgspec raises `BufferError`


def _unset() -> Unset:
    value = Unset(1)
    del value.field
    return value


#: The ways to raise, of those of a handler; a transport changes none of them.
WAYS = [way for way in AT_ONCE if way not in {"TimeoutError", "StreamClosed", "cancelled task", "ExceptionGroup"}]

#: Values that cannot be encoded, each with a name.
UNSENDABLE: dict[str, Callable[[], Any]] = {
    "BufferError": _cut,
    "AttributeError": _unset,
    "TypeError": object,
    **{way: (lambda way=way: Model(way)) for way in WAYS},
}


class Handles(Actor):
    """A service and an actor that get a value of either kind, and give one."""

    def __init__(self) -> None:
        self.out = self.port("out")

    async def take(self, value: Read) -> int:
        return 1

    async def take_late(self, value: Read) -> int:
        await asyncio.sleep(0)
        return 1

    async def take_model(self, value: Model) -> int:
        return 1

    async def observe(self, value: Read) -> AsyncIterator[int]:
        yield 1

    async def record(self, values: AsyncIterator[Read]) -> int:
        return len([value async for value in values])

    async def give(self, way: str) -> Read:
        return cast("Read", {"way": way})

    async def give_late(self, way: str) -> Read:
        await asyncio.sleep(0)
        return cast("Read", {"way": way})

    async def gives(self, way: str) -> AsyncIterator[Read]:
        yield Read("well")
        yield cast("Read", {"way": way})

    async def outlet(self, way: str) -> SourceRef[Read]:
        return SourceRef(Handles.gives(self, way))

    async def any(self, way: str) -> Any:
        return UNSENDABLE[way]()

    async def any_late(self, way: str) -> Any:
        await asyncio.sleep(0)
        return UNSENDABLE[way]()

    async def anys(self, way: str) -> AsyncIterator[Any]:
        yield 1
        yield UNSENDABLE[way]()

    async def eat(self, value: Any) -> int:
        return 1

    async def eats(self, values: AsyncIterator[Any]) -> int:
        return len([value async for value in values])

    async def publish(self, way: str) -> None:
        await self.out.send({"way": way})

    async def publish_any(self, way: str) -> None:
        try:
            await self.out.send(UNSENDABLE[way]())
        except TypeError:
            raise NotFound("no such item") from None

    async def fine(self) -> str:
        return "fine"

    async def on_channel(self, channel: penstock.Channel[Read]) -> None:
        match channel.payload:
            case "read":
                await channel.accept()
                await channel.receive()
            case ["accept", way]:
                await channel.accept(UNSENDABLE[way]())
            case ["send", way]:
                await channel.accept()
                await channel.send(UNSENDABLE[way]())
            case way:
                await channel.accept()
                await channel.send(cast("Read", {"way": way}))
                await channel.close()


class HandlesService:
    """The same methods, without an actor."""

    service_name = "HandlesService"
    take, take_late, take_model, observe, record = (
        Handles.take,
        Handles.take_late,
        Handles.take_model,
        Handles.observe,
        Handles.record,
    )
    give, give_late, gives, outlet = Handles.give, Handles.give_late, Handles.gives, Handles.outlet
    any, any_late, anys, eat, eats, fine = (
        Handles.any,
        Handles.any_late,
        Handles.anys,
        Handles.eat,
        Handles.eats,
        Handles.fine,
    )


async def some(value: Any) -> AsyncIterator[Any]:
    yield value


async def _message_from(router: Any, payload: Any, kind: Any = Any) -> Any:
    channel = await router.open_channel("actor", payload, type=kind)
    return await channel.receive()


async def _message_to(router: Any, value: Any) -> Any:
    channel = await router.open_channel("actor", "read")
    await channel.send(value)
    return await channel.receive()


async def _published(stub: Any, router: Any, way: str) -> Any:
    source = router.subscribe("actor", "out", type=Read)
    await stub.fine()
    await stub.publish(way)
    return await source.receive()


async def _published_any(stub: Any, router: Any, way: str) -> Any:
    source = router.subscribe("actor", "out")
    await stub.fine()
    try:
        await stub.publish_any(way)
    finally:
        await source.aclose()


Call = Callable[[Any, Any, str], Awaitable[Any]]

# ── decoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Calls whose value is decoded, by a service or by an actor elsewhere, and the class of the error that its user gets.
DECODED: dict[str, tuple[Call, type[StatusError]]] = {
    "argument": (lambda stub, _router, way: stub.take({"way": way}), InvalidArgument),
    "late argument": (lambda stub, _router, way: stub.take_late({"way": way}), InvalidArgument),
    "model": (lambda stub, _router, way: stub.take_model({"way": "read " + way}), InvalidArgument),
    "argument of a stream": (lambda stub, _router, way: rest_of(stub.observe({"way": way})), InvalidArgument),
    "result": (lambda stub, _router, way: stub.give(way), DataLoss),
    "late result": (lambda stub, _router, way: stub.give_late(way), DataLoss),
    "item": (lambda stub, _router, way: rest_of(stub.gives(way)), DataLoss),
}
OF_SERVICES: dict[str, tuple[Call, type[StatusError]]] = {
    "request": (lambda stub, _router, way: stub.record(some({"way": way})), InvalidArgument),
}
#: The same for messages of an actor by address, here or elsewhere.
BY_ADDRESS: dict[str, tuple[Call, type[StatusError]]] = {
    "payload": (lambda _stub, router, way: router.ask("actor", "take", {"way": way}), InvalidArgument),
    "late payload": (lambda _stub, router, way: router.ask("actor", "take_late", {"way": way}), InvalidArgument),
    "answer": (lambda _stub, router, way: router.ask("actor", "give", way, type=Read), DataLoss),
    "items": (lambda _stub, router, way: rest_of(router.stream("actor", "gives", way, type=Read)), DataLoss),
    "port": (_published, DataLoss),
    "message": (lambda _stub, router, way: _message_from(router, way, Read), DataLoss),
}
ELSEWHERE: dict[str, tuple[Call, type[StatusError]]] = {
    **DECODED,
    **BY_ADDRESS,
    "ref": (lambda stub, _router, way: _of_ref(stub, way), DataLoss),
}


async def _of_ref(stub: Any, way: str) -> Any:
    return await rest_of(await stub.outlet(way))


PLACES = [
    *(("memory", "service", name) for name in (*DECODED, *OF_SERVICES)),
    *(("memory", "actor", name) for name in ELSEWHERE),
    *(("here", "actor", name) for name in BY_ADDRESS),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("where", "kind", "name"), PLACES)
async def test_a_converter_that_raises_ends_one_call(where, kind, name, way, apart):  # noqa: F811 - the fixture
    call, expected = {**ELSEWHERE, **OF_SERVICES}[name]
    async with asyncio.timeout(BOUND_S), reached(where, kind, Handles, HandlesService) as (stub, router):
        found = await outcome_of(call(stub, router, way))
        assert type(found) is expected
        assert await stub.fine() == "fine"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["here", "memory"])
async def test_a_converter_of_a_message_ends_one_channel(where, way):
    async with asyncio.timeout(BOUND_S), reached(where, "actor", Handles, HandlesService) as (stub, router):
        assert isinstance(await outcome_of(_message_to(router, {"way": way})), Exception)
        assert await stub.fine() == "fine"


# ── encoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Calls whose value cannot be encoded, at a service or an actor elsewhere, and the class of the error that its user gets.
ENCODED: dict[str, tuple[Call, type[StatusError]]] = {
    "argument": (lambda stub, _router, way: stub.eat(UNSENDABLE[way]()), InvalidArgument),
    "result": (lambda stub, _router, way: stub.any(way), Internal),
    "late result": (lambda stub, _router, way: stub.any_late(way), Internal),
    "item": (lambda stub, _router, way: rest_of(stub.anys(way)), Internal),
}
REQUESTS: dict[str, tuple[Call, type[StatusError]]] = {
    "request": (lambda stub, _router, way: stub.eats(some(UNSENDABLE[way]())), InvalidArgument),
}
MESSAGES: dict[str, tuple[Call, type[StatusError]]] = {
    "payload": (lambda _stub, router, way: router.ask("actor", "eat", UNSENDABLE[way]()), InvalidArgument),
    "tell": (lambda _stub, router, way: router.tell("actor", "eat", UNSENDABLE[way]()), InvalidArgument),
    "typed tell": (lambda stub, _router, way: penstock.tell(stub).eat(UNSENDABLE[way]()), InvalidArgument),
    "answer": (lambda _stub, router, way: router.ask("actor", "any", way), Internal),
    "described answer": (lambda _stub, router, way: router.ask("actor", "any_late", way, timeout=60), Internal),
    "item of a port": (_published_any, NotFound),
    "payload of an opening": (lambda _stub, router, way: router.open_channel("actor", UNSENDABLE[way]()), InvalidArgument),
    "payload of an accept": (lambda _stub, router, way: _message_from(router, ["accept", way]), InvalidArgument),
    "message": (lambda _stub, router, way: _message_to(router, UNSENDABLE[way]()), InvalidArgument),
}
SENT = [
    *(("memory", "service", name) for name in (*ENCODED, *REQUESTS)),
    *(("memory", "actor", name) for name in (*ENCODED, *MESSAGES)),
]


@pytest.mark.parametrize("way", UNSENDABLE)
@pytest.mark.parametrize(("where", "kind", "name"), SENT)
async def test_a_value_that_cannot_be_encoded_ends_one_call(where, kind, name, way):
    call, expected = {**ENCODED, **REQUESTS, **MESSAGES}[name]
    async with asyncio.timeout(BOUND_S), reached(where, kind, Handles, HandlesService) as (stub, router):
        found = await outcome_of(call(stub, router, way))
        assert type(found) is expected
        assert await stub.fine() == "fine"


@pytest.mark.parametrize("way", UNSENDABLE)
async def test_a_value_that_cannot_be_encoded_is_an_answer_among_others(way):
    """An ask that is not answered would wait for ever, and the other asks of its lane with it."""
    async with asyncio.timeout(BOUND_S), reached("memory", "actor", Handles, HandlesService) as (stub, _router):
        asks = [stub.fine(), stub.any_late(way), stub.any(way), stub.fine()]
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(one) for one in found] == [str, Internal, Internal, str]


@pytest.mark.parametrize("way", UNSENDABLE)
async def test_an_item_that_cannot_be_encoded_is_the_error_of_its_sender(way, apart):  # noqa: F811 - the fixture
    class Inlet:
        def __init__(self) -> None:
            self.sink, self.source = penstock.pipe(4)

        async def inlet(self) -> SinkRef[Any]:
            return SinkRef(self.sink)

    async with (
        asyncio.timeout(BOUND_S),
        penstock.serve(Inlet(), listen="memory://laws") as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        ref = await peer.service(Inlet).inlet()
        with pytest.raises(InvalidArgument):
            await ref.put(UNSENDABLE[way]())
        await ref.aclose()
