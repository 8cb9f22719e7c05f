"""The table of connections by the event loop at their other side: what a connection leaves costs no other connection."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import penstock
from penstock.refs import find_route, offers
from penstock.testing import SimulatedNetwork
from tests.calls.kit import rest
from tests.refs.kit import Exchange


async def steps_of_closing(connections: int) -> int:
    """Return how many functions run while this many connections to one process are closed together."""
    steps = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal steps
        steps += event in {"call", "c_call"}

    async with penstock.serve(listen="memory://routes") as server:
        blocks = [penstock.connect(server.urls[0]) for _ in range(connections)]
        for block in blocks:
            await block.__aenter__()
        assert find_route(offers().instance) is not None
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            await asyncio.gather(*(block.__aexit__(None, None, None) for block in blocks))
            await rest()
            assert not server.peers
        finally:
            sys.setprofile(before)
    return steps


async def test_closing_four_times_as_many_connections_takes_four_times_the_steps():
    """FAULTS B7"""
    await steps_of_closing(5)  # what is made once is made now
    few, many = await steps_of_closing(50), await steps_of_closing(200)
    assert many <= 1.2 * 4 * few
    assert find_route(offers().instance) is None


async def test_a_connection_that_is_up_is_taken_before_one_that_is_made_again(apart):
    """A program has two connections to one server, and loses each of them for a while."""
    with SimulatedNetwork(seed=1) as network:
        async with (
            penstock.serve(Exchange(), listen="sim://server"),
            penstock.connect("sim://a@server") as a,
            penstock.connect("sim://b@server") as b,
        ):
            for host, lost in (("a", a), ("b", b)):
                ref = await lost.service(Exchange).numbers()
                network.partition(host, "server")
                network.cut(host, "server")
                await asyncio.sleep(0.01)
                assert lost.state == "reconnecting"
                async with asyncio.timeout(1):
                    assert await ref.receive() == 0
                await ref.aclose()
                network.heal()
                await lost.wait_connected()
