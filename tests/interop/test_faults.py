"""Faults on real sockets, over TCP and through a proxy that cuts, stalls and halves: sessions go on, or say why not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

import penstock
from tests.attack.wire import read_frames
from tests.interop.proxy import AT_ONCE, Proxy, port_of
from tests.protocol.kit import hello

ITEMS = 6
QUICK = penstock.Settings(keepalive_s=0.1)
#: Nothing here may take longer, in real time.
PATIENCE_S = 30.0


class Desk:
    """Streams in both directions, each item with its place."""

    def __init__(self) -> None:
        self.open = 0
        self.made = 0

    async def watch(self, count: int, pause_s: float = 0.0) -> AsyncIterator[int]:
        self.open += 1
        try:
            for number in range(count):
                self.made += 1
                yield number
                if pause_s:
                    await asyncio.sleep(pause_s)
        finally:
            self.open -= 1

    async def record(self, numbers: AsyncIterator[int]) -> str:
        return digest([number async for number in numbers])

    async def echo(self, number: int) -> int:
        return number


def digest(numbers: list[int] | range) -> str:
    return hashlib.sha256(repr([*numbers]).encode()).hexdigest()


async def counted(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@asynccontextmanager
async def through_a_proxy(
    desk: Desk, settings: penstock.Settings | None = None
) -> AsyncIterator[tuple[penstock.Server, Proxy, penstock.Peer]]:
    """Serve a desk, and reach it through a proxy."""
    async with (
        asyncio.timeout(PATIENCE_S),
        penstock.serve(desk, listen="tcp://127.0.0.1:0", settings=settings) as server,
        Proxy(port_of(server)) as proxy,
        penstock.connect(proxy.url, reconnect=AT_ONCE, settings=settings) as peer,
    ):
        yield server, proxy, peer


async def conversation(peer: penstock.Peer) -> None:
    """Use every direction, and check all that comes."""
    desk = penstock.options(peer.service(Desk), buffer_size=2)
    watched, recorded, echoed = await asyncio.gather(collected(desk.watch(ITEMS)), desk.record(counted(ITEMS)), desk.echo(5))
    assert watched == [*range(ITEMS)]
    assert recorded == digest(range(ITEMS))
    assert echoed == 5


async def collected(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


def places(seed: int, *, last: int, step: int) -> Iterator[int]:
    """Return every `step`-th place: each place has its turn with another seed."""
    return iter(range(seed % step, last, step))


@pytest.mark.parametrize("way", ["up_bytes", "down_bytes"])
async def test_a_session_whose_links_are_cut_at_any_byte_says_everything_once(way: str, seed: int):
    """Each link is cut after the same number of bytes until one of them has carried enough; then links live."""
    for place in places(seed, last=900, step=29):
        desk = Desk()
        async with through_a_proxy(desk) as (server, proxy, peer):
            await peer.service(Desk).echo(0)
            setattr(proxy, way, place)
            proxy.cut()
            talking = asyncio.ensure_future(conversation(peer))
            while proxy.cuts < 4 and not talking.done():  # noqa: ASYNC110 - of another task, in real time
                await asyncio.sleep(0.002)
            setattr(proxy, way, None)
            await talking
            assert desk.open == 0
            assert len(server.peers) == 1


async def test_a_call_that_is_cut_before_its_first_item_goes_on():
    async with through_a_proxy(Desk()) as (_server, proxy, peer):
        await peer.service(Desk).echo(0)
        for _ in range(10):
            stream = peer.service(Desk).watch(ITEMS)
            proxy.cut()
            assert await collected(stream) == [*range(ITEMS)]


async def test_links_that_are_cut_during_each_resume_end_nothing():
    async with through_a_proxy(Desk()) as (_server, proxy, peer):
        await peer.service(Desk).echo(0)
        talking = asyncio.ensure_future(collected(peer.service(Desk).watch(40, 0.005)))
        for size in (0, 1, 13, 40, 100, 130, 150, 170, 200, 300):
            proxy.down_bytes = size
            proxy.cut()
            made = proxy.connections
            while proxy.connections < made + 2 and not talking.done():  # noqa: ASYNC110 - of another task, in real time
                await asyncio.sleep(0.001)
        proxy.down_bytes = None
        assert await talking == [*range(40)]


async def test_a_second_resume_with_one_token_fences_the_first_and_the_client_goes_on():
    async with through_a_proxy(Desk()) as (server, proxy, peer):
        stream = peer.service(Desk).watch(60, 0.005)
        assert await stream.receive() == 0
        sequence = peer._scope.session._connection._state.sequence
        assert sequence is not None
        thief = hello(keep_ms=30_000, token=sequence.token, received=sequence.received)
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(thief)
        got = b""
        while len(read_frames(got)[0]) < 2:  # HELLO and RESUMED: the session is theirs
            got += await reader.read(65536)
        assert await collected(stream) == [*range(1, 60)]
        assert proxy.connections >= 2, "its link was closed by the server"
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(65536):
                pass
        writer.close()
        assert len(server.peers) == 1


async def test_half_open_links_are_found_dead_by_their_keep_alive_and_the_session_goes_on():
    """Within two keep-alives, as `tests/sim/test_cuts.py` shows on the virtual clock; this machine may have much other work."""
    async with through_a_proxy(Desk(), QUICK) as (_server, proxy, peer):
        stream = peer.service(Desk).watch(200, 0.001)
        assert await stream.receive() == 0
        proxy.stall()
        began = time.monotonic()
        async for state in peer.states():
            if state == "reconnecting":
                break
        assert time.monotonic() - began < penstock.Settings().keepalive_s
        proxy.cut()
        proxy.flow()
        assert await collected(stream) == [*range(1, 200)]


async def test_a_server_that_has_restarted_says_that_it_has_no_such_session_and_is_called_next():
    desk = Desk()
    async with asyncio.timeout(PATIENCE_S):
        async with penstock.serve(desk, listen="tcp://127.0.0.1:0", settings=QUICK) as server:
            port, url = port_of(server), server.urls[0]
            proxy = Proxy(port)
            async with proxy, penstock.connect(proxy.url, reconnect=AT_ONCE, settings=QUICK) as peer:
                stream = peer.service(Desk).watch(10**6, 0.001)
                assert [await stream.receive() for _ in range(5)] == [*range(5)]
                proxy.stall()  # the server is gone, and says nothing of it
                await server.aclose(grace_s=0)
                async with penstock.serve(Desk(), listen=url, settings=QUICK):
                    proxy.cut()
                    proxy.flow()
                    with pytest.raises(penstock.ConnectionLost, match="no such session") as lost:
                        await collected(stream)
                    assert lost.value.offset >= 5
                    assert await peer.service(Desk).echo(3) == 3
    assert desk.open == 0


async def test_a_consumer_that_reads_nothing_holds_its_producer_and_nobody_else_up():
    desk = Desk()
    async with through_a_proxy(desk) as (_server, _proxy, peer):
        stalled = penstock.options(peer.service(Desk), buffer_size=20).watch(10**6)
        assert await stalled.receive() == 0
        for number in range(50):
            assert await peer.service(Desk).echo(number) == number
        assert desk.made <= 22
        assert [await stalled.receive() for _ in range(100)] == [*range(1, 101)]
        await stalled.aclose()
        await peer.service(Desk).echo(1)
        assert desk.open == 0


@pytest.mark.slow
async def test_ten_thousand_streams_in_churn_leave_nothing():
    desk = Desk()
    async with (
        penstock.serve(desk, listen="tcp://127.0.0.1:0") as server,
        penstock.connect(server.urls[0], reconnect=AT_ONCE) as peer,
    ):

        async def churn() -> int:
            return sum([len(await collected(peer.service(Desk).watch(turn % 3))) for turn in range(100)])

        assert await asyncio.gather(*(churn() for _ in range(100))) == [99] * 100
        assert desk.open == 0
        (served,) = server.peers
        for side in (peer, served):
            assert not side._scope.session._connection.streams.all()
            assert not side._scope.tasks


async def test_a_drain_with_a_thousand_live_streams_tells_all_and_loses_nothing():
    desk = Desk()
    async with through_a_proxy(desk) as (server, _proxy, peer):
        streams = [penstock.options(peer.service(Desk), buffer_size=1).watch(3) for _ in range(1000)]
        assert [await stream.receive() for stream in streams] == [0] * 1000
        closing = asyncio.ensure_future(server.aclose(grace_s=PATIENCE_S))
        await peer.wait_draining()
        assert await asyncio.gather(*map(collected, streams)) == [[1, 2]] * 1000
        assert await closing
        assert desk.open == 0
