"""A call with one request and one response, alone and among many."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock.codec import MSGPACK
from penstock.protocol import Status
from tests.calls.kit import Log, ended, linked, now, rest, started


class Service:
    def __init__(self):
        self.log = Log()
        self.gates = [asyncio.Event() for _ in range(10)]

    async def echo(self, value: bytes | int | None) -> bytes | int | None:
        return value

    async def sleep(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def wait(self) -> None:
        self.log.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            self.log.append("closed")

    async def clean_up_slowly(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            self.log.append("clean")

    async def gate(self, number: int) -> int:
        await self.gates[number].wait()
        return number


@pytest.fixture
async def service():
    return Service()


@pytest.fixture
async def pair(service):
    async with linked(service) as pair:
        yield pair


@pytest.mark.parametrize(
    "value", [None, 0, b"", b"x", b"x" * 16_384, b"y" * 1_000_000, b"z" * 16_000_000], ids=lambda value: str(value)[:8]
)
async def test_a_value_of_any_size_comes_back(pair, value):
    assert await pair.stub(Service).echo(value) == value


async def test_calls_are_answered_in_any_order(pair, service):
    calls = [await started(pair.stub(Service).gate(number)) for number in range(10)]
    for number in (7, 2, 9, 0, 1, 3, 8, 4, 6, 5):
        service.gates[number].set()
        assert await calls[number] == number
    assert asyncio.get_running_loop().time() < 1


async def test_a_handler_that_waits_holds_nobody_else(pair):
    waiting = [await started(pair.stub(Service).wait()) for _ in range(100)]
    begun = now()
    assert await asyncio.gather(*(pair.stub(Service).echo(number) for number in range(100))) == list(range(100))
    assert now() == begun
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_cancelling_a_call_cancels_its_handler(pair, service):
    call = await started(pair.stub(Service).wait())
    call.cancel()
    assert isinstance(await ended(call), asyncio.CancelledError)
    await rest()
    assert service.log == ["begun", "cancelled", "closed"]


async def test_the_clean_up_of_a_cancelled_handler_may_take_its_time(pair, service):
    call = await started(pair.stub(Service).clean_up_slowly())
    call.cancel()
    await ended(call)
    assert await pair.stub(Service).echo(1) == 1
    await asyncio.sleep(2)
    assert service.log == ["clean"]


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_cancelled_in_any_turn_leaves_nothing(pair, turns):
    for _ in range(3):
        call = asyncio.ensure_future(pair.stub(Service).echo(1))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        assert await ended(call) == 1 or call.cancelled()
    await rest()
    assert not pair.left_over()
    assert await pair.stub(Service).echo(2) == 2


async def test_a_deadline_ends_call_and_handler(pair, service):
    begun = now()
    with pytest.raises(penstock.DeadlineExceeded, match="Service/wait"):
        await pair.stub(Service, timeout=2).wait()
    assert now() - begun == pytest.approx(2, abs=0.01)
    await rest()
    assert service.log == ["begun", "cancelled", "closed"]


async def test_a_deadline_that_is_not_reached_leaves_no_timer(pair):
    assert await pair.stub(Service, timeout=1000).echo(1) == 1
    await rest()
    timers = asyncio.get_running_loop()._scheduled
    assert not [timer for timer in timers if not timer.cancelled() and 500 < timer.when() < 2000]


async def test_a_lost_connection_is_told_to_every_call_each_its_own_error(service):
    async with linked(service, gate=False, client_reconnect=None) as pair:
        calls = [await started(pair.stub(Service).wait()) for _ in range(5)]
        pair.served._scope.session.link.abort()
        errors = [await ended(call) for call in calls]
        assert {type(error) for error in errors} == {penstock.ConnectionLost}
        assert len(set(map(id, errors))) == 5
        assert all(error.started for error in errors)
        await rest()
        assert service.log.count("closed") == 5


async def test_a_call_that_nobody_awaits_any_more_says_nothing(service):
    async with linked(service, gate=False, client_reconnect=None) as pair:
        call = await started(pair.stub(Service).wait())
        pair.served._scope.session.link.abort()
        call.cancel()
        await ended(call)
        del call
        gc.collect()
        await rest()


async def test_an_argument_and_a_result_over_the_limit_are_refused_and_harm_nobody(service):
    settings = penstock.Settings(max_item_bytes=100_000)
    async with linked(service, settings=settings) as pair:
        other = await started(pair.stub(Service).wait())
        with pytest.raises(penstock.ResourceExhausted) as raised:
            await pair.stub(Service).echo(b"x" * 200_000)
        assert raised.value.started is False
        with pytest.raises(penstock.ResourceExhausted):
            await pair.stub(Service).echo(b"x" * 20_000_000)
        assert await pair.stub(Service).echo(b"x" * 99_000) == b"x" * 99_000
        assert not other.done()
        other.cancel()
        await ended(other)
    async with linked(service, client_settings=settings) as pair:
        with pytest.raises(penstock.ResourceExhausted):
            await pair.stub(Service).echo(b"x" * 200_000)
        assert await pair.stub(Service).echo(b"x" * 99_000) == b"x" * 99_000


async def test_more_calls_than_the_peer_takes_streams_wait_for_their_turn(service):
    """FAULTS G4."""
    async with linked(service, settings=penstock.Settings(max_streams=3)) as pair:
        calls = [await started(pair.stub(Service).wait()) for _ in range(3)]
        late = [await started(pair.stub(Service).echo(number)) for number in range(20)]
        await asyncio.sleep(1)
        assert not any(call.done() for call in late)
        for call in calls:
            call.cancel()
        assert await asyncio.gather(*late) == list(range(20))


async def test_a_call_that_waits_for_its_turn_has_a_deadline_and_was_not_started(service):
    async with linked(service, settings=penstock.Settings(max_streams=1)) as pair:
        first = await started(pair.stub(Service).wait())
        brief = penstock.CallOptions(timeout=2)
        for late in (pair.stub(Service, timeout=2).echo(1), pair.peer.stream("Service/wait", options=brief).receive()):
            with pytest.raises(penstock.DeadlineExceeded) as raised:
                await late
            assert not raised.value.started
        waiting = await started(pair.stub(Service).echo(1))
        waiting.cancel()
        first.cancel()
        await asyncio.gather(first, waiting, return_exceptions=True)
        await rest()
        assert await pair.stub(Service).echo(2) == 2


async def test_too_many_waiting_calls_are_refused(service):
    waiting = penstock.Settings(max_waiting_calls=2)
    async with linked(service, settings=penstock.Settings(max_streams=1), client_settings=waiting) as pair:
        calls = [await started(pair.stub(Service).wait()) for _ in range(3)]
        with pytest.raises(penstock.ResourceExhausted, match="max_waiting_calls") as raised:
            await pair.stub(Service).echo(1)
        assert not raised.value.started
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_calls_that_wait_for_their_turn_hear_of_a_lost_connection(service):
    async with linked(service, settings=penstock.Settings(max_streams=1), gate=False, client_reconnect=None) as pair:
        first = await started(pair.stub(Service).wait())
        late = [await started(pair.stub(Service).echo(number)) for number in range(5)]
        pair.served._scope.session.abort()
        outcomes = await asyncio.gather(first, *late, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [penstock.ConnectionLost] * 6
        assert [outcome.started for outcome in outcomes] == [True] + [False] * 5


async def test_a_thousand_calls_at_once(pair):
    assert await asyncio.gather(*(pair.stub(Service).echo(number) for number in range(1000))) == list(range(1000))


async def test_a_unary_result_counts_when_the_end_says_so(service):
    async with linked(service, gate=False) as pair:
        calling = await started(pair.stub(Service).gate(0))
        (stream,) = pair.served._scope.session._connection.streams.all()
        stream.send.push(MSGPACK.encode_into, 7)
        pair.served._scope.session._connection.accept(stream, None)
        pair.served._scope.session.touch(stream)
        await rest()
        assert not calling.done()
        pair.served._scope.session._connection.fail(stream, Status(5, "not_found", "after all"))
        pair.served._scope.session.flush_soon()
        with pytest.raises(penstock.NotFound, match="after all"):
            await calling
        assert await pair.stub(Service).echo(4) == 4
        for task in tuple(pair.served._scope.tasks):  # the handler, whose call was answered behind its back
            task.cancel()
