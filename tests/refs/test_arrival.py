"""What was sent through a ref arrives when its sender leaves politely, or the sender is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import penstock
from penstock.errors import ConnectionLost, StatusError, StreamCancelled, StreamClosed
from penstock.refs import SinkRef, SourceRef
from tests.refs.test_apart import elsewhere

COUNT = 1000


class Hall:
    """Hands out the entrance of a stream, and reads it slowly: a turn of its loop for each item."""

    def __init__(self, *, reads: int | None = None) -> None:
        self.reads = reads
        self.got: list[int] = []
        self.ended: Any = None
        self.begun, self.over = threading.Event(), threading.Event()
        self.held: list[Any] = []

    async def entrance(self) -> SinkRef[int]:
        sink, source = penstock.pipe(4)
        self.held.append(asyncio.ensure_future(self.read(source)))
        return SinkRef(sink)

    async def take(self, ref: SourceRef[int]) -> None:
        self.held.append(asyncio.ensure_future(self.read(ref)))

    async def read(self, source: Any) -> None:
        try:
            async for item in source:
                self.got.append(item)
                self.begun.set()
                await asyncio.sleep(0)
                if len(self.got) == self.reads:
                    await source.aclose()
                    break
            self.ended = "end"
        except StatusError as error:
            self.ended = error
        self.over.set()


def with_a_hall(hall: Hall, program: Callable[[str], Any]) -> Any:
    async def bounded(url: str) -> Any:
        async with asyncio.timeout(30):
            return await program(url)

    async def serving(ready: Callable[[str], None]) -> None:
        async with penstock.ActorSystem() as system:
            await system.spawn(Slow, hall, name="slow")
            async with penstock.serve(hall, system, listen="tcp://127.0.0.1:0") as server:
                ready(server.urls[0])
                await asyncio.Event().wait()

    with elsewhere(serving) as url:
        outcome = asyncio.run(bounded(url))
        assert hall.over.wait(20)
    return outcome


@pytest.mark.parametrize("how", ["complete", "close", "aclose", "block"])
def test_all_that_was_sent_arrives_when_the_sender_leaves(how):
    """FAULTS A4"""

    async def program(url: str) -> None:
        async with penstock.connect(url) as peer:
            sink = await peer.service(Hall).entrance()
            if how == "block":
                async with sink:
                    await sink.send_many(range(COUNT))
                return
            for number in range(COUNT):
                await sink.put(number)
            if how == "aclose":
                await sink.aclose()
            else:
                getattr(sink, how)()

    hall = Hall()
    with_a_hall(hall, program)
    assert hall.got == list(range(COUNT))
    assert hall.ended == "end"


def test_aclose_returns_when_everything_has_arrived():
    """FAULTS A4"""

    async def program(url: str) -> int:
        async with penstock.connect(url) as peer:
            sink = await peer.service(Hall).entrance()
            await sink.send_many(range(COUNT))
            await sink.aclose()
            await sink.aclose()
            with pytest.raises(StreamClosed):
                await sink.put(1)
            return len(hall.got)

    hall = Hall()
    here = with_a_hall(hall, program)
    assert here >= COUNT - 6  # the others are in the pipe of the reader
    assert hall.got == list(range(COUNT))


def test_a_sink_that_was_not_completed_fails_after_its_items_when_the_sender_leaves():
    """FAULTS A4"""

    async def program(url: str) -> SinkRef[int]:
        async with penstock.connect(url) as peer:
            sink = await peer.service(Hall).entrance()
            await sink.send_many(range(COUNT))
            return sink

    hall = Hall()
    with_a_hall(hall, program)
    assert hall.got == list(range(COUNT))
    assert "closed its connection" in str(hall.ended)
    assert not isinstance(hall.ended, ConnectionLost)


def test_the_sender_is_told_that_the_reader_has_left():
    """FAULTS A4"""

    async def program(url: str) -> None:
        async with penstock.connect(url) as peer:
            sink = await peer.service(Hall).entrance()
            await sink.put(1)
            assert await asyncio.to_thread(hall.over.wait, 20)
            with pytest.raises(StreamCancelled):
                await sink.aclose()

    hall = Hall(reads=1)
    with_a_hall(hall, program)


def test_the_sender_is_told_that_the_connection_was_lost():
    """FAULTS A4"""

    async def program(url: str) -> None:
        async with penstock.connect(url, reconnect=None) as peer:
            sink = await peer.service(Hall).entrance()
            await sink.put(1)
            peer._scope.session.abort()
            with pytest.raises((ConnectionLost, penstock.Cancelled)):
                await sink.aclose()

    with_a_hall(Hall(), program)


@pytest.mark.parametrize("buffered", [3, COUNT])
def test_what_was_sent_into_a_source_that_was_given_away_arrives_when_its_process_leaves(buffered):
    """FAULTS A4: the sender has a pipe here, and its reader is elsewhere."""

    async def program(url: str) -> None:
        async with penstock.connect(url) as peer:
            sink, source = penstock.pipe(buffered)
            await peer.service(Hall).take(SourceRef(source))
            await sink.send(0)
            assert await asyncio.to_thread(hall.begun.wait, 20)
            await sink.send_many(range(1, COUNT))
            sink.close()

    hall = Hall()
    with_a_hall(hall, program)
    assert hall.got == list(range(COUNT))
    assert hall.ended == "end"


class Slow(penstock.Actor):
    """Reads a channel slowly, and takes messages slowly."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall

    async def on_channel(self, channel: penstock.Channel[int]) -> None:
        await channel.accept()
        await self.hall.read(channel)

    async def note(self, number: int) -> None:
        await asyncio.sleep(0)
        self.hall.got.append(number)
        if number == COUNT - 1:
            self.hall.ended = "end"
            self.hall.over.set()


@pytest.mark.parametrize("how", ["close", "block", "close_send", "tell"])
def test_messages_that_were_sent_arrive_when_the_sender_leaves(how):
    """FAULTS A4"""

    async def program(url: str) -> None:
        async with penstock.connect(url) as peer:
            if how == "tell":
                for number in range(COUNT):
                    await peer.tell("slow", "note", number)
                return
            channel = await peer.open_channel("slow")
            if how == "block":
                async with channel:
                    await channel.send_many(range(COUNT))
                return
            await channel.send_many(range(COUNT))
            if how == "close":
                await channel.close()
            else:
                channel.close_send()

    hall = Hall()
    with_a_hall(hall, program)
    assert hall.got == list(range(COUNT))
    assert hall.ended == "end"
