"""A verb means the same in the process of the actor, from another one, and through a bridge."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import penstock
from penstock import Actor, DataLoss, Dropped, InvalidArgument, Mailbox, MailboxFull, NotFound, Unimplemented
from penstock.actors import Router
from penstock.refs import offers
from penstock.testing import run
from tests.laws.ways import WAYS, Item, Place, Special, place, settle

everywhere = pytest.mark.parametrize("way", WAYS)


def played(way: str, program: Callable[[Place], Awaitable[Any]], *actors: type[Actor]) -> Any:
    """Run a program, on the virtual clock, with an actor of each class; return its result."""

    async def play() -> Any:
        async with place(way) as there:
            for actor in actors:
                await there.system.spawn(actor, name=actor.__name__.lower())
            try:
                return await program(there)
            finally:
                there.system._host.end_grace()

    return run(play())


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# ── a message that is not taken ───────────────────────────────────────────────────────────────────────────────────────


class Full(Actor):
    """Takes one message at a time, and keeps one."""

    mailbox = Mailbox(1, "reject")

    async def wait(self, number: int) -> int:
        await asyncio.sleep(100)
        return number


@everywhere
def test_a_tell_that_is_not_taken_is_a_dead_letter_wherever_it_comes_from(way):
    """FAULTS D1: its sender hears of it in the same process alone; it is counted and kept in both."""

    async def program(there: Place) -> tuple[list[str], list[str]]:
        heard = []
        for message in [("wait", 1), ("wait", 2), ("wait", 3), ("nothing", 4), ("wait", "x"), ("wait", 5)]:
            try:
                await there.router.tell(f"{there.prefix}full", *message)
            except penstock.StatusError as error:
                heard.append(type(error).__name__)
            await settle()
        assert there.system.dead_letters.count == 4
        return heard, [letter.type for letter in there.system.dead_letters]

    heard, letters = played(way, program, Full)
    assert letters == ["wait", "nothing", "wait", "wait"]
    assert heard == (["MailboxFull", "Unimplemented", "InvalidArgument", "MailboxFull"] if way == "here" else [])


@everywhere
def test_an_ask_that_is_rejected_is_answered_and_counted(way):
    """FAULTS D1"""

    async def program(there: Place) -> int:
        stub = there.stub(Full, "full")
        for number in range(2):
            await penstock.tell(stub).wait(number)
            await settle()  # the first is being handled when the second comes
        with pytest.raises(MailboxFull):
            await stub.wait(3)
        with pytest.raises(MailboxFull):
            await there.ref("full").ask("wait", 3)
        return there.system.dead_letters.count

    assert played(way, program, Full) == 2


@everywhere
def test_a_tell_that_waits_for_room_when_the_actor_stops_is_one_dead_letter(way):
    """FAULTS D1: and not two."""

    class Waits(Full):
        mailbox = Mailbox(1)

    async def program(there: Place) -> int:
        tells = [asyncio.ensure_future(there.router.tell(f"{there.prefix}waits", "wait", number)) for number in range(3)]
        await settle()
        there.system._host.end_grace()
        await there.system.stop("waits")
        await asyncio.gather(*tells, return_exceptions=True)
        await settle()
        return there.system.dead_letters.count

    assert played(way, program, Waits) == 2


@everywhere
def test_a_tell_to_an_actor_that_is_not_there_says_so(way):
    """FAULTS D1: there is no actor whose dead letter it could be."""

    async def program(there: Place) -> None:
        with pytest.raises(NotFound):
            await there.router.tell(f"{there.prefix}nobody", "wait", 1)

    played(way, program)


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Publisher(Actor):
    """Has a port that drops."""

    def __init__(self) -> None:
        self.news = self.port("news", overflow="drop_oldest", buffer_size=2)

    async def publish(self, count: int) -> None:
        for number in range(count):
            await self.news.send(number)

    async def slowly(self) -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            await asyncio.sleep(3600)


@everywhere
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"overflow": "wait"}, InvalidArgument),
        ({"overflow": "sometimes"}, ValueError),
        ({"buffer_size": 0}, ValueError),
        ({"buffer_size": -1}, ValueError),
        ({"buffer_size": 100_000}, ValueError),
        ({"buffer_size": True}, ValueError),
        ({"buffer_size": "2"}, ValueError),
        ({"buffer_size": 2.0}, ValueError),
    ],
)
def test_the_options_of_a_subscription_have_the_same_limits(way, options, error):
    """FAULTS D6: a publisher that drops is never made to wait, and no subscriber makes it keep more than the limit."""

    async def program(there: Place) -> None:
        with pytest.raises(error):
            await there.router.subscribe(f"{there.prefix}publisher", "news", **options).receive()
        assert await there.router.ask(f"{there.prefix}publisher", "ping")

    played(way, program, Publisher)


@everywhere
def test_a_subscriber_knows_how_many_items_it_has_missed(way):
    """FAULTS D6: `statistics().dropped`."""

    async def program(there: Place) -> None:
        async with there.router.subscribe(f"{there.prefix}publisher", "news") as source:
            first = asyncio.ensure_future(source.receive())
            await settle()
            await there.system.ask("publisher", "publish", 50)
            items = [await first]
            while items[-1] != 49:
                items.append(await source.receive())
            missed = sum(item.count for item in items if isinstance(item, Dropped))
            assert source.statistics().dropped == missed == 50 - sum(isinstance(item, int) for item in items) > 0

    played(way, program, Publisher)


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@everywhere
@pytest.mark.parametrize(
    ("address", "name", "payload", "error"),
    [
        ("publisher", "nothing", None, Unimplemented),
        ("publisher", "publish", 5, Unimplemented),
        ("publisher", "slowly", 5, InvalidArgument),
        ("nobody", "slowly", None, NotFound),
    ],
)
def test_a_stream_that_cannot_begin_is_an_error_or_with_events_its_one_event(way, address, name, payload, error):
    """FAULTS D6: with ``events=True`` no error is raised."""

    async def program(there: Place) -> None:
        with pytest.raises(error):
            await there.router.stream(there.prefix + address, name, payload).receive()
        (event,) = [event async for event in there.router.stream(there.prefix + address, name, payload, events=True)]
        assert event.type == "error"
        assert event.error.startswith(error.__name__)
        assert event.sender == there.prefix + address

    played(way, program, Publisher)


@everywhere
def test_closing_a_stream_does_not_wait_for_the_clean_up_of_its_producer(way):
    """FAULTS D6: a ``finally`` that hangs holds nobody up."""

    async def program(there: Place) -> float:
        begun = asyncio.get_running_loop().time()
        stream = there.router.stream(f"{there.prefix}publisher", "slowly")
        await stream.receive()
        await stream.aclose()
        async with there.router.stream(f"{there.prefix}publisher", "slowly") as stream:
            await stream.receive()
        async for _item in there.router.stream(f"{there.prefix}publisher", "slowly"):
            break
        return asyncio.get_running_loop().time() - begun

    assert played(way, program, Publisher) < 1


# ── types ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Symbol(str):
    """A text of the program's own type."""

    __slots__ = ()


