"""The readers of retained streams, for a screen: each has its place, and nothing is kept of one that has left."""

from __future__ import annotations

import asyncio

import penstock
from penstock.retention import streams_here
from tests.retention.kit import counted


def places(name: str) -> list[tuple[str, int]]:
    found = [reader for reader in streams_here().readers if reader.kept.name == name]
    return sorted((reader.by[:7], reader.reads_at) for reader in found if reader.reads_at is not None)


async def test_each_reader_has_its_offset_until_it_ends():
    log = penstock.retained("log", counted(10))
    await asyncio.sleep(0.01)
    first, second = log.follow(2), log.follow("now")
    assert places("log") == [("", 2), ("", 10)]
    await first.receive()
    assert places("log") == [("", 3), ("", 10)]
    await second.aclose()
    assert places("log") == [("", 3)]
    del first
    assert places("log") == []


async def test_a_reader_of_another_process_has_its_address():
    log = penstock.retained("far")
    await log.send_many(range(10))
    async with penstock.serve(listen="memory://far"), penstock.connect("memory://far") as peer:
        follower = peer.follow("far")
        await follower.receive()
        while places("far") != [("memory:", 10)]:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)
        await follower.aclose()
        while places("far"):  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)
    assert log.next_offset == 10
