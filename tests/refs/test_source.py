"""A `SourceRef` is read where it arrives: same items, same bound, same outcomes, and leaving frees the producer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest

import penstock
from penstock import ConnectionLost, EndOfStream, FailedPrecondition, NotFound, StreamCancelled
from penstock.errors import OutOfRange, StreamClosed, Unavailable
from penstock.refs import RECLAIM_S, SourceRef, offers
from penstock.streams import Dropped, Port
from penstock.testing import verify_source
from tests.calls.kit import collected, linked, rest, started
from tests.refs.kit import Exchange, Price, Producer
from tests.streams.kit import stopped

# ── in one process ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_here_it_is_the_source_itself():
    sink, source = penstock.pipe(2)
    ref: SourceRef[int] = SourceRef(source)
    await sink.send(1)
    assert ref.statistics() == source.statistics()
    assert ref.claim() is source
    assert await ref.receive() == 1


async def test_one_that_comes_home_is_the_very_object():
    async with linked(Exchange()) as pair:
        ref: SourceRef[Any] = SourceRef(Producer(5))
        assert await pair.peer.call("Exchange/echo", ref) is ref
        assert await pair.stub(Exchange).total(ref) == 10
    assert len(offers()) == 0


@pytest.mark.parametrize("how", ["break", "aclose", "exception"])
async def test_leaving_a_loop_here_closes_the_source(how):
    producer = Producer()
    sink, source = penstock.pipe(2)
    for given in (producer, source):
        ref: SourceRef[int] = SourceRef(given)
        if given is source:
            sink.send_nowait(0)
        try:
            async for _ in ref:
                if how == "break":
                    break
                if how == "exception":
                    raise LookupError  # noqa: TRY301 - what a consumer may do in its loop
                await ref.aclose()
        except (LookupError, StreamClosed):
            pass
        await rest()
    assert producer.stopped.is_set()
    with pytest.raises(StreamCancelled):
        await sink.send(1)


@pytest.mark.parametrize("place", ["here", "elsewhere"])
@pytest.mark.parametrize("when", ["at the same time", "after the first"])
@pytest.mark.parametrize("how", ["loop", "batches"])
async def test_a_second_reader_of_a_ref_is_refused(place, when, how, request):
    """FAULTS A5"""
    if place == "elsewhere":
        request.getfixturevalue("apart")
    async with linked(Exchange()) as pair:
        ref = SourceRef(Producer(5)) if place == "here" else await pair.peer.call("Exchange/numbers")
        if place == "elsewhere":
            await ref.receive()
        async for _ in ref:
            if when == "at the same time":
                break_now = ref.statistics()
                with pytest.raises(FailedPrecondition, match="can be read once"):
                    await anext(aiter(ref) if how == "loop" else ref.batches())
                assert ref.statistics().state == break_now.state
                break
            if place == "elsewhere":
                break
        with pytest.raises(FailedPrecondition, match="can be read once"):
            await anext(aiter(ref) if how == "loop" else ref.batches())
        await rest()


async def test_what_is_no_stream_is_refused():
    with pytest.raises(TypeError, match="list is not a Source"):
        SourceRef([1])  # type: ignore[arg-type]


# ── elsewhere ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_read_where_it_arrives_typed_by_the_hint(apart):
    async with linked(Exchange()) as pair:
        prices = await pair.stub(Exchange).prices()
        assert [price async for price in prices] == [Price("a", 1.0), Price("b", 2.0)]
        untyped = await pair.peer.call("Exchange/prices")
        assert [price async for price in untyped] == [{"symbol": "a", "value": 1.0}, {"symbol": "b", "value": 2.0}]
    assert len(offers()) == 0


async def test_it_travels_as_argument_result_item_and_inside_anything(apart):
    async with linked(Exchange()) as pair:
        stub = pair.stub(Exchange)
        assert await stub.total(SourceRef(Producer(5))) == 10
        both = await stub.both()
        assert await both["numbers"].receive() == 0
        await both["numbers"].aclose()
        assert [sum([number async for number in ref]) async for ref in stub.refs(4)] == [0, 0, 1, 3]
        back = await pair.peer.call("Exchange/echo", {"deep": [SourceRef(Producer(3))]})
        assert [number async for number in back["deep"][0]] == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 2, 16])
async def test_the_producer_is_exactly_as_far_ahead_as_its_claimer_allows(apart, size):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).numbers()
        assert exchange.producer.produced == 0
        async with ref.claim(buffer_size=size) as source:
            assert await source.receive() == 0
            await rest()
            assert exchange.producer.produced <= size + 1
        await rest()
        assert exchange.producer.stopped.is_set()


async def test_the_outcomes_of_the_producer_arrive_as_they_are(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        for producer, expected in (
            (Producer(2), None),
            (Producer(2, OutOfRange("gone", {"at": 2})), OutOfRange),
            (Producer(2, LookupError("secret")), penstock.Internal),
        ):
            exchange.producer = producer
            items, error = await collected(await pair.stub(Exchange).numbers())
            assert items == [0, 1]
            assert error is None if expected is None else isinstance(error, expected)
        sink, exchange.producer = penstock.pipe(2)
        ref = await pair.stub(Exchange).numbers()
        reading = await started(collected(ref))
        await exchange.producer.aclose()
        items, error = await reading
        assert error is not None
        del sink


@pytest.mark.parametrize("how", ["break", "aclose", "forget", "task cancelled"])
async def test_leaving_runs_the_producers_finally(apart, how):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref: Any = await pair.stub(Exchange).numbers()
        if how == "break":
            async for _ in ref:
                break
        elif how == "task cancelled":
            exchange.producer = Producer(3)

            async def read() -> None:
                async for _ in ref:
                    await asyncio.Event().wait()

            await stopped(await started(read()))
        else:
            await ref.receive()
            if how == "aclose":
                await ref.aclose()
            else:
                del ref
                gc.collect()
        await rest()
        assert pair.left_over() == {}
    assert len(offers()) == 0


async def test_a_connection_that_is_lost_is_never_an_end(apart):
    exchange = Exchange()
    async with linked(exchange, gate=False, client_reconnect=None) as pair:
        ref = await pair.stub(Exchange).numbers()
        source = ref.claim(buffer_size=2)
        assert await source.receive() == 0
        pair.peer._scope.session.abort()
        _items, error = await collected(source)
        assert isinstance(error, penstock.Cancelled | ConnectionLost)
        await asyncio.wait_for(exchange.producer.stopped.wait(), 1)


async def test_losses_of_a_port_are_told_elsewhere_as_they_are_here(apart):
    port: Port[int] = Port(overflow="drop_oldest", buffer_size=1)
    exchange = Exchange()
    exchange.producer = port.subscribe()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).numbers()
        for number in range(5):
            port.send_nowait(number)
        port.close()
        assert [item async for item in ref] == [Dropped(4), 4]


async def test_it_keeps_every_rule_of_a_source_elsewhere(apart):
    exchange = Exchange()
    async with linked(exchange, gate=False) as pair:

        async def make() -> Any:
            exchange.given = SourceRef(Producer(30))
            ref = await pair.peer.call("Exchange/give")
            ref.claim(buffer_size=4)
            return ref, range(30)

        print(await verify_source(make))


# ── one user ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_can_be_claimed_once(apart):
    ref: SourceRef[int] = SourceRef(Producer(3))
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = ref
        first, second = [await pair.peer.call("Exchange/give") for _ in range(2)]
        assert await first.receive() == 0
        with pytest.raises(FailedPrecondition, match="claimed already; a ref can be claimed once"):
            await second.receive()
        with pytest.raises(FailedPrecondition, match="claimed already"):
            await ref.receive()
        with pytest.raises(FailedPrecondition, match="claimed already"):
            await pair.peer.call("Exchange/echo", ref)
        await first.aclose()


async def test_who_uses_it_here_after_all_is_its_user(apart):
    ref: SourceRef[int] = SourceRef(Producer(3))
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = ref
        sent = await pair.peer.call("Exchange/give")
        assert await ref.receive() == 0
        with pytest.raises(FailedPrecondition, match="is used by the process that sent it"):
            await sent.receive()
        with pytest.raises(FailedPrecondition, match="in use here, and cannot be sent"):
            await pair.peer.call("Exchange/echo", ref)
        assert [number async for number in ref] == [1, 2]


async def test_a_guessed_token_claims_nothing(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        with pytest.raises(NotFound, match="is not on offer here"):
            await pair.peer.stream("Penstock/claim_source", b"?" * 16).receive()
        with pytest.raises(penstock.InvalidArgument):
            await pair.peer.stream("Penstock/claim_source", 7).receive()


async def test_a_source_is_not_claimed_as_a_sink(apart):
    ref: SourceRef[int] = SourceRef(Producer(3))
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = ref
        _there = await pair.peer.call("Exchange/give")
        call = pair.peer.open("Penstock/claim_sink", next(iter(ref._state.copies)), None, kind="client_streaming")
        with pytest.raises(FailedPrecondition, match="a SourceRef was claimed as a SinkRef"):
            await call.close_and_receive()
        assert await ref.receive() == 0
        await ref.aclose()


# ── nobody claims it ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_nobody_claims_is_reclaimed_after_its_time_and_who_comes_late_is_told(apart):
    sink, source = penstock.pipe(2)
    ref: SourceRef[int] = SourceRef(source)
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = ref
        late = await pair.peer.call("Exchange/give")
        await asyncio.sleep(RECLAIM_S - 0.1)
        await sink.send(1)
        await asyncio.sleep(0.2)
        with pytest.raises(StreamCancelled):
            await sink.send(2)
        with pytest.raises(NotFound, match="was reclaimed, because it was not claimed within 30 s"):
            await late.receive()
        with pytest.raises(NotFound, match="was reclaimed"):
            await ref.receive()
    assert len(offers()) == 0


async def test_the_connection_over_which_it_was_sent_may_be_gone_it_is_reclaimed_all_the_same(apart):
    producer = Producer()
    exchange = Exchange()
    async with linked(exchange, gate=False, client_reconnect=None) as pair:
        exchange.given = SourceRef(producer)
        sent = await pair.peer.call("Exchange/give")
        pair.peer._scope.session.abort()
    with pytest.raises(Unavailable, match="no live connection to"):
        await sent.receive()
    assert len(offers()) == 1
    await asyncio.sleep(RECLAIM_S + 1)
    assert len(offers()) == 0


async def test_offers_are_bounded(apart, monkeypatch):
    monkeypatch.setattr("penstock.refs._offers.OFFERS_MAX", 2)
    refs: list[SourceRef[int]] = [SourceRef(Producer(1)) for _ in range(3)]
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = refs[:2]
        kept = await pair.peer.call("Exchange/give")  # dropped, they would end
        exchange.given = refs
        with pytest.raises(penstock.ResourceExhausted, match="OFFERS_MAX"):
            await pair.peer.call("Exchange/give")
        assert [number async for number in refs[2]] == [0]
        for ref in refs[:2]:
            await ref.aclose()
        assert len(kept) == 2
    assert len(offers()) == 0


async def test_who_closes_it_unread_frees_the_producer_at_once(apart):
    sink, source = penstock.pipe(2)
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = SourceRef(source)
        sent = await pair.peer.call("Exchange/give")
        await sent.aclose()
        await rest()
        with pytest.raises(StreamCancelled):
            await sink.send(1)
        with pytest.raises(FailedPrecondition):
            await sent.receive()
    assert len(offers()) == 0


# ── a relay ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_that_is_sent_on_is_relayed_with_its_demand_outcome_and_leaving(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        stub = pair.stub(Exchange)
        producer = Producer()
        assert "far" in await stub.keep(SourceRef(producer))
        sent_on = await stub.kept_again()
        async with sent_on.claim(buffer_size=3) as source:
            assert [await source.receive() for _ in range(2)] == [0, 1]
            await rest()
            assert producer.produced <= 2 + 3 + 1  # as far ahead as the last reader allows, and not once more for each way
        await rest()
        assert producer.stopped.is_set()
        await stub.keep(SourceRef(Producer(2, OutOfRange("gone"))))
        items, error = await collected(await stub.kept_again())
        assert (items, type(error)) == ([0, 1], OutOfRange)
    assert len(offers()) == 0


class Feed(penstock.Actor):
    """Counts what it makes."""

    def __init__(self) -> None:
        self.made = 0
        self.over = False

    async def numbers(self, until: int = 10**9) -> AsyncIterator[int]:
        try:
            for number in range(until):
                self.made += 1
                yield number
        finally:
            self.over = True

    async def same(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item

    async def made_so_far(self) -> int:
        return self.made


async def travelled(peer: penstock.Peer, source: AsyncIterable[Any], ways: int) -> SourceRef[Any]:
    """Send a source to and fro so many times, each time over two connections, which are two ends of the same one here."""
    ref: SourceRef[Any] = SourceRef(source)
    for _ in range(ways):
        ref = await peer.call("Exchange/echo", ref)
    return ref


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("ways", [1, 2, 4])
@pytest.mark.parametrize("kind", ["ref", "stub", "typed", "events", "producer"])
async def test_through_every_hop_the_producer_is_as_far_ahead_as_the_last_reader_allows(apart, size, ways, kind):
    """FAULTS D7: neither the buffer of the stream nor the windows of the connections on the way come on top."""
    async with penstock.ActorSystem() as system, linked(Exchange()) as pair:
        feed = await system.spawn(Feed, name="feed")
        producer = Producer()
        source: Any = {
            "ref": lambda: penstock.ref(feed).stream("numbers", buffer_size=100),
            "stub": feed.numbers,
            "typed": lambda: penstock.ref(feed).stream("numbers", type=int),
            "events": lambda: penstock.ref(feed).stream("numbers", events=True),
            "producer": lambda: producer,
        }[kind]()
        ref = await travelled(pair.peer, source, ways)
        await rest()

        async def made() -> int:
            return producer.produced if kind == "producer" else await feed.made_so_far()

        assert await made() == 0
        async with ref.claim(buffer_size=size) as reader:
            for taken in range(1, 4 * size + 3):
                await reader.receive()
                await rest()
                assert taken <= await made() <= taken + size
            assert await made() > taken
        await rest()
        assert producer.stopped.is_set() if kind == "producer" else system.state("feed")["over"]


@pytest.mark.parametrize("size", [1, 2, 7, 64, None])
async def test_a_relayed_stream_comes_to_its_end_with_every_window(apart, size):
    """FAULTS D7: no demand is lost on the way, with items of any size."""
    async with penstock.ActorSystem() as system, linked(Exchange()) as pair:
        feed = await system.spawn(Feed, name="feed")
        ref = await travelled(pair.peer, feed.numbers(1000), 3)
        async with ref.claim(buffer_size=size) as reader:
            assert [number async for number in reader] == list(range(1000))

        async def large() -> AsyncIterator[bytes]:
            for number in range(100):
                yield bytes(number * 3000)

        ref = await travelled(pair.peer, large(), 2)
        assert [len(item) async for item in ref.claim(buffer_size=size)] == [number * 3000 for number in range(100)]


async def test_here_too_the_first_reader_says_how_far_the_stream_of_an_actor_may_be_ahead():
    """FAULTS D7: ``claim(buffer_size=…)`` of a stream of this process; nothing is made before it."""
    async with penstock.ActorSystem() as system:
        feed = await system.spawn(Feed, name="feed")
        for size, ahead in ((3, 3), (None, 100)):
            made = await feed.made_so_far()
            ref: SourceRef[int] = SourceRef(penstock.ref(feed).stream("numbers", buffer_size=100))
            await rest()
            assert await feed.made_so_far() == made
            async with ref.claim(buffer_size=size) as reader:
                await reader.receive()
                await rest()
                assert await feed.made_so_far() == made + 1 + ahead


@pytest.mark.parametrize("ref_is", ["kept", "dropped"])
@pytest.mark.parametrize("how", ["loop", "begun loop", "batches", "receive", "receive_nowait"])
@pytest.mark.parametrize("kind", ["stub", "typed", "both ways"])
async def test_a_stream_whose_ref_is_not_used_is_read_as_before(kind, how, ref_is):
    """Its producer waits for a reader, and the reader of the stream itself is one."""
    async with penstock.ActorSystem() as system:
        feed = await system.spawn(Feed, name="feed")
        stream: Any = {
            "stub": lambda: feed.numbers(40),
            "typed": lambda: penstock.ref(feed).stream("numbers", [40], type=int),
            "both ways": lambda: feed.same(range(40)),
        }[kind]()
        reader = aiter(stream.batches() if how == "batches" else stream)
        first = [await anext(reader)] if how == "begun loop" else []
        refs = [SourceRef(stream)]
        if ref_is == "dropped":
            refs.clear()
        await rest()
        async with asyncio.timeout(60):
            if how in {"loop", "begun loop"}:
                found = first + [number async for number in reader]
            elif how == "batches":
                found = [number async for batch in reader for number in batch]
            else:
                found = [await received(stream, how) for _ in range(40)]
        assert found == list(range(40))


async def received(stream: Any, how: str) -> int:
    while how == "receive_nowait":
        try:
            return stream.receive_nowait()
        except penstock.WouldBlock:
            await asyncio.sleep(0)
    return await stream.receive()


@pytest.mark.parametrize("size", [1, None])
async def test_a_stream_with_requests_is_read_by_a_ref(size):
    async with penstock.ActorSystem() as system:
        feed = await system.spawn(Feed, name="feed")
        ref: SourceRef[int] = SourceRef(feed.same(range(40)))
        await rest()
        async with asyncio.timeout(60):
            assert [number async for number in ref.claim(buffer_size=size)] == list(range(40))


async def test_what_a_pipe_had_before_its_reader_came_is_not_held_back(apart):
    """FAULTS D7: its sender fills its own buffer; from then on the reader's demand holds."""
    async with linked(Exchange()) as pair:
        sink, source = penstock.pipe(10)
        ref: SourceRef[int] = SourceRef(source)
        for number in range(6):
            await sink.send(number)
        ref = await travelled(pair.peer, ref, 2)
        filling = asyncio.ensure_future(sink.send_many(range(6, 1000)))
        await rest()
        async with ref.claim(buffer_size=2) as reader:
            for taken in range(1, 30):
                assert await reader.receive() == taken - 1
                await rest()
                assert sink.statistics().sent <= max(10, taken + 2)
        with pytest.raises(StreamCancelled):
            await filling


async def test_a_ref_among_the_items_of_a_relayed_stream_leads_on(apart):
    async def refs() -> AsyncIterator[SourceRef[int]]:
        yield SourceRef(Producer(3))

    async with linked(Exchange()) as pair:
        outer = await pair.peer.call("Exchange/echo", SourceRef(refs()))
        inner = await outer.receive()
        assert [number async for number in inner] == [0, 1, 2]
        with pytest.raises(EndOfStream):
            await outer.receive()


async def test_closing_a_relay_unread_frees_the_producer_behind_it(apart):
    sink, source = penstock.pipe(2)
    async with linked(Exchange()) as pair:
        sent_on = await pair.peer.call("Exchange/echo", SourceRef(source))
        await sent_on.aclose()
        await rest()
        with pytest.raises(StreamCancelled):
            await sink.send(1)
    assert len(offers()) == 0
