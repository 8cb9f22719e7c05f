"""A call held in the hand: both directions apart, half-close, and client streaming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import EndOfStream, StreamCancelled, StreamClosed
from penstock.calls._scope import CLEANUP_S
from tests.calls.kit import Log, ended, linked, read_on, rest, started


class Desk:
    def __init__(self):
        self.log = Log()
        self.gate = asyncio.Event()
        self.seen = []

    async def mirror(self, items: AsyncIterator[bytes | int | None]) -> AsyncIterator[bytes | int | None]:
        async for item in items:
            yield item
        self.log.append("requests ended")

    async def total(self, items: AsyncIterator[int]) -> int:
        try:
            return sum([item async for item in items])
        finally:
            self.log.append("closed")

    async def gated(self, items: AsyncIterator[int]) -> int:
        await self.gate.wait()
        async for item in items:
            self.seen.append(item)
        return len(self.seen)

    async def sizes(self, items: AsyncIterator[bytes]) -> list[int]:
        return [len(item) async for item in items]

    async def first_only(self, items: AsyncIterator[int]) -> int:
        async for item in items:
            return item
        return -1

    async def late_talker(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        total = 0
        async for item in items:
            total += item
        for _ in range(3):
            yield total

    async def never_mind(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def refuse(self, items: AsyncIterator[int]) -> int:
        await items.receive()
        raise penstock.FailedPrecondition("enough")

    async def keep(self, items: AsyncIterator[int]) -> int:
        self.source = items
        return 1


@pytest.fixture
async def desk():
    return Desk()


@pytest.fixture
async def pair(desk):
    async with linked(desk) as pair:
        yield pair


async def test_requests_and_responses_take_turns(pair):
    call = pair.peer.open("Desk/mirror")
    for item in (1, None, b"", b"x" * 70_000, 0):
        await call.send(item)
        assert await call.receive() == item
    call.close_send()
    with pytest.raises(EndOfStream):
        await call.receive()


async def test_half_close_ends_the_requests_and_the_responses_go_on(pair):
    call = pair.peer.open("Desk/late_talker")
    await call.send(1)
    await call.send(2)
    call.close_send()
    call.close_send()
    with pytest.raises(StreamClosed):
        await call.send(3)
    assert [item async for item in call] == [3, 3, 3]


async def test_close_and_receive_gives_the_one_result(pair):
    call = pair.peer.open("Desk/total", kind="client_streaming")
    for number in range(1000):
        await call.send(number)
    assert await call.close_and_receive() == 499_500


async def test_an_empty_stream_of_requests_is_one(pair):
    assert await pair.peer.open("Desk/total", kind="client_streaming").close_and_receive() == 0
    assert await pair.stub(Desk).total([]) == 0
    call = pair.peer.open("Desk/mirror")
    call.close_send()
    assert [item async for item in call] == []


async def test_an_unknown_kind_is_refused_with_what_there_is(pair):
    with pytest.raises(ValueError, match="bidirectional"):
        pair.peer.open("Desk/mirror", kind="sideways")


@pytest.mark.parametrize("leave", ["cancel", "aclose", "async with", "break", "drop"])
async def test_leaving_a_call_cancels_it(pair, desk, leave):
    call = pair.peer.open("Desk/total", kind="client_streaming")
    await call.send(1)
    await rest()
    if leave == "cancel":
        call.cancel()
    elif leave == "aclose":
        await call.aclose()
    elif leave == "async with":
        async with call:
            pass
    elif leave == "break":
        consuming = asyncio.ensure_future(anext(aiter(call)))
        await rest()
        consuming.cancel()
        await ended(consuming)
    if leave != "drop":
        with pytest.raises(penstock.Cancelled):
            await call.send(2)
        with pytest.raises((penstock.Cancelled, StreamClosed)):
            await call.receive()
    del call
    await rest()
    assert desk.log == ["closed"]


async def test_the_handler_may_end_before_the_requests_do(pair):
    call = pair.peer.open("Desk/never_mind")
    assert [item async for item in call] == [1, 2]
    with pytest.raises(StreamCancelled):
        await call.send(1)

    taken = 0

    async def requests():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    assert await pair.stub(Desk, buffer_size=4).first_only(requests()) == 1
    await rest()
    assert taken < 20


async def test_a_failure_of_the_handler_is_told_to_who_sends_and_to_who_receives(pair):
    call = pair.peer.open("Desk/refuse", kind="client_streaming")
    await call.send(1)
    await rest()
    with pytest.raises(penstock.FailedPrecondition, match="enough"):
        await call.send(2)
    with pytest.raises(penstock.FailedPrecondition, match="enough"):
        await call.close_and_receive()


async def test_a_source_kept_after_its_handler_returned_is_over(pair, desk):
    async def requests():
        for number in range(1000):
            yield number
            await rest()

    assert await pair.stub(Desk).keep(requests()) == 1
    with pytest.raises((EndOfStream, StreamClosed)):
        await read_on(desk.source)


# ── the bound, and cancelling a send ──────────────────────────────────────────────────────────────────────────────────


def gated(pair, size):
    return pair.peer.open("Desk/gated", kind="client_streaming", options=penstock.CallOptions(buffer_size=size))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
async def test_who_sends_is_exactly_buffer_size_ahead_of_a_handler_that_stalls(pair, desk, size):
    call = gated(pair, size)
    sent = []

    async def send():
        for number in range(5 * size):
            await call.send(number)
            sent.append(number)

    sending = await started(send())
    assert len(sent) == size
    assert call.sink.statistics().waiting_senders == 1
    desk.gate.set()
    await sending
    assert await call.close_and_receive() == 5 * size
    assert desk.seen == list(range(5 * size))


async def test_many_senders_are_served_in_the_order_they_came(pair, desk):
    call = gated(pair, 3)
    senders = [await started(call.send(number)) for number in range(20)]
    assert [sender.done() for sender in senders] == [True] * 3 + [False] * 17
    desk.gate.set()
    await asyncio.gather(*senders)
    assert await call.close_and_receive() == 20
    assert desk.seen == list(range(20))


async def test_cancelled_senders_deliver_nothing_and_the_others_go_on_in_order(pair, desk):
    call = gated(pair, 2)
    senders = [await started(call.send(number)) for number in range(10)]
    for place in (2, 3, 6, 9):
        senders[place].cancel()
    desk.gate.set()
    outcomes = [await ended(sender) for sender in senders]
    kept = [number for number, outcome in enumerate(outcomes) if outcome is None]
    await call.close_and_receive()
    assert desk.seen == kept
    assert 0 < len(kept) < 10


@pytest.mark.parametrize("turns", range(8))
async def test_a_send_cancelled_in_any_turn_after_room_was_made_delivers_all_or_nothing(pair, desk, turns):
    call = gated(pair, 1)
    await call.send(0)
    first, second = [await started(call.send(number)) for number in (1, 2)]
    desk.gate.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    outcome = await ended(first)
    await second
    await call.close_and_receive()
    assert desk.seen == ([0, 1, 2] if outcome is None else [0, 2])


@pytest.mark.parametrize("size", [8, 16 * 1024, 64 * 1024, 300 * 1024])
@pytest.mark.parametrize("turns", range(4))
async def test_a_cancelled_send_of_any_size_never_delivers_its_item(pair, size, turns):
    call = pair.peer.open("Desk/sizes", kind="client_streaming")
    await rest()
    accepted = []
    for number in range(12):
        sending = asyncio.ensure_future(call.send(bytes(size + number)))
        for _ in range(turns if number % 2 else 3):
            await asyncio.sleep(0)
        sending.cancel()
        if await ended(sending) is None:
            accepted.append(size + number)
    assert await call.close_and_receive() == accepted


async def test_a_cancelled_send_many_has_delivered_all_it_took_but_the_item_that_waited(pair, desk):
    call = gated(pair, 3)
    await rest()
    items = iter(range(100))
    sending = await started(call.sink.send_many(items))
    sending.cancel()
    await ended(sending)
    desk.gate.set()
    assert await call.close_and_receive() == 3
    assert next(items) == 4  # item 3 had to wait: it was taken, and is not delivered


async def test_send_nowait_of_the_sink_refuses_without_credit(pair, desk):
    call = gated(pair, 2)
    await rest()
    call.sink.send_nowait(1)
    call.sink.send_nowait(2)
    with pytest.raises(penstock.WouldBlock):
        call.sink.send_nowait(3)
    desk.gate.set()
    assert await call.close_and_receive() == 2


async def test_senders_that_wait_are_told_when_the_connection_is_lost(desk):
    async with linked(desk, gate=False, client_reconnect=None) as pair:
        call = gated(pair, 1)
        senders = [await started(call.send(number)) for number in range(5)]
        pair.served._scope.session.link.abort()
        outcomes = [await ended(sender) for sender in senders]
        assert outcomes[0] is None
        assert {type(outcome) for outcome in outcomes[1:]} == {penstock.ConnectionLost}
        await asyncio.sleep(CLEANUP_S)  # its handler takes no request and is cancelled


async def test_an_item_that_cannot_travel_is_refused_and_the_call_goes_on(pair):
    call = pair.peer.open("Desk/mirror")
    await call.send(1)
    for item in (object(), "\ud800", {1: object()}):
        with pytest.raises(penstock.InvalidArgument):
            await call.send(item)
    await call.send(2)
    call.close_send()
    assert [item async for item in call] == [1, 2]


async def test_backpressure_of_a_call_is_told_at_its_edges(pair, desk):
    call = gated(pair, 2)
    await rest()
    edges = []
    penstock.watch_backpressure(call.sink, edges.append)
    await call.send(1)
    await call.send(2)
    assert edges == []
    waiting = await started(call.send(3))
    assert edges == [True]
    desk.gate.set()
    await waiting
    assert edges == [True, False]
    await call.close_and_receive()
