"""The rules of a source, each a coroutine that consumes one source. This module uses only the public methods of a source.

A rule returns when it holds, raises `RuleBroken` when it does not, and `NotApplicable` when it cannot be checked here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from penstock.errors import Busy, EndOfStream, PenstockError, StreamClosed
from penstock.streams import Source

#: How many items of a source that may have no end are read.
SAMPLE_ITEMS = 1000

#: How many turns of the event loop a producer in the same process gets to run ahead, and to clean up.
TURNS = 200

#: How long a consumer stalls, for a producer in another process.
STALL_S = 0.05

#: How many reads after the end or the failure must have the same outcome.
READS_AFTER_THE_END = 3


class RuleBroken(AssertionError):
    """A source broke a rule; the message says which one, and how."""


class NotApplicable(Exception):
    """The reason why a rule cannot be checked on this source."""


class SourceCase(NamedTuple):
    """A fresh source, with facts about it; each fact lets `verify_source` check more rules.

    items: the expected items, in order; None when they are not known or have no end.
    error: the type of the failure that comes after `items`; None for a normal end.
    produced: a function that returns how many items the producer of this source has made.
    bound: how many items the producer may be ahead, besides the one that it is sending; by default
    ``statistics().buffer_size`` of the source.
    released: a function that returns whether the producer of this source has run its clean-up.
    """

    source: AsyncIterable[Any]
    items: Sequence[Any] | None = None
    error: type[Exception] | None = None
    produced: Callable[[], int] | None = None
    bound: int | None = None
    released: Callable[[], bool] | None = None


class Reader:
    """Reads any source in the same way: by `Source.receive`, or by the next item of an iterator."""

    def __init__(self, case: SourceCase, patience_s: float) -> None:
        self.case = case
        self.source = case.source
        self.taken: list[Any] = []
        self._patience_s = patience_s
        self._iterator: AsyncIterator[Any] | None = None if isinstance(case.source, Source) else aiter(case.source)

    def use_a_loop(self) -> None:
        """Read by the steps of one loop from now on."""
        self._iterator = aiter(self.typed_source())

    async def next(self) -> Any:
        """Return the next item; raises `EndOfStream` at the normal end."""
        try:
            return await self._within_patience(self._next())
        except StopAsyncIteration:
            raise EndOfStream from None

    async def loop(self, iterator: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Loop over `iterator` to its normal end or its expected failure."""
        with contextlib.suppress(StopAsyncIteration, *[self.case.error] if self.case.error else []):
            while len(self.taken) < self.limit:
                yield await self._within_patience(anext(iterator))

    async def _within_patience(self, coming: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._patience_s):
                taken = await coming
        except TimeoutError:
            raise RuleBroken(f"neither an item nor an end within {self._patience_s:g} s, after {len(self.taken)}") from None
        self.taken.append(taken)
        return taken

    async def rest(self) -> Exception:
        """Read to the end and return the outcome. Raises `NotApplicable` when there is none within `limit` items."""
        try:
            while len(self.taken) < self.limit:
                await self.next()
        except RuleBroken:
            raise
        except Exception as outcome:  # noqa: BLE001 - the rule checks the type of the outcome
            return outcome
        if self.case.items is not None:
            raise RuleBroken(f"after the {len(self.case.items)} expected items came {self.taken[-1]!r}")
        raise NotApplicable(f"no end within {self.limit} items")

    async def first(self) -> None:
        """Read one item. Raises `NotApplicable` when the source is empty."""
        try:
            await self.next()
        except EndOfStream:
            raise NotApplicable("the source is empty") from None

    @property
    def limit(self) -> int:
        """How many items to read at most: one more than expected, so that a surplus item is noticed."""
        return SAMPLE_ITEMS if self.case.items is None else len(self.case.items) + 1

    async def stall(self) -> None:
        """Read nothing for a while, in which a producer could run ahead."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await asyncio.sleep(STALL_S)

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition` holds; return False when it still does not after the patience of this reader."""
        for turn in range(2 * TURNS):
            if condition():
                return True
            await asyncio.sleep(0 if turn < TURNS else self._patience_s / TURNS)
        return condition()

    def started(self) -> asyncio.Task[Any]:
        """Begin to receive in a task of its own."""
        return asyncio.ensure_future(self._next())

    def typed_source(self) -> Source[Any]:
        """Return the source if it is a Penstock `Source`."""
        if not isinstance(self.source, Source):
            raise NotApplicable("this source is a plain async iterator, which promises nothing of the kind")
        return self.source

    async def _next(self) -> Any:
        if self._iterator is not None:
            return await anext(self._iterator)
        return await self.typed_source().receive()

    async def aclose(self) -> None:
        """Close the source, if it can be closed."""
        close = getattr(self.source if isinstance(self.source, Source) else self._iterator, "aclose", None)
        if close is not None:
            await close()


