"""The promises of a channel, the same in one process, over memory and over a network."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from penstock.channel import Channel
from penstock.errors import (
    Aborted,
    ActorStopped,
    ChannelClosed,
    EndOfStream,
)
from tests.channel.kit import drained, settle
from tests.streams.kit import ended, started, stopped

# ── endings ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("closer", [0, 1], ids=["opener", "acceptor"])
async def test_a_close_is_told_with_its_reason_after_what_was_sent(world, closer):
    ends = await world.pair()
    here, there = ends[closer], ends[1 - closer]
    await here.send_many(range(5))
    await here.close("job done")
    assert await drained(there) == (list(range(5)), None)
    assert (there.state, there.reason) == (here.state, here.reason) == ("closed", "job done")
    with pytest.raises(EndOfStream):
        await there.receive()
    for end, who in ((here, "this side"), (there, "the other side")):
        with pytest.raises(ChannelClosed, match=f"{who} has closed the channel: job done"):
            await end.send(1)
        with pytest.raises(ChannelClosed, match="job done"):
            end.send_nowait(1)
    with pytest.raises(ChannelClosed):
        await here.receive()
    await settle()
    world.check_empty()


@pytest.mark.parametrize("reason", [None, 5, [], b"x"])
async def test_a_reason_that_is_not_a_string_is_refused_before_the_channel_has_ended_at_one_side_only(world, reason):
    """FAULTS G3."""
    here, there = await world.pair()
    with pytest.raises(TypeError, match="it is a string"):
        await here.close(reason)
    await here.send("still open")
    assert await there.receive() == "still open"


@pytest.mark.parametrize("closer", [0, 1], ids=["opener", "acceptor"])
async def test_a_close_wakes_every_waiter_at_either_side(world, closer):
    ends = await world.pair(buffer_size=1)
    waiting = [await started(end.send_many(range(100))) for end in ends]
    receiving = asyncio.ensure_future(ends[closer].receive())
    await receiving
    waiting.append(asyncio.ensure_future(ends[1 - closer].wait_closed()))
    await settle()
    await ends[closer].close("enough")
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    assert [type(result) for result in results] == [ChannelClosed, ChannelClosed, type(None)]


@pytest.mark.parametrize("closer", [0, 1], ids=["opener", "acceptor"])
async def test_after_a_half_close_the_other_direction_goes_on(world, closer):
    ends = await world.pair()
    here, there = ends[closer], ends[1 - closer]
    await here.send("last")
    here.close_send()
    here.close_send()
    assert await drained(there) == (["last"], None)
    assert (here.state, there.state) == ("half-closed", "half-closed")
    with pytest.raises(ChannelClosed, match="close_send"):
        await here.send(1)
    await there.send_many(range(3))
    there.close_send()
    assert await drained(here) == ([0, 1, 2], None)
    await asyncio.gather(here.wait_closed(), there.wait_closed())
    assert (here.state, there.state, here.reason) == ("closed", "closed", "")
    await settle()
    world.check_empty()


@pytest.mark.parametrize("kept", [True, False])
async def test_messages_that_are_never_received_are_dropped_with_the_channel(world, kept):
    opener, acceptor = await world.pair()
    await opener.send_many(range(5))
    await opener.close("bye")
    await acceptor.wait_closed()
    assert acceptor.statistics().buffered == 5
    if kept:
        await acceptor.close()
        with pytest.raises(ChannelClosed, match="bye"):
            await acceptor.receive()
    else:
        del acceptor
        gc.collect()
    await settle()
    world.check_empty()


@pytest.mark.parametrize("closer", [0, 1], ids=["opener", "acceptor"])
async def test_a_half_closed_channel_can_be_closed_by_either_side(world, closer):
    for second in (closer, 1 - closer):
        ends = await world.pair()
        await ends[closer].send(1)
        ends[closer].close_send()
        await settle()
        await ends[second].close("enough")
        await settle()
        assert [end.state for end in ends] == ["closed", "closed"]
        assert [end.reason for end in ends] == ["enough", "enough"]
        await asyncio.gather(*(end.close() for end in ends))
    world.check_empty()


async def test_both_sides_may_close_at_the_same_time(world):
    opener, acceptor = await world.pair()
    await asyncio.gather(opener.close("a"), acceptor.close("b"))
    await settle()
    assert (opener.state, acceptor.state) == ("closed", "closed")
    world.check_empty()


@pytest.mark.parametrize("dying", [0, 1], ids=["opener", "acceptor"])
async def test_an_owner_that_dies_passes_its_error_in_both_ways(world, dying):
    ends = await world.pair(buffer_size=1)
    here, there = ends[dying], ends[1 - dying]
    sending = await started(there.send_many(range(100)))
    receiving = asyncio.ensure_future(drained(there))
    await settle()
    here.fail(ActorStopped("producer was stopped"))
    assert isinstance(await ended(sending), ActorStopped)
    _messages, error = await receiving
    assert isinstance(error, ActorStopped)
    assert str(error) == "producer was stopped"
    assert (there.state, there.reason) == ("lost", "producer was stopped")
    assert here.state == "lost"
    for attempt in (here.send(1), here.receive()):
        with pytest.raises(ChannelClosed, match="producer was stopped"):
            await attempt
    await settle()
    world.check_empty()


@pytest.mark.parametrize("forgetful", [0, 1], ids=["opener", "acceptor"])
async def test_a_channel_that_is_forgotten_fails_at_the_other_side(world, forgetful):
    ends = list(await world.pair())
    other = ends[1 - forgetful]
    receiving = asyncio.ensure_future(other.receive())
    await settle()
    ends.clear()
    gc.collect()
    assert isinstance(await ended(receiving), Aborted)
    assert other.state == "lost"
    await settle()
    world.check_empty()


async def test_a_channel_that_another_thread_forgets_fails_on_its_own_loop(world):
    ends = list(await world.pair())
    other = ends.pop()
    receiving = asyncio.ensure_future(other.receive())
    await settle()
    thread = threading.Thread(target=ends.clear)
    thread.start()
    thread.join()
    assert other.state == "open"
    assert isinstance(await ended(receiving), Aborted)
    assert other.state == "lost"
    await settle()
    world.check_empty()


async def test_a_loop_over_a_channel_keeps_it_alive(world):
    opening = asyncio.ensure_future(world.open())
    acceptor = await world.incoming.get()
    await acceptor.accept()

    async def loop(opening):
        return [message async for message in await opening]

    looping = asyncio.ensure_future(loop(opening))
    await settle()
    del opening
    gc.collect()
    await acceptor.send(1)
    await acceptor.close()
    assert await looping == [1]


async def test_leaving_the_block_closes_and_an_exception_is_the_reason(world):
    opener, acceptor = await world.pair()
    async with opener:
        pass
    await acceptor.wait_closed()
    assert (acceptor.state, acceptor.reason) == ("closed", "")
    opener, acceptor = await world.pair()
    with pytest.raises(KeyError):
        async with acceptor:
            raise KeyError("secret")
    await opener.wait_closed()
    assert (opener.state, opener.reason) == ("closed", "KeyError")


async def test_the_first_ending_counts(world):
    opener, acceptor = await world.pair()
    await opener.close("first")
    await opener.close("second")
    opener.fail(ActorStopped("third"))
    opener.close_send()
    await acceptor.wait_closed()
    assert opener.reason == acceptor.reason == "first"


# ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_observer_is_told_everything_in_order(world):
    seen = {"opener": [], "acceptor": []}
    opening = asyncio.ensure_future(world.open("please", observer=lambda kind, data: seen["opener"].append((kind, data))))
    acceptor = await world.incoming.get()
    acceptor.observe(lambda kind, data: seen["acceptor"].append((kind, data)))
    await acceptor.accept("welcome")
    opener = await opening
    await opener.send(1)
    opener.send_nowait(2)
    assert await acceptor.receive() == 1
    await acceptor.send_many([3, 4])
    assert [batch async for batch in acceptor.batches(1) if await _closed(opener, batch)] == [[2]]
    own = opener.id
    first = [
        ("channel_opened", {"channel": own, "initiator": "producer", "payload": "please"}),
        ("channel_accepted", {"channel": own, "payload": "welcome"}),
    ]
    last = ("channel_closed", {"channel": own, "outcome": "closed", "reason": "bye"})
    assert seen["opener"] == [*first, *_messages(own, ("out", 1), ("out", 2)), last]
    assert seen["acceptor"][:2] == first
    assert sorted(map(str, seen["acceptor"][2:])) == sorted(
        map(str, [*_messages(own, ("in", 1), ("out", 3), ("out", 4), ("in", 2)), last])
    )


async def _closed(channel, batch):
    await channel.close("bye")
    return batch


def _messages(own, *messages):
    return [("channel_message", {"channel": own, "direction": way, "message": message}) for way, message in messages]


async def test_an_observer_that_comes_later_is_told_of_the_opening_too(world):
    opener, _acceptor = await world.pair("please", "welcome")
    seen = []
    opener.observe(lambda kind, data: seen.append((kind, data.get("payload"))))
    assert seen == [("channel_opened", "please"), ("channel_accepted", "welcome")]


async def test_an_observer_is_told_of_a_rejection(world):
    seen = []
    opening = asyncio.ensure_future(world.open(observer=lambda kind, data: seen.append((kind, data.get("reason")))))
    await (await world.incoming.get()).reject("busy")
    await ended(opening)
    assert seen == [("channel_opened", None), ("channel_rejected", "busy")]


async def test_a_channel_says_in_one_line_how_it_stands(world):
    opener, acceptor = await world.pair()
    await opener.send(1)
    await acceptor.receive()
    assert repr(opener) == f"<Channel {opener.id} producer to consumer open, 1 sent, 0 received>"
    await opener.close("done")
    await acceptor.wait_closed()
    assert repr(acceptor) == f"<Channel {opener.id} producer to consumer closed (done), 0 sent, 1 received>"


async def test_a_thousand_channels_leave_nothing_behind(world):
    async def serve():
        while True:
            async with await world.incoming.get() as acceptor:
                await acceptor.accept()
                async for message in acceptor:
                    await acceptor.send(message)

    serving = [asyncio.ensure_future(serve()) for _ in range(10)]

    async def use(number):
        async with await world.open() as opener:
            await opener.send(number)
            assert await opener.receive() == number

    for hundred in range(10):
        await asyncio.gather(*(use(100 * hundred + number) for number in range(100)))
    await settle()
    while serving:
        await stopped(serving.pop())
    await settle()
    world.check_empty()
    gc.collect()
    assert not [found for found in gc.get_objects() if isinstance(found, Channel)]
