"""A retained stream that is followed from another process: by its name, from any item on, typed, through a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import Dropped
from penstock.codec import JSON, MSGPACK
from penstock.errors import Cancelled, ConnectionLost, EndOfStream, Internal, NotFound, OutOfRange, StreamClosed, Unavailable
from penstock.retention import _stream, _streams
from penstock.testing import SimulatedNetwork
from penstock.testing import run as run_virtually
from tests.interop.kit import until
from tests.retention.kit import Token, Writer, counted, taken
from tests.session.kit import held_for_peer

URLS = ["memory://retained", "tcp://127.0.0.1:0"]


class Runs:
    """A service that offers streams."""

    def __init__(self) -> None:
        self.remaining: list[float | None] = []

    async def start(self, name: str, count: int) -> AsyncIterator[Token]:
        return penstock.retained(name, self._tokens(count))

    async def again(self, name: str) -> penstock.Retained[Token]:
        return penstock.retained(name)

    async def rest(self, name: str, since: int) -> penstock.Follower[Token]:
        return penstock.retained(name).follow(since)

    async def _tokens(self, count: int) -> AsyncIterator[Token]:
        for place in range(count):
            yield Token(str(place), place)
            await asyncio.sleep(0.001)
        try:
            self.remaining.append(penstock.context().time_remaining())
        except penstock.FailedPrecondition:
            self.remaining.append(None)


class Counter(penstock.Actor):
    async def ticks(self, name: str) -> AsyncIterator[int]:
        return penstock.retained(name, counted(50))


class Sender(penstock.Actor):
    async def ref_to(self, name: str) -> penstock.SourceRef:
        return penstock.SourceRef(penstock.retained(name))


@asynccontextmanager
async def linked(url: str = "memory://retained", **options) -> AsyncIterator[tuple[Runs, penstock.Peer]]:
    runs = Runs()
    async with penstock.serve(runs, listen=url) as server, penstock.connect(server.urls[0], **options) as peer:
        yield runs, peer


@pytest.mark.parametrize("url", URLS)
async def test_a_handler_offers_a_stream_with_a_line(url):
    async with linked(url) as (_runs, peer):
        runs = peer.service(Runs)
        async for token in await runs.start("a", 50):
            if token.place == 5:
                break
        assert [token.place async for token in runs.again("a")] == [*range(50)]
        assert [token async for token in peer.follow("a", since=48, type=Token)] == [Token("48", 48), Token("49", 49)]
        assert [token.place async for token in runs.rest("a", 40)] == [*range(40, 50)]


async def test_an_actor_offers_a_stream_with_a_line():
    async with penstock.ActorSystem() as system:
        counter = await system.spawn(Counter, name="counter")
        assert [item async for item in await counter.ticks("here")] == [*range(50)]
        async with penstock.serve(system, listen="memory://retained"), penstock.connect("memory://retained") as peer:
            assert [item async for item in await peer.actor(Counter, "counter").ticks("there")] == [*range(50)]
            assert [item async for item in peer.follow("here", since=47)] == [47, 48, 49]


async def test_the_writer_outlives_the_call_that_began_it_and_its_deadline():
    async with linked() as (runs, peer):
        patient = penstock.options(peer.service(Runs), timeout=0.05)
        with pytest.raises(penstock.DeadlineExceeded):
            async for _token in await patient.start("a", 200):
                pass
        assert len([token async for token in peer.follow("a")]) == 200
        assert runs.remaining == [None]


async def test_followers_have_each_their_place():
    writer = Writer(6)
    async with linked() as (_runs, peer):
        penstock.retained("a", writer.numbers())
        early = peer.follow("a")
        await writer.write(3)
        late, now = peer.follow("a", since=2), peer.follow("a", since="now")
        assert (early.offset, late.offset, now.offset) == (0, 2, None)
        assert await taken(early, 3) == [0, 1, 2]
        assert await taken(late, 1) == [2]
        waiting = asyncio.ensure_future(now.receive())
        await asyncio.sleep(0.01)
        await writer.write(1)
        assert (await early.receive(), await late.receive(), await waiting) == (3, 3, 3)
        assert (early.offset, late.offset, now.offset) == (4, 4, 4)
        await late.aclose()
        await writer.write(2)
        assert await taken(early, 2) == [4, 5]
        with pytest.raises(EndOfStream):
            await early.receive()
        assert early.statistics().state == "ended"
        with pytest.raises(StreamClosed):
            await late.receive()


async def test_stop_from_afar_ends_the_generator():
    writer = Writer()
    async with linked() as (_runs, peer):
        penstock.retained("a", writer.numbers())
        reader = peer.follow("a")
        await writer.write(2)
        assert await taken(reader, 2) == [0, 1]
        await peer.follow("a").stop()
        assert writer.ended == ["CancelledError"]
        with pytest.raises(Cancelled, match="stream 'a' was stopped"):
            await reader.receive()
        with pytest.raises(Cancelled):
            await peer.follow("a", since=2).receive()
        await reader.stop()
        with pytest.raises(NotFound):
            await peer.follow("b").stop()


async def test_a_failure_is_told_once_to_the_log_and_to_each_follower(caplog):
    async def failing():
        yield 1
        raise ValueError("secret")

    with caplog.at_level(logging.ERROR):
        async with linked() as (_runs, peer):
            penstock.retained("a", failing())
            for _ in range(3):
                follower = peer.follow("a")
                assert await follower.receive() == 1
                with pytest.raises(Internal, match="stream 'a' raised") as caught:
                    await follower.receive()
                assert "secret" not in str(caught.value)
    assert [record.getMessage() for record in caplog.records if "ValueError" in record.getMessage()] == [
        f"error {caught.value.details['error_id']} in stream 'a': ValueError: secret"
    ]


async def test_a_writer_that_has_lost_a_connection_of_its_own_has_failed():
    async def failing():
        yield 1
        raise ConnectionLost("upstream")

    async with linked(reconnect=penstock.Reconnect()) as (_runs, peer):
        penstock.retained("a", failing())
        follower = peer.follow("a")
        assert await follower.receive() == 1
        with pytest.raises(Unavailable, match="upstream"):
            await follower.receive()


@pytest.mark.parametrize("failure", [NotFound("no user 7"), penstock.Aborted("conflict")], ids=repr)
async def test_a_failure_of_the_stream_is_not_taken_for_its_loss(failure):
    async with linked() as (_runs, peer):
        stream = penstock.retained("a")
        await stream.send(1)
        follower = peer.follow("a")
        assert await follower.receive() == 1
        stream.fail(failure)
        for late in (follower, peer.follow("a", since=1)):
            with pytest.raises(type(failure), match=failure.message):
                await late.receive()


async def test_errors_of_a_follower_are_for_people():
    async with linked() as (_runs, peer):
        with pytest.raises(NotFound, match="stream 'nowhere' is not kept here"):
            await peer.follow("nowhere").receive()
        stream = penstock.retained("a", max_items=5)
        await stream.send_many(range(20))
        with pytest.raises(OutOfRange) as caught:
            await peer.follow("a").receive()
        assert caught.value.details == {"oldest": 15, "next": 20}
        assert await peer.follow("a", since="oldest").receive() == 15
        with pytest.raises(OutOfRange):
            await peer.follow("a", since=21).receive()
        with pytest.raises(ValueError, match="since is -1"):
            peer.follow("a", since=-1)
        with pytest.raises(penstock.InvalidArgument, match="since is"):
            await peer.stream("Penstock/follow", "a", -1, None, False).receive()


async def test_a_stream_is_described_to_its_followers():
    async with linked() as (_runs, peer):
        await penstock.retained("a", max_items=5).send_many(range(20))
        described = await peer.follow("a").describe()
        assert (described.name, described.state, described.oldest, described.next) == ("a", "open", 15, 20)
        with pytest.raises(NotFound):
            await peer.follow("b").describe()


async def test_the_newest_item_alone_arrives_at_a_follower_that_wants_no_other():
    async with linked() as (_runs, peer):
        stream = penstock.retained("a")
        await stream.send_many(range(100))
        follower = peer.follow("a", latest=True)
        assert await taken(follower, 2) == [Dropped(99), 99]
        assert follower.offset == 100


async def test_items_are_encoded_once_for_all_followers(monkeypatch):
    encoded = 0

    class Counting:
        @staticmethod
        def encode(item):
            nonlocal encoded
            encoded += 1
            return _stream_encode(item)

    _stream_encode = _stream.WHOLE_MSGPACK.encode
    async with linked() as (_runs, peer):
        stream = penstock.retained("a")
        monkeypatch.setattr(_stream, "WHOLE_MSGPACK", Counting)
        followers = [peer.follow("a", type=Token) for _ in range(20)]
        for place in range(10):
            await stream.send(Token("x", place))
        for follower in followers:
            assert [token.place for token in await taken(follower, 10)] == [*range(10)]
    assert encoded == 10


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=repr)
async def test_a_reader_that_leaves_the_stream_of_a_handler_leaves_it_open(codec):
    async with linked() as (_runs, peer):
        stream = penstock.retained("a")
        await stream.send(Token("x", 1))
        async with peer.stream("Runs/again", "a", codec=codec) as items:
            await items.receive()
        await until(lambda: not stream._kept.bell.waiting, "the handler ends")
        await asyncio.sleep(0.01)
        assert stream.statistics().state == "open"


async def test_other_readers_that_leave_it_leave_it_open_too():
    stream = penstock.retained("a")
    await stream.send(1)
    sink, source = penstock.pipe(buffer_size=1)
    feeding = asyncio.ensure_future(sink.feed(stream))
    assert await source.receive() == 1
    await source.aclose()
    feeding.cancel()
    await asyncio.wait([feeding])
    async with penstock.ActorSystem() as system:
        sender = await system.spawn(Sender, name="sender")
        ref = await sender.ref_to("a")
        async for item in ref:
            assert item == 1
            break
        await ref.aclose()
    assert stream.statistics().state == "open"


async def test_a_text_peer_gets_the_items_as_json():
    async with linked() as (_runs, peer):
        penstock.retained("a", [Token("x", 1)])
        items = peer.stream("Runs/again", "a", codec=JSON, type=Token)
        assert [item async for item in items] == [Token("x", 1)]


@pytest.mark.parametrize("url", URLS)
async def test_a_loop_that_is_left_costs_the_server_nothing_and_the_next_one_goes_on(url):
    """Also when the program keeps the follower, for its offset, or the error by which it has left."""
    async with penstock.serve(listen=url) as server, penstock.connect(server.urls[0]) as peer:
        stream = penstock.retained("a")
        await stream.send_many(range(100))
        follower = peer.follow("a")
        (served,) = server.peers

        async def read_to(last: int) -> None:
            async for item in follower:
                assert last - 10 < item <= last
                if item == last:
                    raise ZeroDivisionError

        for begin in (0, 10, 20):
            with pytest.raises(ZeroDivisionError):
                await read_to(begin + 9)
            assert follower.offset == begin + 10
            await until(lambda: not served._scope.busy, "the call has ended")
            assert held_for_peer(peer._scope.session) == 0
        stream.close()
        assert [item async for item in follower] == [*range(30, 100)]
        assert [item async for item in follower] == []


async def test_a_follower_that_is_left_at_the_end_of_its_stream_keeps_what_it_has_read():
    async with linked() as (_runs, peer):
        stream = penstock.retained("a")
        await stream.send_many(range(5))
        stream.close()
        follower = peer.follow("a")
        for expected in range(5):
            async for item in follower:
                assert item == expected
                break
            assert follower.offset == expected + 1
        assert [item async for item in follower] == []


async def test_closing_a_follower_wakes_the_task_that_receives():
    async with linked() as (_runs, peer):
        penstock.retained("a")
        follower = peer.follow("a")
        waiting = asyncio.ensure_future(follower.receive())
        await asyncio.sleep(0.01)
        await follower.aclose()
        with pytest.raises(StreamClosed):
            await waiting


async def test_a_follower_that_is_dropped_leaves_the_server():
    async with linked() as (_runs, peer):
        stream = penstock.retained("a", counted(1))
        follower = peer.follow("a")
        await follower.receive()
        other = penstock.retained("b")
        late = peer.follow("b")
        waiting = asyncio.ensure_future(late.receive())
        await until(lambda: len(other._kept.bell.waiting) == 1, "the follower waits")
        waiting.cancel()
        del follower, late, waiting
        await until(lambda: not other._kept.bell.waiting, "the follower leaves")
        assert stream.statistics().state == "ended"


async def test_closing_the_peer_of_a_follower_is_a_loss_and_not_a_stop():
    stream = penstock.retained("a")
    await stream.send(1)
    async with linked() as (_runs, peer):
        follower = peer.follow("a")
        assert await follower.receive() == 1
        waiting = asyncio.ensure_future(follower.receive())
        await asyncio.sleep(0.01)
    with pytest.raises(ConnectionLost, match="this side has closed") as caught:
        await waiting
    assert (caught.value.offset, follower.statistics().state) == (1, "lost")
    assert stream.statistics().state == "open"


async def test_a_server_that_leaves_is_a_loss_with_the_offset_for_a_client_that_does_not_return():
    await penstock.retained("a").send(1)
    async with linked(reconnect=None) as (_runs, peer):
        follower = peer.follow("a")
        assert await follower.receive() == 1
        waiting = asyncio.ensure_future(follower.receive())
        await asyncio.sleep(0.01)
    with pytest.raises(ConnectionLost) as caught:
        await waiting
    assert caught.value.offset == 1


# ── cuts and restarts ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cut_is_not_seen():
    with SimulatedNetwork(seed=1) as network:
        async with (
            penstock.serve(Runs(), listen="sim://server"),
            penstock.connect("sim://server", reconnect=penstock.Reconnect(first_s=0.001, max_s=0.01)) as peer,
        ):
            await peer.service(Runs).start("a", 200).receive()
            got = []
            async for token in peer.follow("a", type=Token):
                got.append(token.place)
                if token.place % 20 == 0:
                    network.cut()
    assert got == [*range(200)]


async def test_without_reconnecting_the_loss_is_told_with_the_offset():
    with SimulatedNetwork(seed=1) as network:
        async with (
            penstock.serve(Runs(), listen="sim://server"),
            penstock.connect("sim://server", reconnect=None) as peer,
        ):
            penstock.retained("a", counted(5))
            await penstock.retained("b").send_many(range(5))
            follower = peer.follow("b", since=2)
            assert await taken(follower, 3) == [2, 3, 4]
            network.cut()
            with pytest.raises(ConnectionLost) as caught:
                await follower.receive()
            assert caught.value.offset == follower.offset == 5
            assert follower.statistics().state == "lost"


@pytest.mark.parametrize("turns", range(12))
async def test_a_follower_that_begins_while_its_server_begins_to_drain_waits_for_the_next_one(turns):
    await penstock.retained("a").send(1)
    async with penstock.serve(listen="memory://retained") as server, penstock.connect("memory://retained") as peer:
        receiving = asyncio.ensure_future(peer.follow("a").receive())
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.begin_drain()
        await server.aclose(0)
        async with penstock.serve(listen="memory://retained"):
            assert await receiving == 1


def test_a_stream_that_fails_with_unavailable_while_its_server_drains_has_failed():
    """Only the server says that a reader is to go on elsewhere, never the error of a writer."""

    async def main() -> None:
        failing = asyncio.Event()

        async def items() -> AsyncIterator[int]:
            yield 1
            await failing.wait()
            raise Unavailable("no model answers")

        penstock.retained("a", items())
        async with penstock.serve(listen="sim://server") as server, penstock.connect("sim://server") as peer:
            follower = peer.follow("a")
            assert await follower.receive() == 1
            receiving = asyncio.ensure_future(follower.receive())
            await asyncio.sleep(1)
            failing.set()
            await asyncio.sleep(0.01)  # the error is on its way
            await server.begin_drain()
            with pytest.raises(Unavailable, match="no model answers"):
                await receiving
            assert follower.statistics().state == "failed"

    with SimulatedNetwork(seed=1, latency_s=(0.1, 0.1)):
        run_virtually(main())


@pytest.mark.parametrize("turns", range(8))
def test_a_follower_whose_call_finds_no_server_for_long_goes_on_when_there_is_one(turns):
    """Its server is restarted, drains a moment later, and is away for longer than a call waits."""

    async def main(network: SimulatedNetwork) -> None:
        await penstock.retained("a").send_many(range(2))
        async with penstock.serve(listen="sim://server") as first, penstock.connect("sim://server") as peer:
            follower = peer.follow("a")
            assert await follower.receive() == 0
            receiving = asyncio.ensure_future(taken(follower, 2))
            await first.aclose(0)
            network.cut()
            async with penstock.serve(listen="sim://server") as second:
                await peer.wait_connected()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await second.begin_drain()
                network.cut()
            await asyncio.sleep(100)
            async with penstock.serve(listen="sim://server"):
                await penstock.retained("a").send(2)
                assert await receiving == [1, 2]

    with SimulatedNetwork(seed=1) as network:
        run_virtually(main(network))


async def test_a_follower_moves_at_once_when_its_server_begins_to_drain():
    """The drain does not wait for followers, and they miss nothing."""
    writer = Writer(1000)
    stream = penstock.retained("a", writer.numbers())
    async with (
        penstock.serve(Runs(), listen="memory://retained") as server,
        penstock.serve(Runs(), listen="memory://other") as other,
        penstock.connect("memory://retained", "memory://other") as peer,
    ):
        follower = peer.follow("a")
        await writer.write(5)
        assert await taken(follower, 5) == [*range(5)]
        waiting = asyncio.ensure_future(taken(follower, 5))
        await asyncio.sleep(0.01)
        assert (len(server.peers), len(other.peers)) == (1, 0)
        begun = asyncio.get_running_loop().time()
        assert await server.aclose(grace_s=30)
        assert asyncio.get_running_loop().time() - begun < 10
        await until(lambda: len(other.peers) == 1, "the follower has moved")
        await writer.write(5)
        assert await waiting == [*range(5, 10)]
        await stream.stop()


@pytest.mark.parametrize("remade", [True, False])
async def test_a_stream_that_was_lost_with_its_server_is_not_mixed_with_another_one(remade, monkeypatch):
    """The streams of this event loop are forgotten, as a restart forgets those in memory."""
    monkeypatch.setattr("penstock.retention._service.APPEAR_S", 0.05)
    settings = penstock.Settings(detach_ttl_s=0.05)
    async with penstock.serve(Runs(), listen="tcp://127.0.0.1:0", settings=settings) as server:
        url = server.urls[0]
        async with penstock.connect(url, reconnect=penstock.Reconnect(first_s=0.01, max_s=0.02), settings=settings) as peer:
            await penstock.retained("a").send_many(range(5))
            follower = peer.follow("a")
            assert await taken(follower, 3) == [0, 1, 2]
            waiting = asyncio.ensure_future(taken(follower, 3))
            await asyncio.sleep(0.01)
            await server.aclose()
            kept = penstock.retained("a")
            kept.close()
            _streams.streams_here().lives.forget(kept._kept)
            if remade:
                await penstock.retained("a").send_many("abcdefgh")
            async with penstock.serve(Runs(), listen=url, settings=settings):
                with pytest.raises(ConnectionLost, match="stream 'a' was lost with its server") as caught:
                    await waiting
            assert caught.value.offset == 5


async def test_a_follower_waits_for_a_stream_that_its_server_makes_a_moment_later():
    """As after a restart whose program serves first and makes its streams then: here a stream with the same id."""
    async with linked() as (_runs, peer):
        stream = penstock.retained("a")
        await stream.send(1)
        streams = _streams.streams_here()
        del streams.named["a"]
        coming_back = peer.stream("Penstock/follow", "a", 0, stream._kept.id, False)
        waiting = asyncio.ensure_future(taken(coming_back, 2))
        await asyncio.sleep(0.02)
        streams._put(stream._kept)
        place, item = await waiting
        assert (place["offset"], item) == (0, 1)
