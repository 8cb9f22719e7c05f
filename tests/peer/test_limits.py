"""How many clients a server takes, and how long a call may take there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

import penstock
from penstock.errors import DeadlineExceeded, ResourceExhausted
from penstock.testing import SimulatedNetwork
from tests.auth.kit import ALICE, tokens
from tests.peer.kit import AGAIN, connected

URL = "sim://client@server"


class Desk:
    """A service whose handlers take their time."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def wait(self, seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return seconds

    async def ticks(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number
            await asyncio.sleep(1)


@pytest.mark.parametrize("known", [False, True])
async def test_a_client_too_many_is_told_so_and_has_room_when_another_one_leaves(known):
    limits = penstock.Settings(max_connections=3)
    options = {"authenticate": tokens()} if known else {}
    with SimulatedNetwork(seed=1):
        async with penstock.serve(Desk(), listen=URL, settings=limits, **options) as server, AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(penstock.connect(URL, token=ALICE))
            async with penstock.connect(URL, token=ALICE):
                with pytest.raises(ResourceExhausted, match="this server has 3 clients, as many as it takes"):
                    async with penstock.connect(URL, token=ALICE):
                        pass
                assert server._connected == 3
            await asyncio.sleep(0.1)
            async with penstock.connect(URL, token=ALICE) as peer:
                assert await peer.service(Desk).wait(0.1) == 0.1
        await asyncio.sleep(1)
        assert server._connected == 0


@pytest.mark.parametrize("known", [False, True])
async def test_a_client_that_comes_back_to_its_session_is_none_more(known):
    limits = penstock.Settings(max_connections=2)
    options = {"authenticate": tokens()} if known else {}
    with SimulatedNetwork(seed=1) as network:
        async with (
            penstock.serve(Desk(), listen=URL, settings=limits, **options) as server,
            penstock.connect(URL, token=ALICE, reconnect=AGAIN) as first,
            penstock.connect(URL, token=ALICE, reconnect=AGAIN) as second,
        ):
            ticks = [first.service(Desk).ticks(5), second.service(Desk).ticks(5)]
            for each in ticks:
                await anext(each)
            network.cut()
            for each in ticks:
                assert [number async for number in each] == [1, 2, 3, 4]
            await connected(second)
            assert server._connected == 2


@pytest.mark.parametrize("timeout", [None, 30])
async def test_a_call_takes_no_longer_than_its_server_allows(timeout):
    limits = penstock.Settings(max_call_s=2)
    loop = asyncio.get_running_loop()
    desk = Desk()
    with SimulatedNetwork(seed=1):
        async with penstock.serve(desk, listen=URL, settings=limits), penstock.connect(URL) as peer:
            stub = penstock.options(peer.service(Desk), timeout=timeout)
            assert await stub.wait(1.5) == 1.5
            began_s = loop.time()
            with pytest.raises(DeadlineExceeded, match=r"Desk/wait: .*\(Settings\.max_call_s\)"):
                await stub.wait(10)
            assert 1.9 < loop.time() - began_s < 2.5
            assert desk.cancelled == 1
            assert [number async for number in stub.ticks(5)] == [0, 1, 2, 3, 4]  # a stream may take longer


async def test_the_deadline_of_a_caller_that_allows_less_holds():
    limits = penstock.Settings(max_call_s=5)
    with SimulatedNetwork(seed=1):
        async with penstock.serve(Desk(), listen=URL, settings=limits), penstock.connect(URL) as peer:
            with pytest.raises(DeadlineExceeded):
                await penstock.options(peer.service(Desk), timeout=1).wait(3)
