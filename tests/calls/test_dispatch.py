"""Calls as their callee handles them: what is not there, what does not fit, how a handler ends and what of it travels."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import Internal, NotFound, StatusError, Unimplemented
from penstock.codec import JSON
from tests.calls.kit import collected, ended, linked, rest, started

SIXTEEN = [
    penstock.Cancelled,
    penstock.Unknown,
    penstock.InvalidArgument,
    penstock.DeadlineExceeded,
    penstock.NotFound,
    penstock.AlreadyExists,
    penstock.PermissionDenied,
    penstock.ResourceExhausted,
    penstock.FailedPrecondition,
    penstock.Aborted,
    penstock.OutOfRange,
    penstock.Unimplemented,
    penstock.Internal,
    penstock.Unavailable,
    penstock.DataLoss,
    penstock.Unauthenticated,
]


class Stop(BaseException):
    """What no `except Exception` catches."""


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Own(NotFound):
    """A status error of the service's own."""

    reason = "own"


def error_of(how: str) -> BaseException:
    """Make a new error each time: one that was raised holds the frames that it went through."""
    made = {
        "value": ValueError("the secret text"),
        "group": ExceptionGroup("many", [ValueError("secret"), NotFound("inner")]),
        "stop": Stop(),
        "unprintable": Unprintable(),
        "own": Own("mine", {"id": 1}),
        "status": StatusError("plain"),
        "end": penstock.EndOfStream(),
        "would block": penstock.WouldBlock("x"),
        "object in details": NotFound("x", {"object": object()}),
        "numbers as keys": NotFound("x", {1: 2}),
        "surrogate": NotFound("no file \ud800"),
        "surrogate in details": NotFound("x", {"name": "\ud800"}),
        "large details": NotFound("x", {"text": "x" * 200_000}),
        "large message": NotFound("x" * 200_000),
        "large numbers": NotFound("x", {"number": 2**80}),
        "cancelled": asyncio.CancelledError(),
    }
    return made[how]


