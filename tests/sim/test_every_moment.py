"""A deadline, a cancel, a drain at every moment of a call: a typed outcome at once, and nothing left behind on either side."""

from __future__ import annotations

import asyncio

import pytest

from penstock import Cancelled, DeadlineExceeded, Unavailable
from penstock.testing import run
from tests.calls.kit import Log, ended, now, rest
from tests.sim.kit import KINDS, world

LATENCY = {"latency_s": (0.05, 0.05)}
COUNT, PAUSE_S = 10, 0.04
MOMENTS = [step * 0.029 for step in range(1, 50)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline_at_every_stage_is_kept_to_the_moment(kind, seed):
    async def scenario(timeout: float) -> bool:
        async with world(seed, network=LATENCY) as here:
            call = here.run(kind, count=COUNT, pause_s=PAUSE_S, buffer_size=3, timeout=timeout)
            begun = now()
            await call.go()
            call.check_typed(DeadlineExceeded)
            if call.outcome is not None:
                assert call.ended_at - begun == pytest.approx(timeout, abs=0.002)
            await asyncio.sleep(1)
            assert call.requests.open == 0
            assert here.line.closed == here.line.begun
            return call.outcome is None

    outcomes = [run(scenario(timeout)) for timeout in MOMENTS]
    assert outcomes == sorted(outcomes), "a longer deadline failed where a shorter one was kept"
    assert not outcomes[0]
    assert outcomes[-1]


@pytest.mark.parametrize(
    "stage", ["interceptor", "partition before OPEN", "partition during", "no credit", "consumer away", "link full"]
)
async def test_a_deadline_holds_wherever_the_call_is_stuck(stage, seed):
    async def stuck():
        await asyncio.Event().wait()

    interceptors = {"client_interceptors": [Log().around("a", before=stuck)]} if stage == "interceptor" else {}
    for kind in KINDS:
        async with world(seed, network=LATENCY, gate=stage == "interceptor", **interceptors) as here:
            if stage == "partition before OPEN":
                here.network.partition()
            elif stage == "link full":
                here.pair.peer._scope.session.pause_writing()
            call = here.run(kind, count=1000, pause_s=0.01, buffer_size=3, timeout=3)
            if stage == "no credit":
                call.requests.pause_s = 0
            begun = now()
            going = asyncio.ensure_future(call.go())
            if stage == "partition during":
                await asyncio.sleep(1)
                here.network.partition()
            await going
            assert type(call.outcome) is DeadlineExceeded, (kind, call.outcome)
            assert call.ended_at - begun == pytest.approx(3, abs=0.002)
            here.network.heal()
            if stage == "link full":
                here.pair.peer._scope.session.resume_writing()
            await asyncio.sleep(1)
            assert not here.pair.left_over()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_at_every_moment_frees_both_sides(kind, seed):
    async def scenario(moment: float) -> None:
        async with world(seed, network=LATENCY) as here:
            call = here.run(kind, count=COUNT, pause_s=PAUSE_S, buffer_size=3)
            going = asyncio.ensure_future(call.go())
            other = asyncio.ensure_future(here.run(kind, count=COUNT, pause_s=PAUSE_S).go())
            await asyncio.sleep(moment)
            going.cancel()
            await ended(going)
            assert going.cancelled() or call.outcome is None
            await asyncio.sleep(0.2)
            assert call.requests.open == 0
            assert here.line.begun - here.line.closed <= 1  # the other call
            (await other).check_complete()

    for moment in MOMENTS:
        run(scenario(moment))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", [{}, {"latency_s": (0.0, 0.001), "split": 1.0}], ids=["at once", "in crumbs"])
def test_a_cancel_in_every_turn_of_the_loop_frees_both_sides(kind, network, seed):
    async def scenario(turns: int) -> bool:
        async with world(seed, network=network) as here:
            call = here.run(kind, count=6, buffer_size=2)
            going = asyncio.ensure_future(call.go())
            for _ in range(turns):
                await asyncio.sleep(0)
            going.cancel()
            await ended(going)
            await asyncio.sleep(0.1)
            assert call.requests.open == 0
            assert not here.pair.left_over()
            (await here.run(kind, count=6, buffer_size=2).go()).check_complete()
            return call.outcome is None and not going.cancelled()

    done = [run(scenario(turns)) for turns in range(80)]
    assert not done[0]


@pytest.mark.parametrize("kind", ["watch", "trade"])
def test_leaving_a_loop_at_every_item_frees_both_sides(kind, seed):
    async def scenario(items: int) -> None:
        async with world(seed, network=LATENCY) as here:
            call = here.run(kind, count=COUNT, buffer_size=3)
            stub = call.stub
            stream = stub.watch(COUNT) if kind == "watch" else stub.trade(call.requests)
            taken = 0
            async for sample in stream:
                call.seen.check(sample)
                taken += 1
                if taken >= items:
                    break
            await asyncio.sleep(0.2)
            assert here.line.closed == here.line.begun
            assert call.requests.open == 0

    for items in range(1, COUNT + 1):
        run(scenario(items))


@pytest.mark.parametrize("kind", KINDS)
def test_both_ends_giving_up_at_once_and_crossing_the_end_is_one_clean_end(kind, seed):
    """The client cancels while the handler is cancelled, and while the last item and the end are on their way."""

    async def scenario(client_at: float, server_at: float) -> None:
        async with world(seed, network=LATENCY) as here:
            call = here.run(kind, count=5, pause_s=0.02, buffer_size=3)
            going = asyncio.ensure_future(call.go())
            loop = asyncio.get_running_loop()
            loop.call_later(client_at, going.cancel)

            def cancel_handlers():
                for task in tuple(here.pair.served._scope.tasks):
                    task.cancel()

            loop.call_later(server_at, cancel_handlers)
            await ended(going)
            if not going.cancelled():
                call.check_typed(Cancelled)
            await asyncio.sleep(0.5)
            assert here.line.closed == here.line.begun

    for client_at in (0.05, 0.1, 0.12, 0.15, 0.2, 0.25):
        for server_at in (0.05, 0.1, 0.12, 0.15, 0.2, 0.25):
            run(scenario(client_at, server_at))


@pytest.mark.parametrize("kind", KINDS)
def test_a_drain_at_every_moment_lets_a_call_finish_or_refuses_it_before_it_began(kind, seed):
    async def scenario(moment: float) -> None:
        async with world(seed, gate=False, network=LATENCY) as here:
            loop = asyncio.get_running_loop()
            closing: list[asyncio.Task[None]] = []
            loop.call_later(moment, lambda: closing.append(asyncio.ensure_future(here.pair.server.aclose(grace_s=10))))
            await asyncio.sleep(0.1)
            call = here.run(kind, count=COUNT, pause_s=PAUSE_S, buffer_size=3)
            await call.go()
            call.check_typed(Unavailable)
            if call.outcome is not None:
                assert call.outcome.started is False, call.outcome
                assert here.line.begun == 0
            await asyncio.sleep(2)
            await asyncio.gather(*closing)

    for moment in MOMENTS[::2]:
        run(scenario(moment))


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_closed_without_grace_at_every_moment_is_unavailable_and_never_an_end(kind, seed):
    async def scenario(moment: float) -> None:
        async with world(seed, gate=False, network=LATENCY) as here:
            call = here.run(kind, count=COUNT, pause_s=PAUSE_S, buffer_size=3)
            going = asyncio.ensure_future(call.go())
            await asyncio.sleep(moment)
            await here.pair.server.aclose(grace_s=0)
            await going
            call.check_typed(Unavailable)

    for moment in MOMENTS[::2]:
        run(scenario(moment))


def test_a_clock_that_jumps_an_hour_ends_what_was_due_and_nothing_else(seed):
    async def scenario() -> None:
        async with world(seed, network=LATENCY) as here:
            due = here.run("watch", count=10**6, pause_s=60, timeout=1800)
            other = here.run("trade", count=50, pause_s=0.1)
            going = [asyncio.ensure_future(run_.go()) for run_ in (due, other)]
            await asyncio.sleep(1)
            asyncio.get_running_loop().advance(3600)
            await asyncio.gather(*going)
            assert type(due.outcome) is DeadlineExceeded
            other.check_complete()

    run(scenario())


def test_the_same_seed_does_the_same_again(seed):
    async def scenario() -> list[tuple[int, float]]:
        async with world(seed, network={"latency_s": (0.01, 0.2), "split": 0.5, "coalesce": 0.3}) as here:
            calls = [here.run(KINDS[number % 4], count=30, pause_s=0.01) for number in range(8)]
            await asyncio.gather(*(call.go() for call in calls))
            await rest()
            return [(call.seen.count, call.ended_at) for call in calls]

    assert run(scenario()) == run(scenario())