class Keeper(Actor):
    """Tells the type of what it got."""

    async def one(self, item: Item) -> str:
        return type(item).__name__

    async def all(self, items: list[Item]) -> list[str]:
        return [type(item).__name__ for item in items]

    async def streamed(self, item: Item) -> AsyncIterator[str]:
        yield type(item).__name__

    async def spelled(self, text: str) -> str:
        return text.lower()

    async def back(self) -> Item:
        return Special("x", 1)

    async def add(self, number: int) -> int:
        return number + 1

    async def keep(self, settings: dict[str, int]) -> dict[str, int]:
        return settings


@everywhere
def test_an_instance_of_a_subclass_is_accepted_by_every_verb(way):
    """FAULTS D4: a stub in the same process passes the object; all other ways cut it to its type."""

    async def program(there: Place) -> None:
        special, stub, ref = Special("x", 1), there.stub(Keeper, "keeper"), there.ref("keeper")
        passed = "Special" if way == "here" else "Item"
        assert await stub.one(special) == passed
        assert await stub.all([special]) == [passed]
        assert [name async for name in stub.streamed(special)] == [passed]
        assert await ref.ask("one", special) == "Item"
        assert await ref.ask("all", [special, Item("y")]) == ["Item", "Item"]
        assert [name async for name in ref.stream("streamed", special)] == ["Item"]
        await ref.tell("one", special)
        assert type(await stub.back()).__name__ == passed
        for ask in (stub.spelled, lambda text: ref.ask("spelled", text)):
            assert await ask(Symbol("ABC")) == "abc"
        assert there.system.dead_letters.count == 0

    played(way, program, Keeper)


