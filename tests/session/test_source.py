"""The receiving end of a remote stream: what is counted, and when the sender hears of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.protocol._budget import BATCH_COST_BYTES
from penstock.testing import SourceCase, run, verify_source
from tests.calls.kit import linked, rest, started
from tests.session.kit import Joined, held_for_peer

STEPS = st.lists(st.sampled_from(["receive", "batch", "loop", "rest", "cancel"]), min_size=1, max_size=40)
SIZES = st.lists(st.sampled_from([0, 1, 50, 5_000, 20_000, 70_000]), max_size=60)


class Numbers:
    def __init__(self, sizes):
        self.sizes = sizes
        self.produced = 0

    async def count(self) -> AsyncIterator[bytes]:
        for number, size in enumerate(self.sizes):
            self.produced += 1
            yield self.item(number, size)

    def item(self, number, size):
        return number.to_bytes(4, "big") + bytes(size)


class Consumer:
    """Reads a stream in many ways, and checks the bound after each step."""

    def __init__(self, numbers, stream, window):
        self.numbers = numbers
        self.stream = stream
        self.window = window
        self.taken = []
        self.kept = []  # to let go of an iterator would end the call

    async def step(self, what):
        match what:
            case "rest":
                await rest()
                left = len(self.numbers.sizes) - len(self.taken)
                assert not left or self.numbers.produced > len(self.taken), "the producer was forgotten"
            case "receive":
                self.taken.append(await self.stream.receive())
            case "batch":
                self.kept.append(self.stream.batches(3))
                self.taken += await anext(self.kept[-1])
            case "loop":
                self.kept.append(aiter(self.stream))
                self.taken.append(await anext(self.kept[-1]))
            case "cancel":
                await self._cancelled()
        self.check()

    async def _cancelled(self):
        receiving = asyncio.ensure_future(self.stream.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        outcome = (await asyncio.gather(receiving, return_exceptions=True))[0]
        if isinstance(outcome, penstock.EndOfStream):
            raise outcome
        if not isinstance(outcome, asyncio.CancelledError):
            self.taken.append(outcome)

    def check(self):
        assert self.numbers.produced - len(self.taken) <= self.window
        now = self.stream.statistics()
        assert (now.received, now.buffered) == (len(self.taken), now.sent - len(self.taken))


@settings(max_examples=80)
@given(window=st.integers(1, 20), sizes=SIZES, steps=STEPS)
def test_whatever_the_consumer_does_the_bound_holds_and_every_item_comes_once_in_order(window, sizes, steps):
    async def scenario():
        numbers = Numbers(sizes)
        async with linked(numbers) as pair:
            consumer = Consumer(numbers, pair.stub(Numbers, buffer_size=window).count(), window)
            try:
                for step in steps:
                    await consumer.step(step)
                while True:
                    await consumer.step("receive")
            except (penstock.EndOfStream, StopAsyncIteration):
                assert consumer.taken == [numbers.item(number, size) for number, size in enumerate(sizes)]

    run(scenario())


@settings(max_examples=40)
@given(window_bytes=st.integers(1, 200_000), sizes=SIZES)
def test_a_window_of_bytes_never_stops_a_stream_for_good(window_bytes, sizes):
    async def scenario():
        numbers = Numbers(sizes)
        async with linked(numbers) as pair:
            stream = pair.stub(Numbers, buffer_bytes=window_bytes).count()
            most = 0
            async for _ in stream:
                most = max(most, held_for_peer(pair.peer._scope.session))
        assert numbers.produced == len(sizes)
        assert most <= window_bytes + max(sizes, default=0) + 100 + len(sizes) * BATCH_COST_BYTES

    run(scenario())


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 8, 9, 100])
async def test_credit_is_told_once_for_each_half_window_that_was_consumed(window):
    numbers = Numbers([0] * 50 * window)
    async with linked(numbers) as pair:
        stream = pair.stub(Numbers, buffer_size=window).count()
        told = []
        for consumed in range(1, 40 * window):
            before = numbers.produced
            await stream.receive()
            await rest()
            if numbers.produced != before:
                told.append(consumed)
        gaps = {later - earlier for earlier, later in itertools.pairwise(told)}
        assert max(gaps) <= max(window, 1)
        assert len(told) <= 40 * window // ((window + 1) // 2) + 1
        await stream.aclose()


async def test_a_second_waiter_is_refused():
    async with Joined() as joined:
        end = joined.open()
        waiting = await started(end.source.receive())
        with pytest.raises(penstock.Busy):
            await end.source.receive()
        waiting.cancel()


async def test_pressure_is_told_when_the_window_is_full_and_when_it_is_not():
    async with Joined() as joined:
        end = joined.open(window=4)
        await rest()
        edges = []
        penstock.watch_backpressure(end.source, edges.append)
        sink = joined.accepted[0].sink
        for number in range(4):
            sink.send_nowait(number)
        await rest()
        assert edges == [True]
        for _ in range(4):
            end.source.receive_nowait()
        await rest()
        assert edges == [True, False]


async def test_bytes_that_wait_are_counted_for_the_whole_connection_and_given_back():
    async with Joined() as joined:
        ends = [joined.open(window=100) for _ in range(3)]
        await rest()
        for accepted in joined.accepted:
            await accepted.sink.send_many(bytes(1000) for _ in range(50))
        await rest()
        assert held_for_peer(joined.client) > 150_000
        async for _ in ends[0].source:
            if ends[0].source.statistics().buffered == 0:
                break
        await ends[1].source.aclose()
        assert 50_000 < held_for_peer(joined.client) < 52_000
        await ends[2].source.aclose()
        await rest()
        assert held_for_peer(joined.client) == 0


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("window", [1, 5, None])
async def test_a_remote_stream_keeps_every_rule_of_a_source(window, failing):
    class Rules(Numbers):
        released = False

        async def count(self) -> AsyncIterator[bytes]:
            try:
                async for item in super().count():
                    yield item
                if failing:
                    raise penstock.NotFound("after all")
            finally:
                self.released = True

    opened = []

    async def case():
        numbers = Rules([10] * 30)
        context = linked(numbers, url=f"memory://rules{len(opened)}", gate=False)
        opened.append(context)
        pair = await context.__aenter__()
        stream = pair.stub(Rules, buffer_size=window).count()
        return SourceCase(
            stream,
            [numbers.item(number, 10) for number in range(30)],
            penstock.NotFound if failing else None,
            lambda: numbers.produced,
            window,
            lambda: numbers.released,
        )

    try:
        verified = await verify_source(case)
    finally:
        for context in opened:
            await context.__aexit__(None, None, None)
    assert len(verified.held) >= 6, str(verified)


@pytest.mark.parametrize(("slow", "window"), [("sender", 64), ("consumer", 1)])
def test_a_window_grows_for_a_consumer_that_waits_for_credit_and_not_for_a_slow_one(slow, window):
    """The loop of the sender takes 30 ms for each turn, and the round trip was measured on an idle connection."""

    async def read(source) -> None:
        async for _item in source:
            if slow == "consumer":
                await asyncio.sleep(0.3)

    async def main() -> int:
        async with Joined() as joined:
            end = joined.open(first=1, window=64)
            await rest()
            sink, grant = joined.accepted[0].sink, end.source._half.grant
            reading = asyncio.ensure_future(read(end.source))
            for _ in range(40):
                for _ in range(grant.items - sink.statistics().sent):
                    await sink.send(0)
                await asyncio.sleep(0.03)
            reading.cancel()
            await asyncio.wait([reading])
            return end.source.statistics().buffer_size

    assert run(main()) == window
