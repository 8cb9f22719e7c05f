"""What an item costs, in calls of Python: the table of ARCHITECTURE.md, which does not depend on the machine.

A call is a function of Penstock that begins, or a coroutine or generator that goes on. What the standard library and the handler
do is not counted.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import penstock
from tests.calls.kit import Pair, linked
from tests.streams.kit import rest

PACKAGE = Path(penstock.__file__).parent
#: The virtual clock, which a program does not run on.
NOT_COUNTED = (str(PACKAGE / "testing"), str(PACKAGE / "_upkeep.py"))
TABLE = re.compile(r"^\| (.+?) \| (\d+) \| (\d+) \|$", re.MULTILINE)
STREAMS = 64


class Tick(penstock.Struct):
    number: int
    text: str = "tick"


class Ticker:
    """Each of its streams has an item when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def ticks(self) -> AsyncIterator[Tick]:
        number = 0
        while True:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
            yield Tick(number)
            number += 1

    async def many(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def echo(self, tick: Tick) -> Tick:
        return tick

    def tick_all(self) -> None:
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            turn.set_result(None)


class Cost(NamedTuple):
    """Calls for each item, at the side that sends it and at the side that gets it."""

    sender: float
    receiver: float


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls of Penstock in this thread, by the name of the function."""
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            calls[frame.f_code.co_qualname] += not frame.f_code.co_filename.startswith(NOT_COUNTED)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def budget(work: str) -> Cost:
    """Return the row of the table in ARCHITECTURE.md."""
    page = Path(__file__).parents[2] / "ARCHITECTURE.md"
    rows = {name: Cost(int(sender), int(receiver)) for name, sender, receiver in TABLE.findall(page.read_text("utf-8"))}
    return rows[work]


def check(work: str, sent: Counter[str], received: Counter[str], items: int) -> None:
    """Compare what was counted with the table. A count far below it is a reason to write the new one there."""
    cost, most = Cost(sent.total() / items, received.total() / items), budget(work)
    told = "\n".join(f"{count / items:6.2f} {name}" for calls in (sent, received) for name, count in calls.most_common(40))
    assert most.sender - 2 < cost.sender <= most.sender, told
    assert most.receiver - 2 < cost.receiver <= most.receiver, told


@pytest.fixture
async def ticker():
    return Ticker()


@pytest.fixture
async def pair(ticker):
    async with linked(ticker, gate=False) as pair:
        yield pair


async def alone(pair: Pair, ticker: Ticker, read: Any) -> tuple[Counter[str], Counter[str]]:
    """Count one item on each of many streams: first its sender, while the other side reads nothing, then its receiver."""
    readers = [asyncio.create_task(read(pair.stub(Ticker).ticks())) for _ in range(STREAMS)]
    for _ in range(2):  # the first item of a stream has calls that are made once
        await rest()
        ticker.tick_all()
    await rest()
    link = pair.peer._scope.session.link
    assert link is not None
    link.pause_reading()
    with counted() as sent:
        ticker.tick_all()
        await rest()
    with counted() as received:
        link.resume_reading()
        await rest()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return sent, received


async def test_an_item_that_comes_alone(pair, ticker):
    got = []

    async def read(stream: AsyncIterator[Tick]) -> None:
        async for tick in stream:
            got.append(tick.number)

    sent, received = await alone(pair, ticker, read)
    assert got.count(2) == STREAMS
    check("an item that comes alone", sent, received, STREAMS)


async def test_an_item_of_a_full_stream(pair):
    async def read(count: int) -> None:
        async for _ in pair.stub(Ticker).many(count):
            pass

    with counted() as few:
        await read(10_000)
    with counted() as many:
        await read(20_000)
    assert (many.total() - few.total()) / 10_000 <= sum(budget("an item of a full stream"))


async def test_a_call_with_one_answer(pair):
    echo = pair.stub(Ticker).echo
    await echo(Tick(0))
    near, far = pair.peer._scope.session.link, pair.served._scope.session.link
    far.pause_reading()
    with counted() as caller:
        calls = [asyncio.create_task(echo(Tick(number))) for number in range(STREAMS)]
        await rest()
    near.pause_reading()
    with counted() as callee:
        far.resume_reading()
        await rest()
    with counted() as caller_again:
        near.resume_reading()
        await asyncio.gather(*calls)
    check("a call with one answer", caller + caller_again, callee, STREAMS)