async def items_come_once_in_order(read: Reader) -> None:
    """Exactly the expected items come, in order."""
    expected = _expected(read)
    await read.rest()
    _same(read.taken, expected)


async def a_loop_brings_the_same_items(read: Reader) -> None:
    """`async for` brings the same items as `receive`."""
    source, expected = read.typed_source(), _expected(read)
    _same([item async for item in read.loop(aiter(source))], expected)


async def batches_hold_the_same_items(read: Reader) -> None:
    """`batches` brings the same items, 1 to `max_items` at a time."""
    source, expected, size = read.typed_source(), _expected(read), 7
    taken: list[Any] = []
    async for batch in read.loop(source.batches(size)):
        if not 1 <= len(batch) <= size:
            raise RuleBroken(f"a batch of {len(batch)} items came where 1 to {size} were asked for")
        taken.extend(batch)
    _same(taken, expected)


async def the_end_is_final(read: Reader) -> None:
    """There is one end, and every read after it finds the end again."""
    if read.case.error is not None:
        raise NotApplicable("this source fails; see the rule for failures")
    outcome = await read.rest()
    if not isinstance(outcome, EndOfStream):
        raise RuleBroken(f"it failed with {outcome!r} where it should have ended")
    for _ in range(READS_AFTER_THE_END):
        again = await _outcome(read)
        if not isinstance(again, EndOfStream):
            raise RuleBroken(f"after the end came {again!r}")


async def a_failure_is_typed_and_final(read: Reader) -> None:
    """The failure comes after the items, is of its type, and is never followed by an item or, on a `Source`, by an end."""
    expected = read.case.error
    if expected is None:
        raise NotApplicable("the factory gives no source that fails")
    outcome = await read.rest()
    if not isinstance(outcome, expected):
        raise RuleBroken(f"it ended with {outcome!r} where it should have failed with {expected.__name__}")
    for _ in range(READS_AFTER_THE_END):
        again = await _outcome(read)
        if not isinstance(again, Exception):
            raise RuleBroken(f"after the failure came the item {again!r}")
        if isinstance(again, EndOfStream) and isinstance(read.source, Source):
            raise RuleBroken("after the failure came a normal end")


async def the_producer_waits_for_the_consumer(read: Reader) -> None:
    """While the consumer takes no item, the producer is ahead by its bound and the one item that it is sending, at most."""
    statistics = getattr(read.source, "statistics", None)
    produced = read.case.produced
    bound = read.case.bound if read.case.bound is not None else statistics().buffer_size if statistics else None
    if bound is None or (produced is None and statistics is None):
        raise NotApplicable("neither statistics() nor produced= and bound= tell how far the producer is ahead")
    await read.first()
    await read.stall()
    taken = len(read.taken)
    if produced is not None and produced() - taken > bound + 1:
        raise RuleBroken(f"{taken} items were consumed and {produced()} were produced: more than {bound} and one ahead")
    if statistics is not None and (now := statistics()).sent - taken > bound:
        raise RuleBroken(f"{taken} items were consumed and {now.sent} were sent: more than {bound} ahead")


