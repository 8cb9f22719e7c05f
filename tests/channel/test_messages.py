"""Sending and receiving on a channel, the same in one process, over memory and over a network."""

from __future__ import annotations

import pytest

from penstock.errors import (
    Busy,
    WouldBlock,
)
from tests.channel.kit import drained, settle
from tests.streams.kit import started, stopped


async def test_messages_go_both_ways_in_order(world):
    opener, acceptor = await world.pair()
    for number in range(100):
        await opener.send(number)
        assert await acceptor.receive() == number
        await acceptor.send({"ack": number})
        assert await opener.receive() == {"ack": number}


@pytest.mark.parametrize("size", [1, 3, 16])
async def test_each_direction_is_bounded_by_the_buffer_of_its_receiver(world, size):
    world.accept_options = {"buffer_size": size}
    opener, acceptor = await world.pair(buffer_size=size + 2)
    for sender, receiver, bound in ((opener, acceptor, size), (acceptor, opener, size + 2)):
        sending = await started(sender.send_many(range(100)))
        await settle()
        assert sender.statistics().sent == bound
        assert sender.statistics().waiting_senders == 1
        with pytest.raises(WouldBlock):
            sender.send_nowait("more")
        assert [await receiver.receive() for _ in range(100)] == list(range(100))
        await sending
        assert receiver.statistics().received == 100


async def test_a_stalled_direction_does_not_stop_the_other(world):
    opener, acceptor = await world.pair(buffer_size=1)
    stalled = await started(acceptor.send_many(range(100)))
    await opener.send_many(range(10))
    assert [await acceptor.receive() for _ in range(10)] == list(range(10))
    assert not stalled.done()
    await stopped(stalled)


async def test_batches_are_what_is_there(world):
    opener, acceptor = await world.pair()
    await opener.send_many(range(10))
    opener.close_send()
    await settle()
    batches = [batch async for batch in acceptor.batches(4)]
    assert [number for batch in batches for number in batch] == list(range(10))
    assert max(map(len, batches)) == 4


async def test_leaving_a_loop_keeps_the_channel_open_and_a_second_loop_goes_on(world):
    opener, acceptor = await world.pair()
    await opener.send_many(range(4))
    async for message in acceptor:
        if message == 1:
            break
    await settle()
    assert (opener.state, acceptor.state) == ("open", "open")
    await acceptor.send("still here")
    assert await opener.receive() == "still here"
    opener.close_send()
    assert await drained(acceptor) == ([2, 3], None)


async def test_two_tasks_cannot_receive_at_the_same_time(world):
    _opener, acceptor = await world.pair()
    waiting = await started(acceptor.receive())
    with pytest.raises(Busy):
        await acceptor.receive()
    await stopped(waiting)


async def test_a_cancelled_receive_loses_nothing_and_a_cancelled_send_delivers_nothing(world):
    opener, acceptor = await world.pair(buffer_size=1)
    await stopped(await started(opener.receive()))
    await acceptor.send("first")
    await stopped(await started(acceptor.send("never")))
    acceptor.close_send()
    assert await drained(opener) == (["first"], None)
