"""A thousand clients lose their connections in one moment: they come back spread out, and the server answers throughout."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

import penstock
from penstock.testing import SimulatedNetwork
from tests.calls.kit import now

CLIENTS = 1000
POLICY = penstock.Reconnect(first_s=1.0, max_s=5.0)
#: The parts of a second in which those who come back are counted.
PART_S = 0.05


class Desk:
    async def echo(self, number: int) -> int:
        return number


@pytest.mark.slow
async def test_a_thousand_clients_that_are_cut_at_once_come_back_spread_out_and_the_server_answers_throughout(seed):
    with SimulatedNetwork(seed, latency_s=(0.001, 0.005)) as network:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(penstock.serve(Desk(), listen="sim://server"))
            honest = await stack.enter_async_context(penstock.connect("sim://honest@server"))
            peers = [
                await stack.enter_async_context(penstock.connect(f"sim://c{number}@server", reconnect=POLICY))
                for number in range(CLIENTS)
            ]
            begun = now()
            for connection in [*network._connections]:
                if "honest" not in connection.hosts:
                    connection.cut()
            back: Counter[int] = Counter()
            slowest_s = 0.0

            async def come_back(number: int) -> None:
                assert await peers[number].service(Desk).echo(number) == number
                back[int((now() - begun) / PART_S)] += 1

            async def ask_on() -> None:
                nonlocal slowest_s
                while True:
                    asked = now()
                    await honest.service(Desk).echo(0)
                    slowest_s = max(slowest_s, now() - asked)

            asking = asyncio.ensure_future(ask_on())
            await asyncio.gather(*map(come_back, range(CLIENTS)))
            asking.cancel()
            await asyncio.wait([asking])
            assert back.total() == CLIENTS
            assert max(back.values()) < CLIENTS / 10, "they come back in one moment"
            assert len(back) >= 18
            assert slowest_s < 0.02
            assert len(server.peers) == CLIENTS + 1
