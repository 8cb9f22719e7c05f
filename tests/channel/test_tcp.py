"""Channels over real sockets, between two processes, and when one of them is killed."""

from __future__ import annotations

import asyncio
import sys

import pytest

from penstock.channel import open_channel
from penstock.errors import ConnectionLost
from penstock.protocol import Settings
from penstock.session import Session
from penstock.transports import dial
from tests.channel.kit import drained, worlds
from tests.house._source import ROOT

#: What only a bug takes.
PATIENCE_S = 20.0
#: How long the loss of a process may take to be seen.
LOST_S = 1.0


async def test_both_directions_are_full_duplex_and_complete():
    async with worlds("tcp") as world, asyncio.timeout(PATIENCE_S):
        opener, acceptor = await world.pair({"initial": 1}, {"hello": "you"})
        assert (acceptor.initiator, opener.accepted) == ("producer", {"hello": "you"})

        async def send(channel):
            await channel.send_many(range(5_000))
            channel.close_send()

        ends = await asyncio.gather(send(opener), send(acceptor), drained(opener), drained(acceptor))
        assert ends[2] == ends[3] == (list(range(5_000)), None)
        await asyncio.gather(opener.wait_closed(), acceptor.wait_closed())


async def test_large_messages_before_a_close_arrive():
    async with worlds("tcp") as world, asyncio.timeout(PATIENCE_S):
        opener, acceptor = await world.pair()
        await opener.send_many([bytes(1_000_000), bytes(10)])
        await opener.close("sent")
        messages, error = await drained(acceptor)
        assert ([len(message) for message in messages], error) == ([1_000_000, 10], None)
        assert acceptor.reason == "sent"


@pytest.mark.processes
async def test_killing_the_acceptor_is_connection_lost_in_both_ways_at_once():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.channel.far", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            url = (await process.stdout.readline()).decode().strip()
            session = Session("client", Settings(), lambda _stream: None)
            await dial(url, session)
            await session.ready
            channel = await open_channel(session, "/echo!channel", "hi", initiator="a test")
            assert channel.accepted == "hi, a test"
            await channel.send(1)
            assert await channel.receive() == 1
            sending = asyncio.ensure_future(channel.send_many(range(1_000_000)))
            receiving = asyncio.ensure_future(channel.receive())
            await receiving
        process.kill()
        async with asyncio.timeout(LOST_S):
            _messages, error = await drained(channel)
            assert isinstance(error, ConnectionLost)
            with pytest.raises(ConnectionLost):
                await sending
        assert channel.state == "lost"
        await session.closed
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()
