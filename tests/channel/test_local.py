"""Channels inside one process: nothing is copied."""

from __future__ import annotations

import asyncio

import pytest

from penstock.channel import local_channel
from tests.streams.kit import ended


async def opened(**options):
    opener, acceptor = local_channel("a", "b", **options)
    await acceptor.accept()
    await opener.wait_opened()
    return opener, acceptor


async def test_messages_and_payloads_pass_by_reference():
    given, answered, message = object(), object(), object()
    opener, acceptor = local_channel("a", "b", given)
    await acceptor.accept(answered)
    await opener.wait_opened()
    await opener.send(message)
    assert await acceptor.receive() is message
    assert acceptor.payload is given
    assert opener.accepted is answered


async def test_in_one_process_the_error_itself_arrives():
    opener, acceptor = await opened()
    error = ValueError("all of it")
    opener.fail(error)
    with pytest.raises(ValueError, match="all of it") as caught:
        await acceptor.receive()
    assert caught.value is error


@pytest.mark.parametrize("sizes", [{"buffer_size": 0}, {"accept_buffer_size": 0}])
async def test_a_channel_holds_at_least_one_message(sizes):
    with pytest.raises(ValueError, match="at least one"):
        local_channel("a", "b", **sizes)


async def test_many_senders_are_served_in_turn():
    opener, acceptor = await opened(accept_buffer_size=1)
    sending = [asyncio.ensure_future(opener.send(number)) for number in range(10)]
    assert [await acceptor.receive() for _ in range(10)] == list(range(10))
    for task in sending:
        assert await ended(task) is None