class Handlers:
    async def unary(self, how: str) -> int:
        raise error_of(how)

    async def watch(self, how: str) -> AsyncIterator[int]:
        yield 1
        yield 2
        raise error_of(how)

    async def record(self, items: AsyncIterator[int], how: str) -> int:
        async for _ in items:
            raise error_of(how)
        return 0

    async def trade(self, items: AsyncIterator[int], how: str) -> AsyncIterator[int]:
        async for item in items:
            yield item
            raise error_of(how)

    async def status(self, code: int, message: str, details: dict[str, int | str | list[int]]) -> int:
        raise SIXTEEN[code - 1](message, details)

    async def status_watch(self, code: int, message: str, details: dict[str, int]) -> AsyncIterator[int]:
        yield 1
        raise SIXTEEN[code - 1](message, details)

    async def echo(self, value: int) -> int:
        return value

    async def cannot_travel(self) -> object:
        return object()

    async def cannot_be_yielded(self) -> AsyncIterator:
        yield 1
        yield object()

    async def numbers(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def total(self, items: AsyncIterator[int]) -> int:
        return sum([item async for item in items])


Handlers.cannot_travel.__annotations__["return"] = "int"  # a service that does not keep its word


async def call(stub, kind, how):
    """Call the handler that raises, by kind; return what came before the error, and the error."""
    if kind == "unary":
        return [], await ended(asyncio.ensure_future(stub.unary(how)))
    if kind == "record":
        return [], await ended(asyncio.ensure_future(stub.record([1, 2], how)))
    return await collected(stub.watch(how) if kind == "watch" else stub.trade([1, 2], how))


KINDS = ["unary", "record", "watch", "trade"]


@pytest.mark.parametrize("code", range(1, 17))
async def test_each_of_the_sixteen_codes_arrives_with_message_and_details(code):
    details = {"id": code, "why": "because", "all": [1, 2]}
    async with linked(Handlers()) as pair:
        with pytest.raises(SIXTEEN[code - 1], match="the message ✓") as raised:
            await pair.stub(Handlers).status(code, "the message ✓", details)
        assert type(raised.value) is SIXTEEN[code - 1]
        assert (raised.value.code, raised.value.details, raised.value.started) == (code, details, True)
        items, error = await collected(pair.stub(Handlers).status_watch(code, "m", {"id": code}))
        assert items == [1]
        assert type(error) is SIXTEEN[code - 1]
        assert error.details == {"id": code}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unexpected_exception_is_internal_with_an_id_that_finds_it_in_the_log(kind, caplog):
    async with linked(Handlers()) as pair:
        with caplog.at_level(logging.ERROR, "penstock.calls"):
            items, error = await call(pair.stub(Handlers), kind, "value")
        assert type(error) is Internal
        assert items == {"watch": [1, 2], "trade": [1]}.get(kind, [])
        assert "secret" not in error.message + repr(error.details)
        (record,) = caplog.records
        assert error.details["error_id"] in record.getMessage()
        assert error.details["error_id"] in error.message
        assert record.exc_text.endswith("ValueError: the secret text")
        assert await pair.stub(Handlers).echo(1) == 1


async def test_an_unexpected_error_leaves_the_task_that_it_came_from_as_it_is():
    """The error of a future holds the frames of the task that made it."""

    class Batcher:
        def __init__(self) -> None:
            self.jobs: asyncio.Queue[tuple[int, asyncio.Future[float]]] = asyncio.Queue()

        async def work(self) -> None:
            while True:
                number, done = await self.jobs.get()
                try:
                    done.set_result(1 / number)
                except ZeroDivisionError as error:
                    done.set_exception(error)

        async def invert(self, number: int) -> float:
            done = asyncio.get_running_loop().create_future()
            self.jobs.put_nowait((number, done))
            return await done

    batcher = Batcher()
    working = asyncio.ensure_future(batcher.work())
    async with linked(batcher) as pair:
        with pytest.raises(Internal):
            await pair.stub(Batcher).invert(0)
        assert await pair.stub(Batcher).invert(2) == 0.5
    assert not working.done()
    working.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_expose_errors_tells_the_text(kind):
    async with linked(Handlers(), expose_errors=True) as pair:
        _, error = await call(pair.stub(Handlers), kind, "value")
        assert type(error) is Internal
        assert "ValueError: the secret text" in error.message


@pytest.mark.parametrize("expose", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["group", "unprintable", "end", "would block"])
async def test_whatever_a_handler_raises_is_an_error_and_never_an_end(kind, how, expose):
    async with linked(Handlers(), expose_errors=expose) as pair:
        _, error = await call(pair.stub(Handlers), kind, how)
        assert type(error) is Internal
        assert await pair.stub(Handlers).echo(1) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_stopped_by_a_base_exception_is_never_a_normal_end(kind):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    async with linked(Handlers()) as pair:
        items, error = await call(pair.stub(Handlers), kind, "stop")
        assert isinstance(error, StatusError), f"it looked like a normal end after {items}"
        assert await pair.stub(Handlers).echo(1) == 1
    assert all(isinstance(error, Stop) for error in told)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_that_is_cancelled_from_inside_is_cancelled_at_the_caller(kind):
    async with linked(Handlers()) as pair:
        _, error = await call(pair.stub(Handlers), kind, "cancelled")
        assert type(error) is penstock.Cancelled


async def test_an_error_class_of_the_service_arrives_as_what_it_extends():
    async with linked(Handlers()) as pair:
        with pytest.raises(NotFound, match="mine") as raised:
            await pair.stub(Handlers).unary("own")
        assert raised.value.details == {"id": 1}
        with pytest.raises(penstock.Unknown, match="plain"):
            await pair.stub(Handlers).unary("status")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "how",
    [
        "object in details",
        "numbers as keys",
        "surrogate",
        "surrogate in details",
        "large details",
        "large message",
        "large numbers",
    ],
)
async def test_an_error_that_cannot_travel_as_it_is_travels_as_it_can_and_harms_no_other_call(kind, how):
    async with linked(Handlers()) as pair:
        other = pair.stub(Handlers).trade(never(), "value")
        _, error = await call(pair.stub(Handlers), kind, how)
        assert type(error) is NotFound
        assert await pair.stub(Handlers).echo(1) == 1
        assert other.statistics().state == "open"
        await other.aclose()


async def never():
    await asyncio.Event().wait()
    yield 0


async def test_a_result_that_cannot_travel_is_internal_and_an_item_too_after_those_before():
    async with linked(Handlers()) as pair:
        with pytest.raises(Internal):
            await pair.stub(Handlers).cannot_travel()
        items, error = await collected(pair.stub(Handlers).cannot_be_yielded())
        assert (items, type(error)) == ([1], Internal)
        assert await pair.stub(Handlers).echo(1) == 1


