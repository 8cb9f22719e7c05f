"""A message that comes alone is answered without its reader, and otherwise waits for it, in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock.errors import DeadlineExceeded, InvalidArgument
from tests.calls.kit import rest
from tests.remote.kit import SMALL, outcome, town

ALONE: dict[str, Any] = {
    "told": [0, "note", ["x"]],
    "one that waits": [3, "note_late", ["x"]],
    "with a deadline": [3, "note", ["x"], 0, None, [], 5000],
    "with a sender": [3, "note", ["x"], 0, "who"],
    "as a payload": [3, "note", "x", 1],
    "of a name that was never used": [3, "wait", ["x"]],
}


@pytest.mark.parametrize("message", ALONE.values(), ids=ALONE.keys())
async def test_what_cannot_be_answered_at_once_comes_to_the_reader_in_its_place(message: Any):
    async with town() as place:
        desk, _stub = await place.desk()
        async with place.peer.open("/desk!lane") as call:
            for item in ([1, "note", [1]], [2, "note", [2]], message, [4, "note_late", [4]]):
                await call.send(item)
                await asyncio.sleep(1)
            desk.gate.set()
            await asyncio.sleep(1)
            assert desk.notes == [1, 2, *(["begun x", "done x"] if message[1] == "wait" else ["x"]), 4]


async def test_a_bad_message_that_comes_alone_ends_the_lane():
    async with town() as place:
        await place.desk()
        call = place.peer.open("/desk!lane")
        await call.send([1, "note", [1]])
        assert await call.receive() == [1, None]
        await asyncio.sleep(1)
        await call.send("nonsense")
        with pytest.raises(InvalidArgument, match="item 1"):
            await call.receive()


async def test_an_argument_that_does_not_fit_is_explained():
    async with town() as place:
        await place.desk()
        async with place.peer.open("/desk!lane") as call:
            for number, body in ((1, [1]), (2, ["x"]), (3, [1, 2])):
                await call.send([number, "add", body])
                await asyncio.sleep(1)
            assert await call.receive() == [1, 1]
            assert "`k`" in (await call.receive())[2][2]
            assert "2 arguments where 1 are taken" in (await call.receive())[2][2]


async def test_lone_asks_give_others_a_turn():
    async with town() as place:
        desk, stub = await place.desk()
        for _ in range(1000):
            await stub.add()
        assert desk.total == 1000


# ── the time that a message has waited ────────────────────────────────────────────────────────────────────────────────────


class Busy(penstock.Actor):
    mailbox = penstock.Mailbox(size=1)

    def __init__(self) -> None:
        self.begun: list[float | None] = []

    async def work(self, seconds: float) -> None:
        self.begun.append(penstock.context().time_remaining())
        await asyncio.sleep(seconds)

    async def work_here(self) -> None:
        self.begun.append(penstock.context().time_remaining())


@asynccontextmanager
async def untouched(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("before", [0, 1, 2, 3, 5, 8, 40])
@pytest.mark.parametrize("interceptors", [[], [untouched]], ids=["plain", "intercepted"])
@pytest.mark.parametrize("method", ["work", "work_here"])
async def test_the_time_that_a_message_waits_is_taken_from_its_deadline(before, interceptors, method):
    """Rule 6.8: in the mailbox, in the inbox of its lane, or at the caller without credit, by the number of those `before`."""
    async with town(settings=SMALL, client_settings=SMALL, interceptors=interceptors) as place:
        await place.system.spawn(Busy, name="busy")
        busy = place.object("busy", Busy)
        stub = place.peer.actor(Busy, "busy")
        told = [asyncio.ensure_future(penstock.tell(stub).work(3.0 if number == 0 else 0)) for number in range(before + 1)]
        await rest()
        limited = penstock.options(stub, timeout=10)
        asked = [asyncio.ensure_future(limited.work(0) if method == "work" else limited.work_here()) for _ in range(2)]
        asked.append(asyncio.ensure_future(place.peer.ask("busy", method, [0] if method == "work" else None, timeout=10)))
        late = asyncio.ensure_future(outcome(penstock.options(stub, timeout=2).work_here()))
        await asyncio.gather(*told, *asked)
        assert type(await late) is DeadlineExceeded
        assert busy.begun[-3:] == [pytest.approx(7, abs=0.1)] * 3
