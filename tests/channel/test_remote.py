"""Channels over a connection: loss, types, and peers that are not ours (PROTOCOL.md 6.10, 6.11)."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock.channel import Channel, open_channel
from penstock.errors import (
    Cancelled,
    ChannelClosed,
    ChannelRejected,
    ConnectionLost,
    DataLoss,
    Internal,
    InvalidArgument,
    Unavailable,
    Unimplemented,
)
from penstock.protocol import Cancel, Grant, Open, ReceiveHalf
from tests.calls.kit import linked
from tests.channel.kit import Told, drained, settle, worlds
from tests.streams.kit import ended, rest, started


class Ack(penstock.Struct):
    number: int


# ── loss ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["client", "server"])
async def test_the_death_of_a_peer_ends_both_directions_at_both_sides_at_once(far, who):
    opener, acceptor = await far.pair()
    stalled = await far.pair()
    sending = await started(stalled[0].send_many(range(100)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    loops = [asyncio.ensure_future(drained(end)) for end in (opener, acceptor)]
    await settle()
    getattr(far, who).abort()
    assert isinstance(await ended(sending), ConnectionLost | Cancelled)
    lost = {}
    for end, done in zip(("client", "server"), loops, strict=True):
        _messages, error = await done
        lost[end] = error
    assert loop.time() - began < 1
    other = "server" if who == "client" else "client"
    assert isinstance(lost[other], ConnectionLost)
    assert isinstance(lost[who], Cancelled), "the side that closed its own connection knows it"
    assert (opener.state, acceptor.state) == ("lost", "lost")
    with pytest.raises(ConnectionLost):
        await (acceptor if other == "server" else opener).send(1)
    far.check_empty()


async def test_a_peer_that_falls_silent_is_lost_and_not_closed():
    async with worlds("sim") as world:
        opener, acceptor = await world.pair()
        world.network.silence("alice", "server")
        _messages, error = await drained(acceptor)
        assert isinstance(error, ConnectionLost)
        with pytest.raises(ConnectionLost):
            await opener.receive()


async def test_what_has_arrived_before_the_loss_is_delivered(far):
    opener, acceptor = await far.pair()
    await opener.send_many(range(5))
    await settle()
    far.client.abort()
    messages, error = await drained(acceptor)
    assert messages == list(range(5))
    assert isinstance(error, ConnectionLost)


async def test_an_opening_is_lost_with_its_connection(far):
    opening = await started(far.open())
    await settle()
    far.server.abort()
    assert isinstance(await ended(opening), ConnectionLost)
    acceptor = far.incoming.get_nowait()
    with pytest.raises(ChannelClosed, match="opener has left"):
        await acceptor.accept()


async def test_no_channel_opens_on_a_connection_that_is_gone(far):
    far.client.abort()
    await settle()
    with pytest.raises(Unavailable):
        await far.open()


async def test_a_close_that_crosses_the_loss_stays_a_close(far):
    opener, _acceptor = await far.pair()
    await opener.close("done")
    far.client.abort()
    await settle()
    assert (opener.state, opener.reason) == ("closed", "done")


# ── types ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_are_decoded_as_their_type(far):
    far.accept_options = {"messages": Ack}
    opener, acceptor = await far.pair(messages=list[int])
    await opener.send({"number": 1})
    assert await acceptor.receive() == Ack(1)
    await acceptor.send((1, 2))
    assert await opener.receive() == [1, 2]


async def test_a_bad_message_fails_the_channel_after_those_before_it_and_says_so_at_both_sides(far):
    far.accept_options = {"messages": Ack}
    opener, acceptor = await far.pair()
    await opener.send_many([{"number": 1}, {"number": "two"}, {"number": 3}])
    messages, error = await drained(acceptor)
    assert messages == [Ack(1)]
    assert isinstance(error, InvalidArgument)
    _messages, error = await drained(opener)
    assert isinstance(error, InvalidArgument)
    assert "item 1" in str(error)
    await settle()
    assert (opener.state, acceptor.state) == ("lost", "lost")
    far.check_empty()


async def test_a_bad_message_of_the_acceptor_is_data_loss_for_the_opener(far):
    opener, acceptor = await far.pair(messages=int)
    await acceptor.send("one")
    with pytest.raises(DataLoss):
        await opener.receive()
    await acceptor.wait_closed()
    with pytest.raises(DataLoss):
        await acceptor.send(1)
    far.check_empty()


async def test_a_bad_message_before_a_close_is_no_normal_end(far):
    far.accept_options = {"messages": int}
    opener, acceptor = await far.pair()
    await opener.send_many([1, "two"])
    await opener.close()
    await acceptor.wait_closed()
    messages, error = await drained(acceptor)
    assert messages == [1]
    assert isinstance(error, InvalidArgument)
    far.check_empty()


# ── other peers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dying", [0, 1], ids=["opener", "acceptor"])
async def test_an_unexpected_error_reaches_the_peer_without_its_text(far, dying):
    ends = await far.pair()
    ends[dying].fail(ValueError("secret"))
    with pytest.raises(Internal) as caught:
        await ends[1 - dying].receive()
    assert "secret" not in str(caught.value)
    assert "ValueError" in str(caught.value)


async def test_a_reason_may_be_long_and_is_cut_to_what_travels(far):
    opener, acceptor = await far.pair()
    await opener.close("é\ud800" * 50_000)
    await acceptor.wait_closed()
    assert acceptor.reason.startswith("é\\ud800")
    opener, acceptor = await far.pair()
    await acceptor.close("x" * 100_000)
    await opener.wait_closed()
    assert opener.reason.startswith("xxx")


async def test_a_caller_that_closes_before_it_was_accepted_has_left(far):
    stream = far.client._connection.open(Open("/consumer!channel", 3, 0, 1, 1000), ReceiveHalf(Grant(1, 1000)))
    far.client.flush_soon()
    await settle()
    far.client._connection.close(stream, "changed my mind")
    far.client.flush_soon()
    await settle()
    acceptor = far.incoming.get_nowait()
    assert acceptor.state == "closed"
    with pytest.raises(ChannelClosed, match="changed my mind"):
        await acceptor.accept()


async def test_a_caller_that_half_closes_before_it_was_accepted_is_accepted_all_the_same(far):
    told = Told()
    half = ReceiveHalf(Grant(1, 1000))
    stream = far.client._connection.open(Open("/consumer!channel", 3, 0, 1, 1000), half)
    stream.endpoint = told
    far.client._connection.end(stream)
    far.client.flush_soon()
    await settle()
    acceptor = far.incoming.get_nowait()
    await acceptor.accept()
    assert await drained(acceptor) == ([], None)
    await acceptor.send(1)
    acceptor.close_send()
    await settle()
    assert [status.code for status in told.seen] == [0]
    assert half.arrived == 1


async def test_a_callee_that_ends_without_accepting_has_rejected(far):
    opening = await started(far.open())
    await settle()
    acceptor = far.incoming.get_nowait()
    far.server._connection.end(acceptor._wire._handle.wire)
    far.server.flush_soon()
    with pytest.raises(ChannelRejected, match="before it was accepted"):
        await opening
    acceptor._life.end("closed", "", ChannelClosed())


async def test_a_peer_that_wants_no_more_messages_may_still_send_some(far):
    opener, acceptor = await far.pair()
    far.server._connection.stop(acceptor._wire._handle.wire, Cancel(message="full"))
    far.server.flush_soon()
    await settle()
    opener.close_send()
    with pytest.raises(ChannelClosed, match="by the other side"):
        await opener.send(1)
    await acceptor.send(1)
    assert await opener.receive() == 1
    await opener.close("done")
    await settle()
    assert acceptor.state == "lost"
    assert acceptor.reason == "done"
    far.check_empty()


class Echo:
    """A service whose handler never ends by itself, and says when it did."""

    def __init__(self):
        self.closed = 0

    async def both(self, words: penstock.Source[str]) -> penstock.Source[str]:
        try:
            async for word in words:
                yield word
            await asyncio.get_running_loop().create_future()
        finally:
            self.closed += 1


async def test_a_handler_whose_caller_closes_the_call_is_stopped():
    echo = Echo()
    async with linked(echo) as pair:
        call = pair.peer.open("Echo/both")
        await call.send("a")
        assert await call.receive() == "a"
        pair.peer._scope.session._connection.close(call._stream.wire, "no more")
        pair.peer._scope.session.flush_soon()
        await rest()
        assert echo.closed == 1
        call.cancel()


async def test_a_channel_to_a_server_without_actors_is_unimplemented():
    async with linked(Echo()) as pair:
        with pytest.raises(Unimplemented):
            await open_channel(pair.peer._scope.session, "/consumer!channel")


async def test_a_draining_peer_takes_no_new_channel_and_old_ones_go_on(far):
    opener, acceptor = await far.pair()
    far.server._connection.drain("restarting")
    far.server.flush_soon()
    await settle()
    with pytest.raises(Unavailable):
        await far.open()
    await opener.send(1)
    assert await acceptor.receive() == 1


async def test_no_channel_leaves_a_cycle_for_the_collector(far):
    gc.collect()
    gc.disable()
    try:
        for closer in (0, 1):
            ends = list(await far.pair())
            await ends[0].send(1)
            await ends[1].receive()
            await ends[closer].close()
            await settle()
            ends.clear()
        assert not [found for found in gc.get_objects() if isinstance(found, Channel)]
    finally:
        gc.enable()
