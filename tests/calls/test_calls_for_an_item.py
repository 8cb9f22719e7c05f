"""What an item costs, in calls of Python: the table of ARCHITECTURE.md, which does not depend on the machine.

A call is a function of Penstock that begins, or a coroutine or generator that goes on. The handler and the standard library are
not counted.
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
from tests.calls.kit import linked
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


def check(work: str, items: int, sent: Counter[str], received: Counter[str] | None = None) -> None:
    """Compare what was counted with the table. A count that is far below it is a reason to write the new one there.

    received: what the other side has called; None for a count of both sides. An eager handler of a call costs three more.
    """
    most = budget(work)
    sides = ((sent, sum(most)),) if received is None else ((sent, most.sender), (received, most.receiver))
    for calls, limit in sides:
        told = "\n".join(f"{count / items:6.2f} {name}" for name, count in calls.most_common(60))
        assert limit - 4 < calls.total() / items <= limit, told


@pytest.fixture
async def ticker():
    return Ticker()


@pytest.fixture
async def pair(ticker):
    async with linked(ticker, gate=False) as pair:
        yield pair


async def tick_twice(ticker: Ticker) -> None:
    """Let each stream have the items that cost more, because something is made once."""
    for _ in range(2):
        await rest()
        ticker.tick_all()
    await rest()


async def stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("work", "streams"), [("an item that comes alone", STREAMS), ("a write and a read, with one item", 1)])
async def test_an_item_that_comes_alone(pair, ticker, work, streams):
    """First its sender, while the other side reads nothing, then its receiver."""
    got: Counter[int] = Counter()

    async def read(stream: AsyncIterator[Tick]) -> None:
        async for tick in stream:
            got[tick.number] += 1

    readers = [asyncio.create_task(read(pair.stub(Ticker).ticks())) for _ in range(streams)]
    await tick_twice(ticker)
    link = pair.peer._scope.session.link
    link.pause_reading()
    with counted() as sent:
        ticker.tick_all()
        await rest()
    with counted() as received:
        link.resume_reading()
        await rest()
    await stop(readers)
    assert got == {0: streams, 1: streams, 2: streams}
    check(work, streams, sent, received)


async def test_an_item_of_a_full_stream(pair):
    async def read(count: int) -> Counter[str]:
        with counted() as calls:
            async for _ in pair.stub(Ticker).many(count):
                pass
        return calls

    few, many = await read(10_000), await read(20_000)
    check("an item of a full stream", 10_000, many - few)


async def test_an_event_for_a_reader_over_http(ticker):
    """From the handler to the server of ASGI."""
    sent: Counter[str] = Counter()
    leaves = asyncio.Event()

    async def request() -> None:
        body = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not body:
                await leaves.wait()
            return body.pop() if body else {"type": "http.disconnect"}

        async def send(event: dict[str, Any]) -> None:
            sent[event.get("body", b"")] += 1

        headers = [(b"accept", b"text/event-stream"), (b"host", b"here")]
        scope = {"type": "http", "method": "GET", "path": "/call/Ticker/ticks", "query_string": b"", "headers": headers}
        await app(scope, receive, send)

    async with penstock.asgi(ticker) as app:
        requests = [asyncio.create_task(request()) for _ in range(STREAMS)]
        await tick_twice(ticker)
        with counted() as calls:
            ticker.tick_all()
            await rest()
        leaves.set()
        await stop(requests)
    assert sent[b'data: {"number":2,"text":"tick"}\n\n'] == STREAMS
    check("an event for a reader over HTTP", STREAMS, calls)


async def test_a_call_with_one_answer(pair):
    echo = pair.stub(Ticker).echo
    await echo(Tick(0))
    near, far = pair.peer._scope.session.link, pair.served._scope.session.link
    far.pause_reading()
    with counted() as before:
        calls = [asyncio.create_task(echo(Tick(number))) for number in range(STREAMS)]
        await rest()
    near.pause_reading()
    with counted() as callee:
        far.resume_reading()
        await rest()
    with counted() as after:
        near.resume_reading()
        await asyncio.gather(*calls)
    check("a call with one answer", STREAMS, before + after, callee)
