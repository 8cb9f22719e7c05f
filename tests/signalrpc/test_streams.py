"""Streams between two peers of Penstock: exact demand, the four outcomes, and what goes on after a cut."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import (
    AlreadyExists,
    Cancelled,
    ConnectionLost,
    Internal,
    InvalidArgument,
    NotFound,
    StreamCancelled,
    StreamClosed,
    Unavailable,
)
from penstock.peer import Reconnect
from penstock.signalrpc import SentStream, connect
from tests.signalrpc.kit import bare, relayed

AT_ONCE = Reconnect(first_s=0.01, max_s=0.02)


class Numbers:
    """Counts; knows how far it has come, and whether it was closed."""

    def __init__(self, end=None, error=None):
        self.made = 0
        self.end = end
        self.error = error
        self.closed = asyncio.Event()

    async def __aiter__(self):
        try:
            while self.end is None or self.made < self.end:
                self.made += 1
                yield self.made - 1
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()


async def asked(reader, sender, items, **options):
    """Let `reader` ask for a stream, as the seed has it: the answer has its id. Return what `send_stream` gave, and the id."""
    sent = []

    def handler(data, from_):
        sent.append(sender.send_stream(items, data["id"], **options))
        return {"streamId": data["id"]}

    remove = sender.match(handler)
    response = await reader.request({"id": options.pop("stream_id", "s")})
    remove()
    return sent[0], response.data["streamId"]


async def settled(condition):
    """Wait until the condition holds, and 30 turns of the loop more, with the socket read in each."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it looks from outside, and has no event
            await asyncio.sleep(0.002)
    for _ in range(30):
        await asyncio.sleep(0.002)


async def test_the_sender_is_exactly_the_buffer_ahead_and_follows_the_reader():
    numbers = Numbers()
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        _, stream_id = await asked(reader, sender, numbers)
        await settled(lambda: True)
        assert numbers.made == 0  # nothing is pulled before the reader asks
        _, source = reader.receive_stream(stream_id, buffer_size=10)
        await settled(lambda: numbers.made >= 10)
        assert numbers.made == 10
        for taken in range(1, 31):
            assert await source.receive() == taken - 1
            assert numbers.made <= taken + 10
        await settled(lambda: numbers.made >= 35)
        assert numbers.made <= 40
        await source.aclose()
        await numbers.closed.wait()  # and the cancel reaches the sender
        with pytest.raises(StreamClosed):
            await source.receive()


async def test_all_items_arrive_in_order_and_the_end_is_the_end():
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        for compress in (False, True):
            sent, stream_id = await asked(reader, sender, Numbers(5000), compress=compress)
            _, source = reader.receive_stream(stream_id)
            assert [item async for item in source] == list(range(5000))
            assert isinstance(sent, SentStream)
            assert await sent == stream_id
            assert source.statistics().state == "ended"


async def test_an_id_is_used_again_at_once():
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        for _ in range(5):
            _, stream_id = await asked(reader, sender, Numbers(100))
            await settled(lambda: True)  # the offer has come before the program asks for it
            _, source = reader.receive_stream(stream_id)
            assert [item async for item in source] == list(range(100))


async def test_a_stream_from_the_client_to_the_handler_goes_the_same_way():
    async with relayed() as (_, url), connect(url) as client, connect(url) as server:
        totals = asyncio.Queue()

        async def add(stream_id):
            _, source = server.receive_stream(stream_id)
            totals.put_nowait(sum([item async for item in source]))

        adding = []
        server.match(lambda data, _: adding.append(asyncio.create_task(add(data["upload"]))) or {"ready": True})
        answer = await client.request({"upload": "u"})
        await client.send_stream(Numbers(1000), "u", to=answer.from_)
        assert await totals.get() == 499500