# ── what is not there ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("Handlers/ecko", "did you mean 'Handlers/echo'?"),
        ("Handler/echo", "did you mean 'Handlers/echo'?"),
        ("zzz", "known methods: "),
        ("", "known methods: "),
        ("Handlers/_private", ""),
        ("Handlers/__init__", ""),
    ],
)
async def test_an_unknown_method_is_unimplemented_with_what_may_have_been_meant(target, hint):
    async with linked(Handlers()) as pair:
        with pytest.raises(Unimplemented) as raised:
            await pair.peer.call(target, 1)
        assert hint in raised.value.message
        assert raised.value.started is False
        _, error = await collected(pair.peer.stream(target))
        assert type(error) is Unimplemented


async def test_a_call_of_another_kind_is_unimplemented_and_both_kinds_are_named():
    async with linked(Handlers()) as pair:
        for made, is_, called in (
            (pair.peer.call("Handlers/numbers", 3), "server_streaming", "unary"),
            (pair.peer.call("Handlers/total"), "client_streaming", "unary"),
            (pair.peer.open("Handlers/echo", 1).receive(), "unary", "bidirectional"),
            (pair.peer.open("Handlers/numbers", 1, kind="client_streaming").receive(), "server_streaming", "client_streaming"),
            (pair.peer.stream("Handlers/total").receive(), "client_streaming", "server_streaming"),
        ):
            with pytest.raises(Unimplemented, match=f"is {is_}, not {called}") as raised:
                await made
            assert raised.value.started is False


async def test_a_peer_that_serves_nothing_says_so():
    async with linked(Handlers()) as pair:
        with pytest.raises(Unimplemented, match="nothing is served here"):
            await pair.served.call("Handlers/echo", 1)


async def test_a_class_is_not_an_object_of_it():
    with pytest.raises(TypeError, match=r"serve an object of it: Handlers\(\)"):
        async with penstock.serve(Handlers, listen="memory://class"):
            pass


async def test_json_calls_of_a_foreign_client_are_answered_in_json():
    async with linked(Handlers()) as pair:
        assert await pair.peer.call("Handlers/echo", 7, codec=JSON) == 7
        assert [item async for item in pair.peer.stream("Handlers/numbers", 5, codec=JSON)] == list(range(5))
        trade = pair.peer.open("Handlers/total", kind="client_streaming", codec=JSON)
        for item in range(4):
            await trade.send(item)
        assert await trade.close_and_receive() == 6


async def test_a_call_cancelled_before_its_handler_began_leaves_nothing():
    service = Handlers()
    async with linked(service) as pair:
        for _ in range(3):
            for turns in range(8):
                stream = pair.stub(Handlers, timeout=3600).numbers(3)
                unary = asyncio.ensure_future(pair.stub(Handlers, timeout=3600).echo(3))
                for _ in range(turns):
                    await asyncio.sleep(0)
                stream.cancel()
                unary.cancel()
                await ended(unary)
        await rest()
        assert not pair.left_over()
        timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
        assert not [timer for timer in timers if 100 < timer.when() < 10_000], "deadlines of calls that are over"
        assert await pair.stub(Handlers).echo(1) == 1


async def test_a_handler_that_ignores_its_cancellation_does_not_hold_the_caller():
    class Stubborn:
        def __init__(self):
            self.released = asyncio.Event()

        async def watch(self) -> AsyncIterator[int]:
            yield 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await self.released.wait()
            yield 2

    service = Stubborn()
    async with linked(service) as pair:
        stream = pair.stub(Stubborn).watch()
        assert await stream.receive() == 1
        await stream.aclose()
        leaving = await started(pair.peer.call("Penstock/describe"))
        assert leaving.done()
        service.released.set()


async def test_an_error_may_carry_any_message():
    class Odd:
        async def raise_(self) -> int:
            raise NotFound(17)

    async with linked(Odd()) as pair:
        with pytest.raises(NotFound, match="17"):
            await pair.stub(Odd).raise_()


@pytest.mark.parametrize("code", [0, 17, 404, "x"])
def test_an_error_of_your_own_has_one_of_the_sixteen_codes(code):
    with pytest.raises(TypeError, match="1 to 16"):
        type("Mine", (StatusError,), {"code": code})


async def test_a_large_argument_is_dropped_once_it_was_decoded_however_long_the_call_lasts():
    class Archive:
        async def index(self, data: bytes) -> AsyncIterator[int]:
            yield len(data)
            await asyncio.get_running_loop().create_future()

    async with linked(Archive()) as pair:
        stream = pair.stub(Archive).index(bytes(1_000_000))
        assert await stream.receive() == 1_000_000
        (task,) = pair.served._scope.tasks
        call = task.get_coro().cr_frame.f_locals["self"]
        assert call._handle.opened.argument is None
        await stream.aclose()
