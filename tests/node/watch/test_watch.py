"""A node as its console sees it: actors as a tree, connections, streams with the side that waits, methods, channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock.errors import ChannelRejected, FailedPrecondition, InvalidArgument, NotFound
from penstock.node._control import Control
from penstock.node.watch import Channels, Watch
from penstock.node.watch._table import FRESH_S
from penstock.node.watch._types import TableWish
from penstock.service import served

CONSOLE, PEERS = "memory://console", "memory://peers"


class Room(penstock.Actor):
    """A room."""

    async def say(self, text: str) -> int:
        return len(text)

    async def lines(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def on_channel_open(self, channel: penstock.Channel) -> None:
        if channel.payload == "no":
            await channel.reject("not you")
        else:
            await channel.accept({"room": self.address})

    async def on_channel_message(self, channel: penstock.Channel, message: object) -> None:
        if message == "object":
            await channel.send(object())
        elif message == "leave":
            await channel.close("the room is closed")
        else:
            await channel.send(["heard", message])


class Prices:
    async def quote(self, symbol: str) -> float:
        """Return a price."""
        await asyncio.sleep(100)
        return 4.2

    async def watch(self, pause_s: float) -> AsyncIterator[float]:
        while True:
            yield 4.2
            await asyncio.sleep(pause_s)


class Seen:
    """A node, a stub of its `Watch` as the console has it, and a peer that is seen."""

    def __init__(self, node, watch, channels, peer) -> None:
        self.node, self.watch, self.channels, self.peer = node, watch, channels, peer

    async def flows(self, **wish) -> list:
        await asyncio.sleep(FRESH_S)
        return (await self.watch.flows(TableWish(**wish))).rows


@asynccontextmanager
async def seen() -> AsyncIterator[Seen]:
    prices = Prices()
    async with penstock.Node(listen=PEERS, services=[prices]) as node:
        own = Watch(node, Control(node), [served(prices).schema])
        async with (
            penstock.serve(own, Channels(node), listen=CONSOLE, expose_errors=True),
            penstock.connect(CONSOLE) as console,
            penstock.connect(PEERS) as peer,
        ):
            yield Seen(node, console.service(Watch), console.service(Channels), peer)
        own.forget()


async def test_actors_stand_below_their_parents_and_a_name_without_one_stands_alone():
    async with seen() as it:
        for name in ("a-b", "a/c", "a", "a/c/d", "rooms/7"):
            await it.node.spawn(Room, name=name)
        rows = (await it.watch.actors()).rows
        assert [(row.info.address, row.depth, row.above, row.below) for row in rows] == [
            ("a", 0, "", 2),
            ("a/c", 1, "a", 1),
            ("a/c/d", 2, "a/c", 0),
            ("a-b", 0, "", 0),
            ("rooms/7", 0, "", 0),
        ]
        folded = await it.watch.actors(TableWish(folded=["a"]))
        assert [row.info.address for row in folded.rows] == ["a", "a-b", "rooms/7"]
        assert [row.info.address for row in (await it.watch.actors(TableWish(text="/C", sort="-address"))).rows] == [
            "a/c/d",
            "a/c",
        ]


async def test_actors_have_the_rate_of_their_messages_since_the_last_look():
    async with seen() as it:
        room = await it.node.spawn(Room, name="room")
        assert (await it.watch.actors()).rows[0].rate == 0
        for _ in range(30):
            await room.say("x")
        await asyncio.sleep(2)
        (row,) = (await it.watch.actors(TableWish(sort="-rate"))).rows
        assert (round(row.rate, 1), row.info.messages) == (15.0, 30)
        overview = await it.watch.overview()
        assert (overview.actors, overview.messages, overview.mailbox) == (1, 30, 0)


async def test_a_connection_within_the_process_is_listed_once_and_that_of_the_console_is_marked():
    async with seen() as it:
        rows = (await it.watch.connections()).rows
        assert sorted((row.view.remote, row.view.role, row.console) for row in rows) == [
            (CONSOLE, "server", True),
            (PEERS, "server", False),
        ]
        again = (await it.watch.connections(TableWish(text="PEERS"))).rows
        assert [row.id for row in again] == [row.id for row in rows if not row.console]
        assert (await it.watch.overview()).connections == 2


async def test_of_each_stream_the_side_that_waits_is_told_and_for_how_long():
    async with seen() as it:
        call = asyncio.create_task(it.peer.call("Prices/quote", "ACME"))
        stalled = it.peer.stream("Prices/watch", 0.0, options=penstock.CallOptions(buffer_size=4))
        rare = it.peer.stream("Prices/watch", 1000.0)
        flowing = it.peer.stream("Prices/watch", 0.1)
        await asyncio.gather(stalled.receive(), rare.receive(), flowing.receive())
        reading = asyncio.create_task(_drain(flowing))
        await it.flows()
        await asyncio.sleep(5)
        rows = {row.key.split("/")[1]: row for row in await it.flows()}
        waits = {row.window or row.kind: (row.waits, row.waited_s >= 5) for row in rows.values() if row.name != "Prices/watch"}
        assert waits == {"unary": ("consumer", True)}
        told = sorted((row.waits, row.buffered <= 4, row.rate > 5) for row in rows.values() if row.name == "Prices/watch")
        assert [(waits, is_fast) for waits, _small, is_fast in told] == [("", True), ("consumer", False), ("producer", False)]
        producer = next(row for row in rows.values() if row.waits == "producer")
        assert (producer.buffered, producer.credit, producer.window, producer.consumer) == (4, 0, 4, "this process")
        assert producer.waited_s >= 5
        assert {row.waits for row in await it.flows(waiting=True)} == {"producer", "consumer"}
        await stalled.receive()
        reading.cancel()
        call.cancel()
        for stream in (stalled, rare, flowing):
            stream.cancel()


async def test_the_streams_of_the_console_are_not_shown_and_those_of_one_connection_can_be_chosen():
    async with seen() as it:
        stream = it.peer.stream("Prices/watch", 1000.0)
        await stream.receive()
        (connection,) = [row.id for row in (await it.watch.connections()).rows if not row.console]
        assert [row.link for row in await it.flows()] == [connection]
        assert len(await it.flows(link=connection)) == 1
        assert await it.flows(link=connection + 100) == []
        assert (await it.watch.overview()).streams == 1
        stream.cancel()


async def test_streams_and_messages_of_actors_are_named_by_their_actor():
    async with seen() as it:
        await it.node.spawn(Room, name="room")
        await it.peer.ask("room", "say", {"text": "x"})
        here, far = it.node.stream("room", "lines", 1000), it.peer.stream("room", "lines", 1000)
        channel = await it.peer.open_channel("room", "yes")
        await asyncio.gather(here.receive(), far.receive())
        named = {(row.kind, row.producer, row.consumer, row.link > 0) for row in await it.flows()}
        assert named >= {
            ("stream", "room/lines", "this process", False),
            ("stream", "room", "this process", True),
            ("lane", "this process", "room", True),
            ("channel", "this process", "room", True),
        }
        (local,) = await it.flows(text="room/lines")
        assert (local.waits, local.buffered, local.credit) == ("producer", 100, 0)
        await channel.close()
        here.cancel()
        far.cancel()


async def test_a_retained_stream_has_its_readers_those_that_are_behind_first():
    async with seen() as it:
        log = penstock.retained("log", max_items=50)
        for number in range(80):
            await log.send(number)
        near, far = log.follow(79), it.peer.follow("log", since=40, options=penstock.CallOptions(buffer_size=5))
        await far.receive()
        await asyncio.sleep(FRESH_S)
        (row,) = (await it.watch.kept()).rows
        assert (row.name, row.state, row.durable, row.oldest, row.next, row.max_items) == ("log", "open", False, 30, 80, 50)
        assert (row.readers, row.lag > 30) == (2, True)
        assert [(reader.by, reader.lag) for reader in row.reading][1] == ("", 1)
        assert row.reading[0].by.startswith("memory://")
        assert (await it.watch.kept(TableWish(text="other"))).matching == 0
        await far.aclose()
        del near


async def test_the_methods_of_services_beside_the_actors_have_the_number_of_their_open_calls():
    async with seen() as it:
        calls = [asyncio.create_task(it.peer.call("Prices/quote", "ACME")) for _ in range(3)]
        await asyncio.sleep(FRESH_S)
        rows = await it.watch.methods()
        assert [(row.target, row.kind, row.calls) for row in rows] == [
            ("Prices/quote", "unary", 3),
            ("Prices/watch", "server_streaming", 0),
        ]
        assert rows[0].doc == "Return a price."
        for call in calls:
            call.cancel()


async def test_a_wish_with_an_unknown_column_and_a_check_without_a_history_are_refused():
    async with seen() as it:
        with pytest.raises(InvalidArgument, match="no column"):
            await it.watch.actors(TableWish(sort="nothing"))
        with pytest.raises(FailedPrecondition, match="records no history"):
            await it.watch.verify()


# ── channels ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_opens_a_channel_sends_receives_and_closes_it():
    async with seen() as it:
        await it.node.spawn(Room, name="room")
        events = it.channels.open("room", "yes")
        opened = await anext(events)
        assert (opened.kind, opened.value) == ("opened", {"room": "room"})
        await it.channels.send(opened.id, {"a": 1})
        assert (await anext(events)).value == ["heard", {"a": 1}]
        await it.channels.send(opened.id, "object")
        assert "object object" in (await anext(events)).value
        await it.channels.close(opened.id, "enough")
        assert [(event.kind, event.reason) async for event in events] == [("closed", "enough")]
        with pytest.raises(NotFound, match="not open any more"):
            await it.channels.send(opened.id, "late")


async def test_a_channel_ends_with_the_page_that_opened_it_and_a_page_learns_why_its_channel_was_refused_or_closed():
    async with seen() as it:
        await it.node.spawn(Room, name="room")
        with pytest.raises(ChannelRejected, match="not you"):
            await anext(it.channels.open("room", "no"))
        with pytest.raises(NotFound, match="no actor 'rooom'"):
            await anext(it.channels.open("rooom"))
        events = it.channels.open("room")
        opened = await anext(events)
        await it.channels.send(opened.id, "leave")
        assert (await anext(events)).reason == "the room is closed"
        left = it.channels.open("room")
        await anext(left)
        assert it.node.info("room").channels == 1
        await left.aclose()
        while it.node.info("room").channels:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)


async def _drain(source) -> None:
    async for _ in source:
        pass
