"""`verify_source` accepts what keeps the rules and says which one is broken by what does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from penstock import streams
from penstock.errors import DataLoss, EndOfStream, StreamCancelled
from penstock.streams import Source, pipe
from penstock.testing import RuleBroken, SourceCase, verify_source

EVERY_RULE_BUT_FAILURE = 8


@pytest.fixture(autouse=True)
async def producers() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Wait for every producer of a test: one that sleeps hears of the cancellation when it sends again."""
    yield RUNNING
    await asyncio.gather(*RUNNING)
    RUNNING.clear()


RUNNING: list[asyncio.Task[None]] = []


@dataclass
class Producer:
    """Sends `count` items into a pipe; how it does is what the cases differ in."""

    count: int = 50
    buffer_size: int = 4
    pause_s: float = 0.0
    error: Exception | None = None
    produced: int = 0
    released: bool = False

    def case(self) -> SourceCase:
        sink, source = pipe(self.buffer_size)
        RUNNING.append(asyncio.create_task(self._send(sink)))
        kind = type(self.error) if self.error else None
        return SourceCase(source, range(self.count), error=kind, produced=lambda: self.produced, released=lambda: self.released)

    async def _send(self, sink: streams.Sink[int]) -> None:
        try:
            for number in range(self.count):
                self.produced += 1
                await sink.send(number)
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)
            if self.error:
                sink.fail(self.error)
            else:
                sink.close()
        except StreamCancelled:
            pass
        finally:
            self.released = True


@pytest.mark.parametrize("pause_s", [0.0, 0.01])
@pytest.mark.parametrize("buffer_size", [1, 4, 1000])
async def test_a_pipe_keeps_every_rule(buffer_size, pause_s) -> None:
    checked = await verify_source(lambda: Producer(buffer_size=buffer_size, pause_s=pause_s).case())
    assert len(checked.held) >= EVERY_RULE_BUT_FAILURE - (not pause_s)
    assert "a failure is typed and final" in checked.skipped
    assert "holds: items come once in order" in str(checked)
    assert "not checked: a failure is typed and final: the factory gives no source that fails" in str(checked)


async def test_a_pipe_that_fails_keeps_every_rule() -> None:
    checked = await verify_source(lambda: Producer(pause_s=0.001, error=DataLoss("torn")).case())
    assert "a failure is typed and final" in checked.held
    assert "the end is final" in checked.skipped


async def test_a_plain_async_generator_keeps_the_rules_that_make_sense_for_it() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(20):
            yield number
            await asyncio.sleep(0.01)

    checked = await verify_source(lambda: (numbers(), range(20)))
    assert set(checked.held) == {"items come once in order", "the end is final", "closing frees the producer"}
    assert "plain async iterator" in checked.skipped["a second receiver is refused"]


async def test_a_generator_without_end_is_sampled() -> None:
    async def endless() -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    checked = await verify_source(endless)
    assert checked.held == ("closing frees the producer",)
    assert "no end within 1000 items" in checked.skipped["the end is final"]


async def test_a_factory_may_be_a_coroutine() -> None:
    async def factory() -> SourceCase:
        await asyncio.sleep(1)
        return Producer(pause_s=0.001).case()

    await verify_source(factory)


async def test_a_factory_that_returns_something_else_is_told() -> None:
    with pytest.raises(TypeError, match="the factory returned 7"):
        await verify_source(lambda: 7)


class Broken(Source[int]):
    """A correct source of 0 .. 9, to be broken in one way each."""

    def __init__(self) -> None:
        self.items = list(range(10))
        self.at_end: list[object] = []
        self.closed = False
        self.waiting = False

    def _take(self, max_items: int) -> list[int]:
        if self.closed or not self.items:
            raise EndOfStream
        taken, self.items = self.items[:max_items], self.items[max_items:]
        return taken

    async def _readable(self) -> None:
        raise AssertionError("its items are always there")

    def __aiter__(self) -> AsyncIterator[int]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[int]:
        try:
            while True:
                yield await self.receive()
        except EndOfStream:
            return

    async def aclose(self) -> None:
        self.closed = True

    def statistics(self) -> streams.Statistics:
        return streams.Statistics("open", 10, len(self.items), 10, 10 - len(self.items), 0, 0)

    def _watch(self, on_change) -> None:
        pass


class Skipping(Broken):
    def _take(self, max_items: int) -> list[int]:
        taken = super()._take(max_items)
        return [number + (number >= 5) for number in taken]


class Short(Broken):
    def __init__(self) -> None:
        super().__init__()
        self.items.pop()