class Parcel(penstock.Struct):
    numbers: penstock.SourceRef[int]
    sender: penstock.ActorRef


class HeavyParcel(Parcel):
    weight: int = 9


class Depot(Actor):
    async def take(self, parcel: Parcel) -> list[Any]:
        assert type(parcel) is Parcel
        return [parcel.sender.address, [number async for number in parcel.numbers]]


@everywhere
def test_refs_in_a_value_that_is_cut_stay_what_they_are(way):
    """FAULTS D4: and in one process none of them is put on offer."""

    async def program(there: Place) -> None:
        sink, source = penstock.pipe()
        await sink.send_many(range(3))
        sink.close()
        parcel = HeavyParcel(penstock.SourceRef(source), there.system.ref("depot"))
        if way == "here":
            assert await there.ref("depot").ask("take", parcel) == ["depot", [0, 1, 2]]
            assert len(offers()) == 0
        else:
            assert await there.ref("depot").ask("take", parcel) == ["depot", [0, 1, 2]]

    played(way, program, Depot)


@everywhere
def test_a_payload_by_name_is_read_the_same_way(way):
    """FAULTS D5: a map gives the one argument by name, unless the type of the argument is a map."""

    async def program(there: Place) -> None:
        ref = there.ref("keeper")
        for payload in (5, {"number": 5}, [5]):
            assert await ref.ask("add", payload) == 6
        for payload in ({"a": 1}, {"settings": 1}, {}):
            assert await ref.ask("keep", payload) == payload
        assert await ref.ask("one", {"item": {"name": "x"}}) == await ref.ask("one", {"name": "x"}) == "Item"
        for wrong in ({"x": 5}, {}, {"number": 5, "x": 1}, [], [5, 6], "5", None):
            with pytest.raises(InvalidArgument):
                await ref.ask("add", wrong)

    played(way, program, Keeper)


class Shop(Actor):
    """Has typed things of every kind."""

    def __init__(self) -> None:
        self.news: penstock.Port[Item] = self.port("news")

    async def best(self) -> Any:
        return Item("best", 1)

    async def as_map(self) -> Any:
        return {"name": "map", "size": 2}

    async def wrong(self) -> Any:
        return {"name": 5}

    async def items(self, kind: str = "item") -> AsyncIterator[Any]:
        yield Item("a", 1)
        yield {"name": "b"}
        if kind == "wrong":
            yield {"name": 5}
        yield Special("c", 3)

    async def publish(self) -> None:
        for item in (Item("a", 1), {"name": "b"}, Special("c", 3)):
            await self.news.send(item)

    async def on_channel(self, channel: penstock.Channel[Item]) -> None:
        await channel.accept()
        async for message in channel:
            assert type(message) is Item
            await channel.send(message if message.size else {"name": message.name, "size": 9})

    async def live(self) -> AsyncIterator[int]:
        for number in range(200):
            yield number
            await asyncio.sleep(1)

    async def source(self) -> penstock.SourceRef[int]:
        return penstock.SourceRef(penstock.ref(self).stream("live"))

    async def slow(self) -> str:
        await asyncio.sleep(200)
        return "done"


@everywhere
def test_the_type_of_what_comes_back_can_be_said_and_means_the_same(way):
    """FAULTS D2: by address, `type=` makes the same object of it here and from elsewhere."""

    async def program(there: Place) -> None:
        expected = [Item("a", 1), Item("b", 0), Item("c", 3)]
        shop = f"{there.prefix}shop"
        assert await there.router.ask(shop, "best", type=Item) == Item("best", 1)
        assert await there.router.ask(shop, "as_map", type=Item) == Item("map", 2)
        items = [item async for item in there.router.stream(shop, "items", type=Item)]
        assert items == expected
        assert {type(item) for item in items} == {Item}
        chunks: list[Item] = []
        await there.router.stream_ask(shop, "items", on_chunk=chunks.append, type=Item)
        assert chunks == expected
        async with there.router.subscribe(shop, "news", type=Item) as source:
            first = asyncio.ensure_future(source.receive())
            await settle()
            publishing = asyncio.ensure_future(there.system.ask("shop", "publish"))
            assert [await first, await source.receive(), await source.receive()] == expected
            await publishing
        async with await there.router.open_channel(shop, type=Item) as channel:
            for message, answer in [
                (Item("x", 1), Item("x", 1)),
                ({"name": "y"}, Item("y", 9)),
                (Special("z", 2), Item("z", 2)),
            ]:
                await channel.send(message)
                received = await channel.receive()
                assert received == answer
                assert type(received) is Item

    played(way, program, Shop)