async def closing_frees_the_producer(read: Reader) -> None:
    """`aclose` is idempotent, ends the source for its user, and lets the producer clean up."""
    if not hasattr(read.source, "aclose"):
        raise NotApplicable("this source has no aclose()")
    await read.first()
    for _ in range(READS_AFTER_THE_END):
        await read.aclose()
    again = await _outcome(read)
    if not isinstance(again, EndOfStream | PenstockError):
        raise RuleBroken(f"after aclose() came {again!r}; expected was EndOfStream or {StreamClosed.__name__}")
    if read.case.released is not None and not await read.until(read.case.released):
        raise RuleBroken("the producer was not freed by aclose()")


async def a_cancelled_receive_loses_nothing(read: Reader) -> None:
    """A receive that is cancelled at any moment leaves its item to the next one."""
    read.typed_source()
    expected, pauses = _expected(read), 0
    for _ in range(read.limit):
        receiving, pauses = read.started(), (pauses + 1) % 5
        for _ in range(pauses):
            await asyncio.sleep(0)
        receiving.cancel()
        outcome = (await asyncio.gather(receiving, return_exceptions=True))[0]
        if isinstance(outcome, asyncio.CancelledError):
            outcome = await _outcome(read)
        elif not isinstance(outcome, Exception):
            read.taken.append(outcome)
        if isinstance(outcome, Exception):
            break
    _same(read.taken, expected)


async def a_cancelled_step_of_a_loop_loses_nothing(read: Reader) -> None:
    """A step of a loop, `anext`, that is cancelled at any moment leaves its item to the next step."""
    read.use_a_loop()
    await a_cancelled_receive_loses_nothing(read)


async def a_second_receiver_is_refused(read: Reader) -> None:
    """While one task waits to receive, another one gets `Busy`, and the first one is not disturbed."""
    read.typed_source()
    for _ in range(read.limit):
        first = read.started()
        await asyncio.sleep(0)
        refused = not first.done() and await _is_refused(read, first)
        outcome = (await asyncio.gather(first, return_exceptions=True))[0]
        if refused and isinstance(outcome, Busy):
            raise RuleBroken("the receiver that came first was refused too")
        if refused:
            return
        if isinstance(outcome, BaseException):
            break
    raise NotApplicable("its items were always ready, so no receiver had to wait")


async def _is_refused(read: Reader, first: asyncio.Task[Any]) -> bool:
    """Return whether a second receiver gets `Busy`. False when an item or the end came in between, which shows nothing."""
    second = read.started()
    await asyncio.sleep(0)
    waits = not second.done()
    second.cancel()
    outcome = (await asyncio.gather(second, return_exceptions=True))[0]
    if waits and not first.done():
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        raise RuleBroken("a second receiver was left waiting where it should have got Busy")
    return isinstance(outcome, Busy)


async def _outcome(read: Reader) -> object:
    """Return the next item, or the exception that came instead."""
    try:
        return await read.next()
    except RuleBroken:
        raise
    except Exception as outcome:  # noqa: BLE001 - the rule checks the type of the outcome
        return outcome


def _expected(read: Reader) -> Sequence[Any]:
    if read.case.items is None:
        raise NotApplicable("the factory does not say which items to expect")
    return read.case.items


def _same(taken: Sequence[Any], expected: Sequence[Any]) -> None:
    for place, (left, right) in enumerate(zip(taken, expected, strict=False)):
        if left != right:
            raise RuleBroken(f"item {place} is {left!r} where {right!r} was expected")
    if len(taken) < len(expected):
        raise RuleBroken(f"it ended after {len(taken)} of {len(expected)} items")
    if len(taken) > len(expected):
        raise RuleBroken(f"after the {len(expected)} expected items came {taken[len(expected)]!r}")
