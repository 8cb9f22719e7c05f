"""How a channel opens, is accepted or rejected, the same in one process, over memory and over a network."""

from __future__ import annotations

import asyncio
import gc

import pytest

from penstock.codec import MSGPACK
from penstock.errors import (
    ActorStopped,
    ChannelClosed,
    ChannelRejected,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unimplemented,
)
from penstock.protocol import Grant, Open, ReceiveHalf
from tests.channel.kit import Told, drained, settle
from tests.streams.kit import ended, stopped


async def test_an_opener_waits_until_the_acceptor_has_accepted(world):
    opening = asyncio.ensure_future(world.open({"initial": 1}))
    acceptor = await world.incoming.get()
    await settle()
    assert not opening.done()
    assert acceptor.state == "opening"
    await acceptor.accept({"hello": "you"})
    opener = await opening
    assert (opener.state, acceptor.state) == ("open", "open")


async def test_each_side_learns_who_the_other_is_and_what_it_gave(world):
    opener, acceptor = await world.pair({"initial": 1}, {"hello": "you"})
    for end in (opener, acceptor):
        assert (end.initiator, end.target) == ("producer", "consumer")
        assert (end.payload, end.accepted) == ({"initial": 1}, {"hello": "you"})
    assert opener.id == acceptor.id


@pytest.mark.parametrize("nothing", [None, [], {}, 0, ""])
async def test_any_value_opens_and_accepts_nothing_included(world, nothing):
    opener, acceptor = await world.pair(nothing, nothing)
    assert (acceptor.payload, opener.accepted) == (nothing, nothing)


async def test_a_rejected_opener_gets_the_reason(world):
    opening = asyncio.ensure_future(world.open())
    acceptor = await world.incoming.get()
    await acceptor.reject("busy until noon")
    with pytest.raises(ChannelRejected, match=r"^busy until noon$"):
        await opening
    assert (acceptor.state, acceptor.reason) == ("rejected", "busy until noon")
    await settle()
    world.check_empty()


async def test_closing_before_accepting_rejects(world):
    opening = asyncio.ensure_future(world.open())
    async with await world.incoming.get() as acceptor:
        pass
    with pytest.raises(ChannelRejected, match="before it was accepted"):
        await opening
    assert acceptor.state == "rejected"


async def test_an_acceptor_that_forgets_to_answer_rejects(world):
    opening = asyncio.ensure_future(world.open())
    await settle()
    assert world.incoming.get_nowait().state == "opening"  # and nobody keeps it
    gc.collect()
    with pytest.raises(ChannelRejected, match="neither accepted nor rejected"):
        await opening


async def test_an_acceptor_that_fails_before_accepting_tells_the_opener_why(world):
    opening = asyncio.ensure_future(world.open())
    (await world.incoming.get()).fail(ActorStopped("consumer has stopped"))
    with pytest.raises(ActorStopped, match="consumer has stopped"):
        await opening


async def test_an_opener_has_its_patience_and_the_acceptor_finds_the_channel_closed(world):
    began = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded, match=r"within 2 s"):
        await world.open(timeout=2)
    assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.1)
    acceptor = await world.incoming.get()
    await settle()
    for answer in (acceptor.accept(), acceptor.reject("late")):
        with pytest.raises(ChannelClosed, match="within 2 s"):
            await answer
    world.check_empty()


async def test_an_opening_that_is_cancelled_is_withdrawn(world):
    opening = asyncio.ensure_future(world.open())
    acceptor = await world.incoming.get()
    assert isinstance(await stopped(opening), asyncio.CancelledError)
    await settle()
    assert acceptor.state == "closed"
    with pytest.raises(ChannelClosed, match="producer gave the channel up"):
        await acceptor.accept()
    world.check_empty()


async def test_an_opening_that_is_cancelled_as_it_is_accepted_fails_at_the_acceptor(world):
    opening = asyncio.ensure_future(world.open())
    acceptor = await world.incoming.get()
    await acceptor.accept()
    opening.cancel()
    await ended(opening)
    await settle()
    assert acceptor.state == "lost"
    world.check_empty()


async def test_accepting_is_for_the_acceptor_and_happens_once(world):
    opener, acceptor = await world.pair()
    for answer in (opener.accept(), opener.reject(), acceptor.accept(), acceptor.reject()):
        with pytest.raises(FailedPrecondition):
            await answer


async def test_nothing_can_be_sent_or_received_before_it_is_accepted(world):
    opening = asyncio.ensure_future(world.open())
    acceptor = await world.incoming.get()
    for attempt in (acceptor.send(1), acceptor.receive(), acceptor.send_many([1])):
        with pytest.raises(FailedPrecondition, match="accept"):
            await attempt
    with pytest.raises(FailedPrecondition):
        acceptor.close_send()
    assert isinstance((await drained(acceptor))[1], FailedPrecondition)
    await acceptor.accept()
    await opening


async def test_a_channel_that_was_closed_as_soon_as_it_was_accepted_still_opens(world):
    opening = asyncio.ensure_future(world.open())
    acceptor = await world.incoming.get()
    await acceptor.accept("hello")
    await acceptor.send(1)
    await acceptor.close("that is all")
    opener = await opening
    assert await drained(opener) == ([1], None)
    assert (opener.accepted, opener.reason) == ("hello", "that is all")


async def test_what_cannot_travel_is_refused_where_it_is_given_and_the_channel_lives(far):
    with pytest.raises(InvalidArgument, match="cannot travel"):
        await far.open(object())
    opening = asyncio.ensure_future(far.open())
    acceptor = await far.incoming.get()
    with pytest.raises(InvalidArgument):
        await acceptor.accept(object())
    with pytest.raises(ResourceExhausted, match="accept"):
        await acceptor.accept("x" * 100_000)
    assert acceptor.state == "opening"
    await acceptor.accept("small")
    opener = await opening
    with pytest.raises(InvalidArgument):
        await opener.send(object())
    with pytest.raises(TypeError):
        await acceptor.send(object())
    await opener.send("fine")
    assert await acceptor.receive() == "fine"


@pytest.mark.parametrize(
    ("argument", "kind", "codec", "error"),
    [
        (MSGPACK.encode([1, 2]), 3, 0, InvalidArgument),
        (b"\xc1", 3, 0, InvalidArgument),
        (MSGPACK.encode({"payload": 1}), 3, 0, InvalidArgument),
        (None, 2, 0, Unimplemented),
        (b"[1]", 3, 1, Unimplemented),
    ],
)
async def test_a_call_that_is_no_channel_is_refused(far, argument, kind, codec, error):
    told = Told()
    half = ReceiveHalf(Grant(1, 1000))
    stream = far.client._connection.open(Open("/consumer!channel", kind, codec, 1, 1000, argument), half)
    stream.endpoint = told
    far.client.flush_soon()
    await settle()
    assert [(status.code, status.started) for status in told.seen] == [(error.code, False)]
    far.check_empty()


@pytest.mark.parametrize("size", [0, -1])
async def test_a_channel_holds_at_least_one_message(far, size):
    with pytest.raises(ValueError, match="at least one"):
        await far.open(buffer_size=size)