@everywhere
def test_what_does_not_fit_the_type_is_lost_data_behind_what_does(way):
    """FAULTS D2"""

    async def program(there: Place) -> None:
        ref = there.ref("shop")
        with pytest.raises(DataLoss, match="its result does not fit its type"):
            await ref.ask("wrong", type=Item)
        stream = ref.stream("items", "wrong", type=Item)
        assert [await stream.receive(), await stream.receive()] == [Item("a", 1), Item("b", 0)]
        with pytest.raises(DataLoss, match="does not fit its type"):
            await stream.receive()
        for refused in (
            lambda: ref.stream("items", type=object().__class__.__subclasshook__),
            lambda: ref.subscribe("news", type=5),
        ):
            with pytest.raises(TypeError):
                refused()
        channel = await ref.open_channel(type=int)
        await channel.send(Item("x", 1))
        with pytest.raises(penstock.PenstockError, match="does not fit its type"):
            await channel.receive()
        other = await ref.open_channel()
        await other.send({"name": 5})
        with pytest.raises(penstock.PenstockError, match="does not fit its type"):
            await other.receive()

    played(way, program, Shop)


@everywhere
def test_an_option_that_a_verb_does_not_have_is_refused(way):
    async def program(there: Place) -> None:
        ref = there.ref("shop")
        for verb in (
            lambda: ref.ask("best", timeuot=1),
            lambda: ref.stream("items", timeuot=1),
            lambda: ref.subscribe("news", overfolw="latest"),
            lambda: ref.open_channel(messages=Item),
        ):
            with pytest.raises(TypeError, match="unexpected keyword argument"):
                await verb()

    played(way, program, Shop)


# ── time limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def collected(stream: penstock.Stream[Any]) -> list[Any]:
    return [item async for item in stream]


@everywhere
def test_only_a_verb_by_address_has_a_time_limit_that_its_caller_did_not_set(way):
    """FAULTS D3: a live feed by a ref, a stub or a `SourceRef` lives as long as it is read."""

    async def program(there: Place) -> None:
        ref, stub, shop = there.ref("shop"), there.stub(Shop, "shop"), f"{there.prefix}shop"
        count = list(range(200))
        assert [number async for number in ref.stream("live")] == count
        assert [number async for number in await stub.source()] == count
        assert [number async for number in stub.live()] == count
        assert [number async for number in there.router.stream(shop, "live", timeout=None)] == count
        chunks: list[int] = []
        await ref.stream_ask("live", on_chunk=chunks.append)
        assert chunks == count
        assert await ref.ask("slow") == await stub.slow() == await there.router.ask(shop, "slow", timeout=None) == "done"
        clock = asyncio.get_running_loop().time
        for limit_s, verb in (
            (30, lambda: there.router.ask(shop, "slow")),
            (60, lambda: collected(there.router.stream(shop, "live"))),
            (60, lambda: there.router.stream_ask(shop, "live", on_chunk=chunks.append)),
        ):
            begun = clock()
            with pytest.raises(penstock.DeadlineExceeded):
                await verb()
            assert clock() - begun == pytest.approx(limit_s, abs=2)

    played(way, program, Shop)


def test_the_help_of_each_verb_says_its_time_limit():
    """FAULTS D3"""
    for verb, limit in (("ask", "30"), ("stream", "60"), ("stream_ask", "60"), ("open_channel", "30")):
        assert f"({limit})" in inspect.getdoc(getattr(Router, verb))
        assert "None, the default" in inspect.getdoc(getattr(penstock.ActorRef, verb))
        assert inspect.signature(getattr(Router, verb)).parameters["timeout"].default == float(limit)
        assert inspect.signature(getattr(penstock.ActorRef, verb)).parameters["timeout"].default is None
