"""Streams of a peer without flow control, as the original is: nothing is lost in silence, and nothing grows without a bound."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import Cancelled, ConnectionLost, NotFound, ResourceExhausted, StreamClosed, Unknown
from penstock.signalrpc import connect
from tests.signalrpc.kit import bare, relayed


def data(stream_id, payload):
    return {"type": "StreamData", "streamId": stream_id, "payload": payload}


def end(stream_id):
    return {"type": "StreamEnd", "streamId": stream_id}


async def flushed(sender, receiver):
    """Wait until all that `sender` has sent has been taken by the peer."""
    await sender.say({"category": "request", "requestId": "f", "from": sender.id, "to": receiver.client_id, "data": "flush"})
    assert (await sender.hear())["data"] == "flushed"


async def test_frames_that_come_early_are_the_first_items_of_a_late_receiver():
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        for number in range(1000):
            await other.say(data("s", number))
        await flushed(other, peer)
        _, source = peer.receive_stream("s", type=int)
        await other.say(end("s"))
        assert [item async for item in source] == list(range(1000))


async def test_a_reader_that_takes_nothing_has_a_bounded_queue_and_then_an_error():
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        _, source = peer.receive_stream("s")
        for number in range(3000):
            await other.say(data("s", number))
        await flushed(other, peer)
        assert source.statistics().buffered == 1024
        assert [await source.receive() for _ in range(1024)] == list(range(1024))
        with pytest.raises(ResourceExhausted, match="no flow control"):
            await source.receive()


async def test_large_items_fill_the_queue_by_their_bytes():
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        _, source = peer.receive_stream("s")
        for _ in range(40):
            await other.say(data("s", "x" * 900_000))
        await flushed(other, peer)
        assert source.statistics().buffered < 20
        assert source.statistics().state == "failed"


@pytest.mark.parametrize(("text", "seen"), [("Stream aborted", Cancelled), ("disk full", Unknown)])
async def test_the_error_of_the_original_has_its_text(text, seen):
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        _, source = peer.receive_stream("s")
        await other.say({"type": "StreamError", "streamId": "s", "error": text})
        with pytest.raises(seen, match=text):
            await source.receive()


async def test_a_stream_that_nothing_asks_for_is_dropped_and_a_later_receiver_is_told(monkeypatch):
    monkeypatch.setattr("penstock.signalrpc.streams._table.EARLY_S", 0.05)
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        await other.say(data("s", 1))
        await flushed(other, peer)
        while peer._streams._received:  # noqa: ASYNC110 - it looks from outside, and has no event
            await asyncio.sleep(0.01)
        _, source = peer.receive_stream("s")
        with pytest.raises(NotFound, match="dropped"):
            await source.receive()


async def test_a_stream_that_has_ended_before_it_is_asked_for_is_kept_as_long_and_no_longer(monkeypatch):
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        for name in ("soon", "late"):
            await other.say(data(name, 1))
            await other.say(end(name))
        await flushed(other, peer)
        _, source = peer.receive_stream("soon")
        assert [item async for item in source] == [1]
        peer._streams._discard(peer._streams._received["late"])  # as its timer does
        assert not peer._streams._received
        _, source = peer.receive_stream("late")
        with pytest.raises(NotFound):
            await source.receive()


async def test_many_streams_that_nothing_asks_for_are_bounded():
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        for number in range(1000):
            await other.say(data(f"s{number}", number))
        await flushed(other, peer)
        assert len(peer._streams._received) == 256
        _, newest = peer.receive_stream("s999")
        assert await newest.receive() == 999


async def test_an_id_is_used_again_and_its_early_items_are_kept():
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        for round_ in range(3):
            await other.say(data("ticker", round_))
            await other.say(end("ticker"))
            await flushed(other, peer)
            _, source = peer.receive_stream("ticker")
            assert [item async for item in source] == [round_]


async def test_a_stream_that_was_left_ignores_what_still_comes():
    async with relayed() as (_, url), connect(url) as peer, bare(url) as other:
        peer.match(lambda *_: "flushed")
        _, source = peer.receive_stream("s")
        await source.aclose()
        for number in range(10):
            await other.say(data("s", number))
        await flushed(other, peer)
        assert not peer._streams._received
        with pytest.raises(StreamClosed):
            await source.receive()


async def test_a_lost_connection_ends_both_directions_and_closes_the_iterable():
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield "x" * 10_000
        finally:
            closed.set()

    async with relayed() as (_, url), connect(url, reconnect=None) as peer, bare(url) as other:
        sent = peer.send_stream(endless(), to=other.id)
        _, source = peer.receive_stream("s")
        assert (await other.hear())["type"] == "StreamData"
        peer._wire._link.abort()
        with pytest.raises(ConnectionLost, match="Connection closed"):
            await source.receive()
        with pytest.raises(ConnectionLost):
            await sent
        await closed.wait()


async def test_a_receiver_that_does_not_read_pauses_the_sender_on_its_connection():
    made = 0

    async def endless():
        nonlocal made
        while True:
            made += 1
            yield "x" * 50_000

    async with relayed(stall_s=30) as (_, url), connect(url) as peer, bare(url, max_queue=1) as stuck:
        stuck.socket.transport.pause_reading()
        peer.send_stream(endless(), to=stuck.id)
        before = -1
        while before != made:
            before = made
            await asyncio.sleep(0.15)
        assert 0 < made < 400  # 20 MB would be more than the buffers of two sockets and of the relay
        stuck.socket.transport.abort()
        await stuck.socket.wait_closed()


async def test_a_stream_without_an_address_reaches_all_of_the_topic():
    async def one():
        yield 1

    async with relayed() as (_, url), connect(url) as peer, bare(url) as two, bare(url) as three:
        await peer.send_stream(one(), "s")
        for other in (two, three):
            assert {**data("s", 1), "from": peer.client_id} == await other.hear()
            assert (await other.hear())["type"] == "StreamEnd"
