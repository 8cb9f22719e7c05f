"""Every bad input is answered by its rule or by a status over a real connection, whole and byte by byte; nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from tests.attack.kit import commit, victim
from tests.attack.violations import ALL, BREAKING

pytestmark = [pytest.mark.processes, pytest.mark.slow]


async def test_every_bad_input_is_answered_as_the_protocol_says_and_leaves_nothing():
    """FAULTS H1, H16, RELIABILITY "Bad inputs": a rule by its number, or a status; the server stays up."""
    async with victim() as server:
        for case in ALL:
            await commit(case, server)
        after = await server.figures()
        assert after.left == {}


async def test_what_is_cut_into_bytes_is_answered_alike():
    async with victim() as server:
        small = [case for case in ALL if len(case.data) < 1000]
        for at in range(0, len(small), 8):
            await asyncio.gather(*(commit(case, server, piece_bytes=1) for case in small[at : at + 8]))
        assert (await server.figures()).left == {}


async def test_hundreds_of_violations_leave_nothing_and_no_memory():
    """FAULTS H1: 20,000 of them by `make attack`; 4 KiB for each would be too much."""
    async with victim() as server:
        await _storm(server, 2 * len(BREAKING))
        before = await server.figures()
        await _storm(server, 500)
        after = await server.figures()
        assert after.left == {}
        assert after.tasks == before.tasks
        assert after.rss_mib - before.rss_mib < 2


async def _storm(server, count):
    for at in range(0, count, 8):
        await asyncio.gather(*(commit(BREAKING[number % len(BREAKING)], server) for number in range(at, at + 8)))
