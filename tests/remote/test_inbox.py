"""A message that comes alone is answered without its reader, and otherwise waits for it, in its place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import InvalidArgument
from tests.remote.kit import town

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
