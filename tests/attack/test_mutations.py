"""Conversations with mutations: the victim closes or goes on, nothing is left, and others do not notice."""

from __future__ import annotations

import asyncio

import pytest

from tests.attack.kit import pour, victim
from tests.attack.mutations import SESSIONS, mutated

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.mark.parametrize("piece_bytes", [1 << 20, 11])
async def test_whatever_arrives_the_server_stays_up_and_keeps_nothing(seed, piece_bytes):
    async with victim() as server:
        first = seed * 1_000_000
        for at in range(first, first + 300, 10):
            await asyncio.gather(*(pour(server, *mutated(number), piece_bytes) for number in range(at, at + 10)))
        assert (await server.ask("honest", url=server.url, seconds=0.1))["calls"] > 0
        assert (await server.figures()).left == {}


async def test_the_conversations_themselves_are_understood():
    """Mutations of what is refused at once would find nothing."""
    async with victim() as server:
        for session in SESSIONS:
            reply = await pour(server, *session, 1 << 20)
            assert reply.goodbye is None
            assert len(reply.frames) > 3
