"""Latency, split and joined writes, little bandwidth: items arrive once, whole and in order, whatever becomes of the bytes."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from tests.calls.kit import rest
from tests.sim.kit import KINDS, world

WEATHERS = {
    "calm": {},
    "far away": {"latency_s": (0.05, 0.05)},
    "jitter": {"latency_s": (0.01, 0.3)},
    "crumbs": {"latency_s": (0.0, 0.01), "split": 1.0},
    "lumps": {"latency_s": (0.01, 0.1), "coalesce": 0.7},
    "both": {"latency_s": (0.1, 0.3), "split": 0.5, "coalesce": 0.5},
    "a thin line": {"latency_s": (0.05, 0.1), "bandwidth_bytes_s": 125_000, "split": 0.2},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weather", WEATHERS)
async def test_every_item_arrives_once_in_order_and_whole(weather, kind, seed):
    async with world(seed, network=WEATHERS[weather]) as here:
        for number, (count, size) in enumerate([(0, 8), (1, 8), (500, 8), (50, 3000), (5, 70_000), (2, 300_000)]):
            buffer_size = [None, 1, 7, 64, 2, 300][(number + seed) % 6]
            run = here.run(kind, count=count, size=size, buffer_size=buffer_size)
            (await run.go()).check_complete()


@pytest.mark.parametrize("weather", WEATHERS)
async def test_many_calls_of_every_kind_share_a_line_and_none_meets_another(weather, seed):
    async with world(seed, network=WEATHERS[weather]) as here:
        runs = [
            here.run(
                KINDS[number % 4],
                count=here.network.random.randint(0, 60),
                size=here.network.random.choice([8, 100, 2000, 20_000]),
                buffer_size=here.network.random.choice([None, 1, 3, 20]),
                priority=here.network.random.choice(["interactive", "normal", "bulk"]),
            )
            for number in range(40)
        ]
        for run in await asyncio.gather(*(run.go() for run in runs)):
            run.check_complete()


@pytest.mark.parametrize("kind", ["watch", "trade"])
@pytest.mark.parametrize("compression", ["none", "deflate", "zstd"])
async def test_compression_changes_nothing_but_bytes(kind, compression, seed):
    settings = penstock.Settings(compression=compression, compression_threshold_bytes=100)
    options = {"settings": settings, "client_settings": settings}
    async with world(seed, network=WEATHERS["both"], **options) as here:
        for count, size in ((200, 8), (20, 5000), (3, 300_000)):
            (await here.run(kind, count=count, size=size).go()).check_complete()


@pytest.mark.parametrize("kind", ["watch", "record", "trade"])
async def test_the_bound_holds_over_any_distance(kind, seed):
    async with world(seed, network=WEATHERS["both"]) as here:
        run = here.run(kind, count=300, buffer_size=10)
        going = asyncio.ensure_future(run.go())
        while not going.done():
            await asyncio.sleep(0.01)
            if kind == "watch":
                assert here.line.produced - run.seen.count <= 10
            elif kind == "trade":
                assert run.requests.produced - run.seen.count <= 20 + 1  # two directions, and the item in the handler's hand
        (await going).check_complete()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_partition_that_heals_delays_and_changes_nothing(kind, seed):
    async with world(seed, network=WEATHERS["jitter"]) as here:
        going = asyncio.ensure_future(here.run(kind, count=100, pause_s=0.02, buffer_size=5).go())
        for _ in range(5):
            await asyncio.sleep(here.network.random.uniform(0.05, 0.4))
            here.network.partition("client", "server")
            await asyncio.sleep(here.network.random.uniform(0.1, 5))
            here.network.heal()
        (await going).check_complete()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_side_that_stands_still_for_five_seconds_is_waited_for(kind, seed):
    """It reads nothing for five seconds, then the other side, and then the whole process stands still."""
    async with world(seed, network=WEATHERS["far away"]) as here:
        going = asyncio.ensure_future(here.run(kind, count=200, pause_s=0.05, buffer_size=5).go())
        for link in (here.pair.peer._scope.session.link, here.pair.served._scope.session.link):
            await asyncio.sleep(1)
            link.pause_reading()
            await asyncio.sleep(5)
            link.resume_reading()
        await asyncio.sleep(1)
        asyncio.get_running_loop().advance(5)
        (await going).check_complete()


async def test_thousands_of_streams_in_churn_leave_nothing(seed):
    async with world(seed, network={"latency_s": (0.001, 0.01)}) as here:
        done = 0

        async def churn(number):
            nonlocal done
            for turn in range(200):
                run = here.run("watch" if (number + turn) % 2 else "trade", count=turn % 4, buffer_size=1 + turn % 3)
                (await run.go()).check_complete()
                done += 1

        await asyncio.gather(*(churn(number) for number in range(10)))
        assert done == 2000
        await rest()
        assert not here.pair.left_over()
