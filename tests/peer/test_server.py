"""From URLs to peers and back: serving, connecting, draining, closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

import penstock
from penstock import Unavailable
from tests.calls.kit import URL, Log, collected, ended, linked, now, read_on, rest, started


class Service:
    def __init__(self):
        self.log = Log()

    async def echo(self, value: int) -> int:
        return value

    async def sleep(self, seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        return seconds

    async def ticks(self, pause_s: float) -> AsyncIterator[int]:
        number = 0
        try:
            while not penstock.context().draining:
                yield number
                number += 1
                await asyncio.sleep(pause_s)
            self.log.append("saw the drain")
            yield -1
        finally:
            self.log.append("closed")

    async def until_drain(self) -> AsyncIterator[str]:
        yield "begun"
        await penstock.context().wait_draining()
        yield "draining"

    async def endless(self) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            self.log.append("closed")

    async def chunks(self, count: int, size: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)

    async def slow_clean_up(self, seconds: float) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(seconds)
            self.log.append("clean")


@pytest.fixture
async def service():
    return Service()


# ── draining ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_drain_is_told_to_handlers_peers_and_new_calls_and_lets_old_calls_finish(service):
    async with linked(service, gate=False, client_reconnect=None) as pair:
        stub = pair.stub(Service)
        sleeping = await started(stub.sleep(3))
        ticking = asyncio.ensure_future(collected(stub.ticks(0.5)))
        waiting = asyncio.ensure_future(collected(stub.until_drain()))
        await asyncio.sleep(1.1)
        closing = await started(pair.server.aclose(grace_s=10))
        assert pair.peer.draining
        for call in (stub.echo(1), pair.peer.call("Service/echo", 1)):
            with pytest.raises(Unavailable, match="drain") as raised:
                await call
            assert raised.value.started is False
        with pytest.raises(Unavailable):
            stub.ticks(1)
        assert await waiting == (["begun", "draining"], None)
        assert await ticking == ([0, 1, 2, -1], None)
        assert await sleeping == 3
        await closing
        assert now() == pytest.approx(3, abs=0.05)  # no longer than the calls
        await pair.peer.wait_closed()
        assert service.log == ["saw the drain", "closed"]


async def test_a_new_call_that_crosses_the_drain_is_refused_as_not_started(service):
    async with linked(service, gate=False) as pair:
        closing = asyncio.ensure_future(pair.server.aclose(grace_s=5))
        calls = [asyncio.ensure_future(pair.stub(Service).sleep(1)) for _ in range(5)]
        outcomes = [await ended(call) for call in calls]
        assert all(isinstance(outcome, Unavailable) and not outcome.started for outcome in outcomes), outcomes
        await closing


async def test_calls_that_outlive_the_grace_are_cancelled_and_their_callers_told(service):
    async with linked(service, gate=False) as pair:
        sleeping = await started(pair.stub(Service).sleep(1000))
        endless = pair.stub(Service).endless()
        assert await endless.receive() == 1
        begun = now()
        await pair.server.aclose(grace_s=2)
        assert now() - begun == pytest.approx(2, abs=0.1)
        assert isinstance(await ended(sleeping), Unavailable)
        with pytest.raises(Unavailable):
            await read_on(endless)
        assert service.log.count("cancelled") == 1
        assert service.log.count("closed") == 1


async def test_what_was_sent_before_the_drain_arrives_whole(service):
    async with linked(service, gate=False) as pair:
        streams = [pair.stub(Service, buffer_size=100).chunks(20, 60_000) for _ in range(50)]
        await rest()
        closing = asyncio.ensure_future(pair.server.aclose(grace_s=5))
        await asyncio.sleep(0)
        for stream in streams:
            items, error = await collected(stream)
            assert (len(items), error) == (20, None)
        await closing


async def test_a_thousand_live_streams_are_all_told_and_lose_nothing(service):
    async with linked(service, gate=False) as pair:
        reading = [asyncio.ensure_future(collected(pair.stub(Service).ticks(1))) for _ in range(1000)]
        await asyncio.sleep(2.5)
        await pair.server.aclose(grace_s=5)
        assert [await read for read in reading] == [([0, 1, 2, -1], None)] * 1000


async def test_handlers_are_given_time_to_clean_up_and_not_for_ever(service):
    async with linked(service, gate=False) as pair:
        quick = await started(pair.stub(Service).slow_clean_up(1))
        await pair.server.aclose(grace_s=1)
        assert service.log == ["clean"]
        assert isinstance(await ended(quick), Unavailable)
    async with linked(service, gate=False) as pair:
        stuck = await started(pair.stub(Service).slow_clean_up(60))
        begun = now()
        await pair.server.aclose(grace_s=1)
        assert now() - begun < 15
        assert isinstance(await ended(stuck), Unavailable)
        await asyncio.sleep(100)


async def test_closing_twice_and_at_the_same_time_is_one_closing(service):
    async with linked(service, gate=False) as pair:
        sleeping = await started(pair.stub(Service).sleep(1))
        await asyncio.gather(pair.server.aclose(grace_s=5), pair.server.aclose(grace_s=5))
        await pair.server.aclose()
        assert await sleeping == 1
        await pair.server.wait_closed()


async def test_a_closing_that_is_cancelled_cuts_the_grace_short_and_still_closes(service):
    async with linked(service, gate=False) as pair:
        sleeping = await started(pair.stub(Service).sleep(1000))
        closing = await started(pair.server.aclose(grace_s=500))
        closing.cancel()
        await ended(closing)
        assert isinstance(await ended(sleeping), Unavailable)
        assert now() < 100


async def test_wait_closed_returns_when_the_server_is_closed(service):
    async with penstock.serve(service, listen=URL) as server:
        waiting = await started(server.wait_closed())
        assert not waiting.done()
        await server.aclose()
        await waiting


async def test_leaving_the_block_by_an_exception_closes_too(service):
    async def leave():
        async with penstock.serve(service, listen=URL), penstock.connect(URL) as peer:
            await peer.service(Service).endless().receive()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
    await rest()
    assert service.log == ["closed"]
    async with linked(service) as pair:  # the name is free again
        assert await pair.stub(Service).echo(1) == 1


# ── leaving a client ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_that_leaves_ends_its_calls_on_both_sides(service):
    async with penstock.serve(service, listen=URL) as server:
        async with penstock.connect(URL) as peer:
            stream = peer.service(Service).endless()
            await stream.receive()
            sleeping = await started(peer.service(Service).sleep(1000))
        assert isinstance(await ended(sleeping), penstock.StatusError)
        with pytest.raises(penstock.PenstockError):
            await read_on(stream)
        await rest()
        assert sorted(service.log) == ["cancelled", "closed"]
        assert not server.peers
        with pytest.raises(Unavailable):
            await peer.call("Service/echo", 1)
        await peer.aclose()


async def test_a_client_that_leaves_while_it_is_called_leaves_no_task(service):
    other = Service()
    before = asyncio.all_tasks()
    async with penstock.serve(service, listen=URL) as server:
        async with penstock.connect(URL, services=[other]) as peer:
            (served,) = server.peers

            async def keep_calling():
                while True:
                    await asyncio.sleep(0)
                    await served.call("Service/echo", 1)

            calling = asyncio.ensure_future(keep_calling())
            streaming = asyncio.ensure_future(collected(served.service(Service).ticks(1)))
            for _ in range(50):
                await asyncio.sleep(0)
            assert peer._scope.busy
        assert other.log == ["closed"]
        assert isinstance(await ended(calling), Unavailable)
        assert isinstance((await streaming)[1], Unavailable)
    await rest()
    assert asyncio.all_tasks() == before


# ── URLs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_listens_at_several_urls(service):
    urls = ["memory://one", "memory://two"]
    async with penstock.serve(service, listen=urls) as server:
        assert server.urls == urls
        assert repr(server) == "<Server memory://one, memory://two, 0 peers>"
        for url in urls:
            async with penstock.connect(url) as peer:
                assert await peer.call("Service/echo", 1) == 1


async def test_a_url_that_is_taken_leaves_the_others_free(service):
    async with penstock.serve(service, listen="memory://taken"):
        with pytest.raises(Unavailable, match="taken"):
            async with penstock.serve(service, listen=["memory://free", "memory://taken"]):
                pass
        with pytest.raises(Unavailable):
            async with penstock.connect("memory://free"):
                pass


@pytest.mark.parametrize("url", ["", "memory", "gopher://x", "tcp://", "memory://"])
async def test_a_url_that_cannot_be_read_is_invalid(service, url):
    with pytest.raises(penstock.InvalidArgument):
        async with penstock.serve(service, listen=url):
            pass
    with pytest.raises(penstock.InvalidArgument):
        async with penstock.connect(url):
            pass


async def test_many_clients_are_apart(service):
    async with penstock.serve(service, listen=URL) as server:

        async def client(number):
            async with penstock.connect(URL) as peer:
                return [await peer.call("Service/echo", number) for _ in range(5)]

        assert await asyncio.gather(*(client(number) for number in range(50))) == [[number] * 5 for number in range(50)]
        await rest()
        assert not server.peers


@pytest.mark.parametrize("turns", range(6))
async def test_a_server_that_has_begun_to_close_listens_nowhere(service, turns):
    async with penstock.serve(service, listen=URL) as server:
        late = asyncio.create_task(server.listen("tcp://localhost:0"))
        for _ in range(turns):
            await asyncio.sleep(0)
    await ended(late)
    with pytest.raises(Unavailable, match="this server is shutting down"):
        await server.listen("memory://later")
    assert server.urls == []
    with pytest.raises(Unavailable):
        async with penstock.connect("memory://later"):
            pass


async def test_a_close_that_is_cancelled_leaves_no_listener(service):
    async with penstock.serve(service, listen=["memory://first", "memory://second"]) as server:
        closing = asyncio.create_task(server.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await ended(closing)
        for url in ("memory://first", "memory://second"):
            with pytest.raises(Unavailable):
                async with penstock.connect(url):
                    pass


class Stopper(penstock.Actor):
    servers: ClassVar[list[penstock.Server]] = []

    async def stop(self) -> None:
        await self.servers[-1].aclose()

    async def stop_behind(self) -> str:
        self.closing = asyncio.create_task(self.servers[-1].aclose())
        return "closing"


class Stopping:
    async def stop(self) -> None:
        await Stopper.servers[-1].aclose()

    async def stop_behind(self) -> str:
        self.closing = asyncio.create_task(Stopper.servers[-1].aclose())
        return "closing"


async def test_a_handler_that_closes_its_server_is_told_that_it_would_wait_for_itself():
    async with penstock.ActorSystem() as system:
        await system.spawn(Stopper, name="stopper")
        for reach in (lambda peer: peer.service(Stopping), lambda peer: peer.actor(Stopper, "stopper")):
            async with penstock.serve(Stopping(), system, listen=URL) as server, penstock.connect(URL, reconnect=None) as peer:
                Stopper.servers.append(server)
                stub = reach(peer)
                with pytest.raises(penstock.FailedPrecondition, match="a task of its own"):
                    await stub.stop()
                assert await stub.stop_behind() == "closing"
                await server.wait_closed()
                await peer.wait_closed()
        Stopper.servers.clear()


async def test_a_block_that_is_awaited_says_to_write_async_with():
    with pytest.raises(TypeError, match=r"`async with connect\(\.\.\.\) as \.\.\.:`"):
        await penstock.connect("memory://any")
    with pytest.raises(TypeError, match=r"`async with serve\(\.\.\.\) as \.\.\.:`"):
        await penstock.serve(listen="memory://any")


async def test_a_server_has_one_actor_system():
    async with penstock.ActorSystem() as first, penstock.ActorSystem() as second:
        with pytest.raises(TypeError, match="2 actor systems"):
            async with penstock.serve(first, second, listen="memory://two"):
                pass


async def test_a_drain_is_announced_once():
    async with linked(Service()) as pair:
        told = []
        pair.peer._scope.session.on_draining = lambda: told.append(1)
        pair.served._scope.begin_drain()
        pair.served._scope.begin_drain()
        await rest()
        assert told == [1]


class Board(penstock.Actor):
    def __init__(self) -> None:
        self.news = self.port("news", overflow="drop_oldest", buffer_size=8)

    async def publish(self, end: str) -> None:
        for number in range(8):
            await self.news.send(number)
        if end == "closed":
            self.news.close()
        elif end == "failed":
            self.news.fail(penstock.NotFound("no more news"))

    async def fill(self, sink: penstock.SinkRef[int], *, end: bool) -> None:
        self.sink = sink
        await sink.send_many(range(3))
        if end:
            sink.close()


@pytest.mark.parametrize("end", ["open", "closed", "failed"])
@pytest.mark.parametrize(("grace_s", "drained"), [(0, False), (3, False), (40, True)])
async def test_a_slow_subscriber_has_the_grace_and_no_more_however_its_port_has_ended(grace_s, drained, end):
    async with penstock.ActorSystem() as system, linked(system, gate=False) as pair:
        board = await system.spawn(Board, name="board")
        news = pair.peer.subscribe("board", "news")
        first = asyncio.ensure_future(news.receive())
        await rest()
        await board.publish(end)
        await first

        async def read() -> list[object]:
            return [number async for number in slowly(news)]

        reading, began = asyncio.ensure_future(read()), now()
        assert await pair.server.aclose(grace_s=grace_s) is (drained and end != "open")
        if end == "open" or not drained:
            assert now() - began == pytest.approx(grace_s, abs=0.1)
        if end == "closed" and drained:
            assert await reading == list(range(1, 8))
        else:
            with pytest.raises(penstock.NotFound if end == "failed" and drained else Unavailable):
                await reading


async def slowly(source: penstock.Source[int]) -> AsyncIterator[int]:
    async for number in source:
        yield number
        await asyncio.sleep(2)


@pytest.mark.parametrize("end", [False, True])
async def test_a_sink_of_a_slow_reader_does_not_hold_up_the_end_of_a_server(end):
    """An open one has a second more to say that it ends."""
    async with penstock.ActorSystem() as system, linked(system, gate=False) as pair:
        await system.spawn(Board, name="board")
        sink, source = penstock.pipe(1)
        asking = asyncio.ensure_future(pair.peer.ask("board", "fill", {"sink": penstock.SinkRef(sink), "end": end}))
        assert await source.receive() == 0
        await rest()
        began = now()
        await pair.server.aclose(grace_s=1)
        assert now() - began <= 2.1
        await asyncio.gather(asking, return_exceptions=True)
        await source.aclose()