class Long(Broken):
    def __init__(self) -> None:
        super().__init__()
        self.items.append(10)


class Resurrecting(Broken):
    def _take(self, max_items: int) -> list[int]:
        try:
            return super()._take(max_items)
        except EndOfStream:
            self.items = [99]
            raise


class Closing(Broken):
    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


class Deaf(Broken):
    async def aclose(self) -> None:
        pass


class RunningAhead(Broken):
    def statistics(self) -> streams.Statistics:
        return super().statistics()._replace(buffer_size=3)


class Hanging(Broken):
    async def receive(self) -> int:
        if len(self.items) == 5:
            await asyncio.Event().wait()
        return await super().receive()


class Losing(Broken):
    async def receive(self) -> int:
        item = await super().receive()
        await asyncio.sleep(0)  # cancelled here, the item is gone
        return item


class Dying(Broken):
    """FAULTS A2: a generator as the loop, which a cancelled step ends."""

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield await self.receive()
        except EndOfStream:
            pass


class Sharing(Broken):
    async def receive(self) -> int:
        await asyncio.sleep(0.001)
        return await super().receive()


class Batching(Broken):
    async def batches(self, max_items: int = 256):
        yield []
        yield list(range(10))


class Looping(Broken):
    async def _iterate(self) -> AsyncIterator[int]:
        for number in range(5):
            yield number


class Failing(Broken):
    def _take(self, max_items: int) -> list[int]:
        try:
            return super()._take(max_items)
        except EndOfStream:
            raise DataLoss("torn") from None


async def test_the_sources_below_are_broken_in_one_way_only() -> None:
    await verify_source(lambda: (Broken(), range(10)))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Skipping, "items come once in order: item 5 is 6 where 5 was expected"),
        (Short, "items come once in order: it ended after 9 of 10 items"),
        (Long, "items come once in order: after the 10 expected items came 10"),
        (Resurrecting, "the end is final: after the end came 99"),
        (Closing, r"closing frees the producer: it raised RuntimeError\('closed twice'\)"),
        (Deaf, r"closing frees the producer: after aclose\(\) came 1"),
        (RunningAhead, "the producer waits for the consumer: 1 items were consumed and 10 were sent: more than 3 ahead"),
        (Hanging, "items come once in order: neither an item nor an end within 5 s, after 5"),
        (Losing, "a cancelled receive loses nothing: item 0 is 1 where 0 was expected"),
        (Dying, "a cancelled step of a loop loses nothing: it ended after"),
        (Sharing, "a second receiver is refused: a second receiver was left waiting"),
        (Batching, "batches hold the same items: a batch of 0 items came where 1 to 7 were asked for"),
        (Looping, "a loop brings the same items: it ended after 5 of 10 items"),
        (Failing, r"the end is final: it failed with DataLoss\('torn'\)"),
    ],
)
async def test_a_broken_rule_is_named_with_what_happened(kind, told) -> None:
    with pytest.raises(RuleBroken, match=told):
        await verify_source(lambda: (kind(), range(10)))


async def test_a_failure_of_another_type_or_followed_by_an_end_is_told() -> None:
    class Ending(Failing):
        failed = False

        def _take(self, max_items: int) -> list[int]:
            if self.failed:
                raise EndOfStream
            try:
                return super()._take(max_items)
            except DataLoss:
                self.failed = True
                raise

    with pytest.raises(RuleBroken, match="after the failure came a normal end"):
        await verify_source(lambda: SourceCase(Ending(), range(10), error=DataLoss))
    with pytest.raises(RuleBroken, match="should have failed with KeyError"):
        await verify_source(lambda: SourceCase(Failing(), range(10), error=KeyError))


async def test_a_producer_that_is_not_freed_or_runs_ahead_is_told() -> None:
    with pytest.raises(RuleBroken, match=r"the producer was not freed by aclose\(\)"):
        await verify_source(lambda: SourceCase(Broken(), range(10), released=lambda: False))
    with pytest.raises(RuleBroken, match="1 items were consumed and 40 were produced: more than 10 and one ahead"):
        await verify_source(lambda: SourceCase(Broken(), range(10), produced=lambda: 40))
    await verify_source(lambda: SourceCase(Broken(), range(10), produced=lambda: 40, bound=40, released=lambda: True))


async def test_an_empty_source_shows_little_and_breaks_nothing() -> None:
    checked = await verify_source(lambda: Producer(count=0).case())
    assert checked.skipped["closing frees the producer"] == "the source is empty"
