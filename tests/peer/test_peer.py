"""The other side of a session: coming, going, and both at the wrong moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import Unavailable
from penstock.testing import SimulatedNetwork, VirtualClockLoop
from tests.calls.kit import URL, Log, ended, linked, now, read_on, rest, started


class Service:
    def __init__(self):
        self.closed = 0

    async def echo(self, value: int) -> int:
        return value

    async def endless(self) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0.1)
        finally:
            self.closed += 1

    async def hang_up(self) -> int:
        await penstock.context().peer.aclose()
        return 1

    async def who(self) -> str:
        return penstock.context().principal


async def test_a_peer_says_in_one_line_what_it_is():
    async with linked(Service()) as pair:
        assert repr(pair.peer) == "<Peer memory://test connected, 0 streams>"
        stream = pair.stub(Service).endless()
        await stream.receive()
        assert repr(pair.served) == "<Peer memory://test connected, 1 streams>"
        await stream.aclose()
        pair.served._scope.begin_drain()
        await rest()
        assert "draining" in repr(pair.peer)


async def test_wait_closed_and_wait_draining_return_when_it_is_so():
    async with linked(Service(), gate=False, client_reconnect=None) as pair:
        waiting = [await started(wait()) for wait in (pair.peer.wait_closed, pair.peer.wait_draining)]
        assert not any(wait.done() for wait in waiting)
        await pair.server.aclose()
        await asyncio.gather(*waiting)


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("network", [None, {"latency_s": (0.01, 0.02), "split": 1.0}], ids=["memory", "sim"])
async def test_connecting_cancelled_in_any_turn_leaves_nothing(turns, network):
    url = "sim://client@server" if network else URL
    with SimulatedNetwork(1, **(network or {})):
        async with penstock.serve(Service(), listen=url) as server:

            async def come_and_stay():
                async with penstock.connect(url):
                    await asyncio.Event().wait()

            coming = asyncio.ensure_future(come_and_stay())
            for _ in range(turns):
                await asyncio.sleep(0.004 if network else 0)
            coming.cancel()
            assert isinstance(await ended(coming), asyncio.CancelledError)
            await asyncio.sleep(1)
            assert not server.peers


@pytest.mark.parametrize("moment", [step * 0.01 for step in range(12)])
async def test_connecting_while_the_server_closes_is_answered_or_refused(moment):
    with SimulatedNetwork(1, latency_s=(0.02, 0.02)):
        async with penstock.serve(Service(), listen="sim://server") as server:

            async def come_and_call():
                async with penstock.connect("sim://client@server", timeout=5, reconnect=None) as peer:
                    return await peer.call("Service/echo", 1)

            coming = asyncio.ensure_future(come_and_call())
            await asyncio.sleep(moment)
            await server.aclose()
            outcome = await ended(coming)
            assert outcome == 1 or isinstance(outcome, Unavailable), outcome
            assert now() < 5
            await asyncio.sleep(1)
            assert not server.peers


async def test_leaving_while_nothing_passes_takes_a_bounded_time():
    service = Service()
    with SimulatedNetwork(1, latency_s=(0.01, 0.01)) as network:
        async with penstock.serve(service, listen="sim://server"):
            async with penstock.connect("sim://client@server", reconnect=None) as peer:
                stream = peer.service(Service).endless()
                await stream.receive()
                network.partition()
                begun = now()
            assert now() - begun < 6
            network.heal()
            await asyncio.sleep(1)
            assert service.closed == 1


async def test_a_server_that_closes_while_nothing_passes_takes_a_bounded_time():
    with SimulatedNetwork(1, latency_s=(0.01, 0.01)) as network:
        async with linked(Service(), url="sim://server", gate=False) as pair:
            stream = pair.stub(Service).endless()
            await stream.receive()
            network.partition()
            begun = now()
            await pair.server.aclose(grace_s=2)
            assert now() - begun < 15
            network.heal()
            with pytest.raises(penstock.StatusError):
                await read_on(stream)


async def test_a_handler_may_close_the_connection_it_is_called_on():
    async with linked(Service(), gate=False, client_reconnect=None) as pair:
        with pytest.raises(Unavailable):
            await pair.stub(Service).hang_up()
        await asyncio.sleep(10)
        assert not pair.server.peers


async def test_an_interceptor_knows_the_call_and_may_say_who_calls():
    @asynccontextmanager
    async def authenticate(call):
        assert penstock.context() is call
        call.principal = call.metadata.get("token", "nobody")
        yield

    async with linked(Service(), interceptors=[authenticate]) as pair:
        assert await pair.stub(Service, metadata={"token": "ann"}).who() == "ann"
        assert await pair.stub(Service).who() == "nobody"


async def test_a_stream_forgotten_inside_its_interceptors_leaves_them():
    log = Log()
    async with linked(Service(), client_interceptors=[log.around("a")]) as pair:
        stream = pair.stub(Service).endless()
        await stream.receive()
        del stream
        await rest()
        assert log[0] == "a in"
        assert not pair.left_over()


async def test_two_connections_to_one_server_are_apart():
    service = Service()
    async with penstock.serve(service, listen=URL) as server:
        async with penstock.connect(URL, reconnect=None) as first, penstock.connect(URL, reconnect=None) as second:
            streams = [peer.service(Service).endless() for peer in (first, second)]
            for stream in streams:
                await stream.receive()
            first._scope.session.link.abort()
            await rest()
            assert service.closed == 1
            assert await streams[1].receive() == 1
            assert await second.call("Service/echo", 1) == 1
        await rest()
        assert not server.peers


def test_a_loop_that_is_closed_frees_the_names_that_were_served_on_it():
    left = []  # what is collected while its loop is open would be finished by it

    async def serve_and_leave():
        left.append(penstock.serve(Service(), listen=URL))
        await left[-1].__aenter__()

    for loop in (VirtualClockLoop(), VirtualClockLoop()):
        loop.run_until_complete(serve_and_leave())  # the loop ends without closing the server: its name is free again
        loop.close()


async def test_a_call_that_arrives_while_a_peer_closes_is_refused():
    class Slow:
        def __init__(self) -> None:
            self.open = asyncio.Event()
            self.begun = 0

        async def work(self) -> int:
            self.begun += 1
            try:
                await asyncio.Event().wait()
            finally:
                await self.open.wait()
            return 0

    slow = Slow()
    async with linked(Service(), gate=False, client_services=[slow]) as pair:
        first = asyncio.ensure_future(pair.served.call("Slow/work"))
        await rest()
        closing = asyncio.ensure_future(pair.peer.aclose())
        await rest()
        with pytest.raises(Unavailable) as raised:
            await pair.served.call("Slow/work")
        assert not raised.value.started
        slow.open.set()
        await closing
        await asyncio.gather(first, return_exceptions=True)
        assert slow.begun == 1
