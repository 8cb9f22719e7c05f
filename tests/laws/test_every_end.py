"""Whatever raises, wherever, and whatever it raises: everybody who waits is told, at once, and never of a normal end.

FAULTS A1: only an `Exception` of the stream of requests was told. A `CancelledError` from inside it left the call to hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock import Actor, ActorSystem
from penstock.errors import Aborted, Cancelled, EndOfStream, NotFound, StreamCancelled, StreamClosed
from penstock.streams import Port, source_of
from tests.laws.places import READING, SENT, URLS, reached, world
from tests.refs.conftest import apart  # noqa: F401 - a fixture

#: No end takes longer. It is real time, which nothing here needs: a test that hangs fails by it.
BOUND_S = 20.0


class Odd(BaseException):
    """As a `KeyboardInterrupt`, but for the event loop, which stops at one."""


class Mute(Exception):
    """An exception whose text raises, as that of a class that forgets to call ``super().__init__``."""

    def __str__(self) -> str:
        raise AttributeError("text")

    __repr__ = __str__


async def _cancelled_inside() -> None:
    task = asyncio.ensure_future(asyncio.sleep(100))
    await asyncio.sleep(0)
    task.cancel()
    await task


def _raises(error: Callable[[], BaseException]) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error()

    return fail


#: Each way to end, and the class that a caller elsewhere gets for it; `Exception` for what depends on the place.
ENDS: dict[str, tuple[Callable[[], Awaitable[None]], type[Exception]]] = {
    "Exception": (_raises(lambda: ValueError("bad")), Exception),
    "StatusError": (_raises(lambda: NotFound("gone")), NotFound),
    "EndOfStream": (_raises(EndOfStream), Exception),
    "StreamCancelled": (_raises(lambda: StreamCancelled("another stream")), Cancelled),
    "StreamClosed": (_raises(lambda: StreamClosed("another stream")), Exception),
    "no text": (_raises(Mute), Exception),
    "SystemExit": (_raises(lambda: SystemExit(3)), Exception),
    "TimeoutError": (_raises(TimeoutError), Exception),
    "CancelledError": (_raises(asyncio.CancelledError), Cancelled),
    "cancelled task": (_cancelled_inside, Cancelled),
    "GeneratorExit": (_raises(GeneratorExit), Cancelled),
    "BaseException": (_raises(Odd), Aborted),
    "ExceptionGroup": (_raises(lambda: ExceptionGroup("g", [ValueError(), KeyError()])), Exception),
    "BaseExceptionGroup": (_raises(lambda: BaseExceptionGroup("g", [Odd(), KeyError()])), Aborted),
}
EACH_END = pytest.mark.parametrize("end", ENDS)
ANYWHERE = pytest.mark.parametrize("where", ["here", *URLS])


async def rest_of(source: Any) -> BaseException | list[Any]:
    """Read to the end; return the error, or the items when there was none."""
    taken = []
    try:
        async for item in source:
            taken.append(item)  # noqa: PERF401 - it may fail
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error
    return taken


async def outcome_of(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except asyncio.CancelledError:
        raise  # nothing here is cancelled from elsewhere
    except BaseException as error:  # noqa: BLE001 - the test looks at it
        return error


def check(found: object, end: str) -> None:
    assert isinstance(found, ENDS[end][1]), f"{end} was told as {type(found)}"
    assert not isinstance(found, EndOfStream)


def failing(end: str) -> Callable[[], AsyncIterator[int]]:
    """Return what makes two items and then ends in that way."""

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        yield 2
        await ENDS[end][0]()

    return items


# ── who makes the items ───────────────────────────────────────────────────────────────────────────────────────────────

HANDLED = {"requests", "actor_requests"}  # their reader is a handler, which is cancelled, too: see below
PRODUCERS = [(where, place) for where, place in READING if place.__name__ not in SENT | HANDLED]  # a sender sees its own error


@EACH_END
@pytest.mark.parametrize(("where", "place"), PRODUCERS, ids=lambda value: getattr(value, "__name__", value))
async def test_the_reader_of_a_stream_is_told_how_its_producer_ended(where, place, end, apart):  # noqa: F811 - the fixture
    """FAULTS A1"""
    async with asyncio.timeout(BOUND_S), world(where, rest_of, failing(end)) as at:
        found = await place(at)
        check(found, end)


#: Where requests are sent to, and how; the actor of the places has no bidirectional method.
REQUESTED = [
    (where, method) for where in ("here", *URLS) for method in ("take", "trade") if (where, method) != ("here", "trade")
]


@EACH_END
@pytest.mark.parametrize(("where", "method"), REQUESTED)
async def test_the_caller_is_told_how_its_stream_of_requests_ended(where, method, end):
    """FAULTS A1"""
    async with asyncio.timeout(BOUND_S), world(where, rest_of, failing(end)) as at:
        if where == "here":
            found = await outcome_of(at.desk.take(at.items()))
            told = await at.reads.done
            assert isinstance(told, Exception)
            assert found == 7 or isinstance(found, Exception)  # its handler swallowed the error that it was told
            return
        stub = at.peer.service(type(at.shop))
        found = await (outcome_of(stub.take(at.items())) if method == "take" else rest_of(stub.trade(at.items())))
        assert isinstance(found, ENDS[end][1] if end != "EndOfStream" else Aborted)
        assert not isinstance(found, EndOfStream)


# ── who handles ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Fails(Actor):
    """A service and an actor each of whose methods ends in the way that it is told."""

    async def answer(self, end: str) -> int:
        await asyncio.sleep(0)
        await ENDS[end][0]()
        return 1

    async def at_once(self, end: str) -> int:
        error = AT_ONCE[end]()
        raise error

    async def make(self, end: str) -> AsyncIterator[int]:
        async for item in failing(end)():
            yield item

    async def take(self, items: AsyncIterator[int], end: str) -> int:
        await anext(items)
        await ENDS[end][0]()
        return 1

    async def trade(self, items: AsyncIterator[int], end: str) -> AsyncIterator[int]:
        async for item in items:
            yield item
            await ENDS[end][0]()

    async def on_channel(self, channel: penstock.Channel[int]) -> None:
        await channel.accept()
        await channel.send(1)
        await ENDS[channel.payload][0]()


class FailsService:
    """The same methods, without an actor."""

    service_name = "FailsService"
    answer, at_once, make, take, trade = Fails.answer, Fails.at_once, Fails.make, Fails.take, Fails.trade


AT_ONCE = {
    "Exception": lambda: ValueError("bad"),
    "StatusError": lambda: NotFound("gone"),
    "EndOfStream": EndOfStream,
    "StreamCancelled": lambda: StreamCancelled("another stream"),
    "StreamClosed": lambda: StreamClosed("another stream"),
    "no text": Mute,
    "SystemExit": lambda: SystemExit(3),
    "TimeoutError": TimeoutError,
    "CancelledError": asyncio.CancelledError,
    "cancelled task": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "BaseException": Odd,
    "ExceptionGroup": lambda: ExceptionGroup("g", [ValueError(), KeyError()]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("g", [Odd(), KeyError()]),
}


async def two() -> AsyncIterator[int]:
    yield 1
    yield 2


#: The handlers that fail: those of an actor here, those of a service elsewhere, and those of an actor that differ elsewhere.
HANDLERS = [
    *(("here", "actor", call) for call in ("answer", "at_once", "make", "take", "trade")),
    *((where, "service", call) for where in URLS for call in ("answer", "at_once", "make", "take", "trade")),
    *((where, "actor", call) for where in URLS for call in ("answer", "at_once", "make")),
]


@EACH_END
@pytest.mark.parametrize(("where", "kind", "call"), HANDLERS)
async def test_the_caller_is_told_how_a_handler_ended(where, kind, call, end):
    """FAULTS A1"""
    async with asyncio.timeout(BOUND_S), reached(where, kind, Fails, FailsService) as (stub, _router):
        if call in {"answer", "at_once"}:
            found = await outcome_of(getattr(stub, call)(end))
        elif call == "make":
            found = await rest_of(stub.make(end))
        elif call == "take":
            found = await outcome_of(stub.take(two(), end))
        else:
            found = await rest_of(stub.trade(two(), end))
        assert isinstance(found, ENDS[end][1])
        again = await outcome_of(stub.answer("StatusError"))
        assert isinstance(again, NotFound), "the others go on"


@EACH_END
@ANYWHERE
async def test_the_other_side_is_told_how_the_handler_of_a_channel_ended(where, end):
    """FAULTS A1"""
    async with asyncio.timeout(BOUND_S), reached(where, "actor", Fails, FailsService) as (_stub, router):
        channel = await router.open_channel("actor", end)
        found = await rest_of(channel)
        assert isinstance(found, Exception)
        await channel.wait_closed()


class Starts(Actor):
    async def on_start(self) -> None:
        await ENDS[_starting][0]()


class Made(Actor):
    def __init__(self) -> None:
        error = AT_ONCE[_starting]()
        raise error


_starting = ""


@EACH_END
@pytest.mark.parametrize("cls", [Starts, Made])
async def test_the_task_that_spawns_is_told_how_the_start_ended(cls, end, monkeypatch):
    """FAULTS A1"""
    monkeypatch.setitem(globals(), "_starting", end)
    async with asyncio.timeout(BOUND_S), ActorSystem() as system:
        found = await outcome_of(system.spawn(cls))
        assert isinstance(found, Exception)
        assert not system.list()


#: What interceptors stand around; the first three at the caller, too.
CALLS = ["unary", "stream", "requests", "ask", "actor stream", "channel"]


# ── what stands around a call ─────────────────────────────────────────────────────────────────────────────────────────


@EACH_END
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    ("side", "call"),  # messages of actors pass no interceptor of their caller
    [(side, call) for side in ("caller", "callee") for call in CALLS[: 3 if side == "caller" else None]],
)
async def test_the_caller_is_told_how_an_interceptor_ended(call, side, place, end):
    """FAULTS A1"""

    @asynccontextmanager
    async def around(info: penstock.CallInfo) -> AsyncIterator[None]:
        if place == "before":
            await ENDS[end][0]()
        yield
        if place == "after":
            await ENDS[end][0]()

    class Good(Actor):
        async def answer(self) -> int:
            return 1

        async def make(self) -> AsyncIterator[int]:
            yield 1

        async def take(self, items: AsyncIterator[int]) -> int:
            return len([item async for item in items])

        async def on_channel(self, channel: penstock.Channel[int]) -> None:
            await channel.accept()

    class GoodService:
        answer, make, take = Good.answer, Good.make, Good.take

    caller, callee = ([around], []) if side == "caller" else ([], [around])
    async with asyncio.timeout(BOUND_S), ActorSystem() as system:
        await system.spawn(Good, name="good")
        async with (
            penstock.serve(GoodService(), system, listen=URLS["memory"], interceptors=callee) as server,
            penstock.connect(server.urls[0], interceptors=caller) as peer,
        ):
            assert isinstance(await _CALLS[call](peer, peer.service(GoodService)), BaseException)


_CALLS: dict[str, Callable[[penstock.Peer, Any], Awaitable[Any]]] = {
    "unary": lambda _peer, stub: outcome_of(stub.answer()),
    "stream": lambda _peer, stub: rest_of(stub.make()),
    "requests": lambda _peer, stub: outcome_of(stub.take(two())),
    "ask": lambda peer, _stub: outcome_of(peer.ask("good", "answer")),
    "actor stream": lambda peer, _stub: rest_of(peer.stream("good", "make")),
    "channel": lambda peer, _stub: outcome_of(_channel_to_the_end(peer)),
}


async def _channel_to_the_end(peer: penstock.Peer) -> Any:
    channel = await peer.open_channel("good")
    outcome = await rest_of(channel)
    return channel.state if outcome == [] else outcome


# ── who holds an end ──────────────────────────────────────────────────────────────────────────────────────────────────


@EACH_END
@pytest.mark.parametrize("kind", ["pipe", "port"])
async def test_the_reader_is_told_how_a_block_of_its_sink_was_left(kind, end):
    """FAULTS A1"""
    sink, source = penstock.pipe() if kind == "pipe" else ((port := Port("p")), port.subscribe())
    with pytest.raises(BaseException):  # noqa: B017, PT011 - any of them
        async with sink:
            await ENDS[end][0]()
    check(await rest_of(source), end)


@EACH_END
async def test_every_read_of_a_source_over_an_iterator_has_the_same_end(end):
    """FAULTS A1"""
    source = source_of(failing(end)())
    assert [await source.receive(), await source.receive()] == [1, 2]
    for _ in range(3):
        check(await outcome_of(source.receive()), end)