@pytest.mark.parametrize(("error", "seen"), [(NotFound("no such thing"), NotFound), (ValueError("secret"), Internal)])
async def test_an_error_of_the_producer_comes_after_the_items_before_it(error, seen):
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        sent, stream_id = await asked(reader, sender, Numbers(3, error))
        _, source = reader.receive_stream(stream_id)
        assert [await source.receive() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(seen) as raised:
            await source.receive()
        assert "secret" not in str(raised.value)
        with pytest.raises(seen):
            await sent


async def test_an_aborted_stream_is_cancelled_at_both_ends():
    numbers = Numbers()
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        sent, stream_id = await asked(reader, sender, numbers)
        _, source = reader.receive_stream(stream_id, buffer_size=4)
        await source.receive()
        sender.abort_stream(stream_id)
        with pytest.raises(Cancelled):
            await sent
        await numbers.closed.wait()
        with pytest.raises(Cancelled, match="Stream aborted"):
            async for _ in source:
                pass


async def test_leaving_the_stream_by_its_id_or_dropping_it_stops_the_sender():
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        for leave in ("close", "drop"):
            numbers = Numbers()
            sent, stream_id = await asked(reader, sender, numbers)
            _, source = reader.receive_stream(stream_id, buffer_size=4)
            await source.receive()
            if leave == "close":
                reader.close_receiving_stream(stream_id)
            del source
            await numbers.closed.wait()
            with pytest.raises(StreamCancelled):
                await sent


async def test_three_streams_at_once_do_not_wait_for_each_other():
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        stuck, _ = await asked(reader, sender, Numbers(), stream_id="stuck")
        _, never_read = reader.receive_stream(stuck.id, buffer_size=2)
        both = []
        for name in ("a", "b"):
            sent, _ = await asked(reader, sender, Numbers(500), stream_id=name)
            both.append(reader.receive_stream(sent.id)[1])
        for source in both:
            assert [item async for item in source] == list(range(500))
        assert never_read.statistics().buffered == 2


async def test_a_stream_goes_on_exactly_after_either_side_was_cut():
    async with relayed() as (_, url), connect(url, reconnect=AT_ONCE) as reader, connect(url, reconnect=AT_ONCE) as sender:
        sent, stream_id = await asked(reader, sender, Numbers(2000))
        _, source = reader.receive_stream(stream_id, buffer_size=50)
        got = []
        async for item in source:
            got.append(item)
            if item % 300 == 299:
                (reader, sender)[item // 300 % 2]._wire._link.abort()
        assert got == list(range(2000))
        assert await sent == stream_id


async def test_a_peer_that_does_not_come_again_loses_its_streams():
    numbers = Numbers()
    async with relayed() as (_, url), connect(url, resume_s=0.05) as sender:
        async with connect(url, reconnect=None) as reader:
            sent, stream_id = await asked(reader, sender, numbers)
            _, source = reader.receive_stream(stream_id, buffer_size=4)
            await source.receive()
            reader._wire._link.abort()
            with pytest.raises(ConnectionLost) as lost:
                async for _ in source:
                    pass
            assert lost.value.offset >= 4
        sent.take_absence("the receiver is gone")  # the relay says so at the next message
        with pytest.raises(ConnectionLost):
            await sent
        await numbers.closed.wait()


async def test_a_sender_that_dies_loses_its_streams_and_one_that_closes_ends_them(monkeypatch):
    monkeypatch.setattr("penstock.signalrpc.streams._table.ASK_S", 0.05)
    async with relayed() as (_, url), connect(url, resume_s=0.05) as reader:
        async with connect(url, reconnect=None) as sender:
            _, stream_id = await asked(reader, sender, Numbers())
            _, source = reader.receive_stream(stream_id, buffer_size=2)
            assert await source.receive() == 0
            sender._wire._link.abort()  # as a process that dies: it says nothing
            with pytest.raises(ConnectionLost, match="the sender is gone"):
                async for _ in source:
                    pass
        async with connect(url) as sender:
            _, stream_id = await asked(reader, sender, Numbers(), stream_id="t")
            _, source = reader.receive_stream(stream_id, buffer_size=2)
            assert await source.receive() == 0
        with pytest.raises(Cancelled, match="closed"):
            async for _ in source:
                pass
        with pytest.raises(Unavailable):
            sender.send_stream(Numbers())


async def test_a_producer_that_is_no_iterable_or_cannot_be_closed_fails_its_stream():
    class Stubborn(Numbers):
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 1

        async def aclose(self):
            raise OSError("stuck")

    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        for number, wrong in enumerate((5, Stubborn())):
            sent, stream_id = await asked(reader, sender, wrong, stream_id=f"s{number}")
            _, source = reader.receive_stream(stream_id)
            if number:
                await source.receive()
                sender.abort_stream(stream_id)
            with pytest.raises((Internal, Cancelled)):
                await sent
            with pytest.raises((Internal, Cancelled)):
                async for _ in source:
                    pass


async def test_items_are_checked_against_the_type_of_the_reader():
    async def mixed():
        yield 1
        yield "two"

    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        sent, stream_id = await asked(reader, sender, mixed())
        _, source = reader.receive_stream(stream_id, type=int)
        assert await source.receive() == 1
        with pytest.raises(InvalidArgument):
            await source.receive()
        with pytest.raises(StreamCancelled):
            await sent


async def test_an_id_names_one_stream():
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        await asked(reader, sender, Numbers())
        _, source = reader.receive_stream("s")
        with pytest.raises(AlreadyExists):
            _, source = reader.receive_stream("s")
        with pytest.raises(AlreadyExists):
            sender.send_stream(Numbers(), "s")
        await source.aclose()


@pytest.mark.parametrize("side", ["sender", "reader"])
async def test_a_stream_keeps_to_the_rate_of_either_side(side):
    rate = {"items_per_s": 100}
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender:
        _, stream_id = await asked(reader, sender, Numbers(40), **(rate if side == "sender" else {}))
        _, source = reader.receive_stream(stream_id, **(rate if side == "reader" else {}))
        started = asyncio.get_running_loop().time()
        assert [item async for item in source] == list(range(40))
        assert asyncio.get_running_loop().time() - started > 0.25  # 40 items, the first ten at once


async def test_a_stream_of_a_handler_reaches_no_other_peer_of_the_topic():
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender, bare(url) as other:
        _, stream_id = await asked(reader, sender, Numbers(100))
        _, source = reader.receive_stream(stream_id)
        assert len([item async for item in source]) == 100
        await other.say({"category": "ping", "timestamp": 1})
        heard = [await other.hear() for _ in range(2)]
        assert [message["category"] for message in heard] == ["request", "pong"]
