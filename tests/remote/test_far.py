"""Actors as values: put into a message here, used where it arrives, at home again when it comes home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

import penstock
from penstock import Actor, ActorRef, ActorSystem
from penstock.codec import MSGPACK
from penstock.errors import ActorStopped, InvalidArgument, Unavailable
from penstock.refs import offers
from penstock.remote import FarRef, _far
from tests.remote.kit import Desk, Town, town


class Card(penstock.Struct):
    """What is handed around."""

    who: ActorRef
    others: list[ActorRef] = msgspec.field(default_factory=list)
    anything: Any = None


class Host(Actor):
    """Keeps what it is given, and gives it back."""

    def __init__(self) -> None:
        self.kept: Any = None

    async def keep(self, who: ActorRef) -> None:
        self.kept = who

    async def keep_any(self, what: Any) -> None:
        self.kept = what

    async def card(self, card: Card) -> Card:
        self.kept = card
        return card

    async def kept_again(self) -> ActorRef:
        return self.kept

    async def all(self, count: int) -> AsyncIterator[ActorRef]:
        for _ in range(count):
            yield self.kept

    async def use(self, who: ActorRef) -> Any:
        return await who.ask("add_late", 1)


@dataclass
class Sides:
    """A host at the side of the server, a desk at the other."""

    town: Town

    @property
    def host(self) -> Host:
        return self.town.peer.actor(Host, "host")

    @property
    def kept(self) -> Any:
        return self.town.object("host", Host).kept


@asynccontextmanager
async def joined_sides() -> AsyncIterator[Sides]:
    async with town() as place:
        await place.system.spawn(Host, name="host")
        await place.visitors.spawn(Desk, name="desk")
        yield Sides(place)


def as_sent(ref: ActorRef) -> FarRef:
    """Return a ref as another process would have it."""
    return FarRef(offers().instance, ref.id, ref.address)


async def test_a_ref_that_comes_home_is_the_very_object():
    async with joined_sides() as sides:
        desk = sides.town.visitors.ref("desk")
        await sides.host.keep(desk)
        assert sides.kept is desk
        assert await sides.host.kept_again() is desk


@pytest.mark.parametrize("how", ["argument", "payload", "struct", "any", "stream"])
async def test_refs_travel_in_any_message(how: str):
    async with joined_sides() as sides:
        desk = sides.town.visitors.ref("desk")
        if how == "argument":
            await sides.host.keep(desk)
        elif how == "payload":
            await sides.town.peer.tell("host", "keep", desk)
            await asyncio.sleep(1)
        elif how == "struct":
            card = await sides.host.card(Card(desk, [desk], {"a": desk}))
            assert card == Card(desk, [desk], {"a": desk})
            return
        elif how == "any":
            await sides.host.keep_any([desk, 1])
            assert sides.kept == [desk, 1]
            return
        else:
            await sides.host.keep(desk)
            assert [ref async for ref in sides.host.all(3)] == [desk] * 3
        assert sides.kept is desk


async def test_a_ref_that_is_not_hinted_is_refused_where_something_else_is():
    async with town() as place:
        await place.system.spawn(Desk, name="desk")
        with pytest.raises(InvalidArgument, match="`k`"):
            await place.peer.actor(Desk, "desk").add(place.system.ref("desk"))
        await place.system.spawn(Host, name="host")
        with pytest.raises(InvalidArgument, match="Expected a ActorRef, got str"):
            await place.peer.ask("host", "keep", "desk")


async def test_a_far_ref_of_an_actor_here_is_used_without_a_connection():
    async with ActorSystem() as system:
        await system.spawn(Desk, name="desk")
        ref = as_sent(system.ref("desk"))
        assert ref == system.ref("desk")
        assert await ref.ask("add", 2) == 2


async def test_every_verb_of_a_far_ref_goes_over_its_connection(monkeypatch: pytest.MonkeyPatch):
    async with town() as place:
        desk, _stub = await place.desk()
        ref = as_sent(place.system.ref("desk"))
        _take_for_another_process(monkeypatch, place.peer)
        await ref.tell("note", 1)
        assert await ref.ask("noted") == [1]
        assert [item async for item in ref.stream("ticks", 2)] == [0, 1]
        channel = await ref.open_channel(1)
        await channel.close()
        news = ref.subscribe("news")
        await asyncio.sleep(1)
        desk.news.send_nowait("n")
        assert await news.receive() == "n"
        await news.aclose()
        stub = penstock.actors.ActorStub(ref, penstock.service.service_of(Desk))
        assert await stub.add(2) == 2
        await penstock.tell(stub).add(2)
        assert await stub.add(0) == 4
        assert [item async for item in stub.ticks(2)] == [0, 1]
        assert "ActorRef desk of process" in repr(ref)
        await ref.stop()
        assert not place.system.list()


def _take_for_another_process(monkeypatch: pytest.MonkeyPatch, peer: penstock.Peer) -> None:
    """Let refs of this loop go by `peer`, as if they were of another one; both its ends lead to this loop."""

    class Nowhere:
        instance = b"nowhere"

    monkeypatch.setattr(_far, "offers", Nowhere)
    monkeypatch.setattr(_far, "find_route", lambda _instance: peer._scope)


async def test_without_a_connection_a_far_ref_says_what_is_missing():
    ref = FarRef(b"x" * 16, "abc-1", "desk")
    for use in (ref.tell("add"), ref.ask("add"), ref.open_channel(), ref.stop()):
        with pytest.raises(Unavailable, match="process of desk") as raised:
            await use
        assert not raised.value.started
    for begin in (lambda: ref.stream("ticks"), lambda: ref.subscribe("news")):
        with pytest.raises(Unavailable, match="process of desk"):
            begin()


async def test_a_ref_of_an_actor_that_has_stopped_comes_home_and_says_so():
    async with town() as place:
        await place.system.spawn(Host, name="host")
        await place.visitors.spawn(Desk, name="desk")
        ref = place.visitors.ref("desk")
        await place.peer.actor(Host, "host").keep(ref)
        encoded = MSGPACK.encode(ref)
        await place.visitors.stop("desk")
        await place.visitors.spawn(Desk, name="desk")
        late = MSGPACK.decode_for(ActorRef).value(encoded)
        assert late == ref
        with pytest.raises(ActorStopped, match=r"desk \(\S+\) is not here any more: it stopped at .* UTC: it was stopped"):
            await late.ask("add", 1)


async def test_a_ref_by_name_comes_home_as_the_actor_of_that_name():
    async with town() as place:
        await place.system.spawn(Host, name="host")
        await place.desk()
        await place.peer.actor(Host, "host").keep(place.peer.ref("desk"))
        assert place.object("host", Host).kept is place.system.ref("desk")
        assert await place.peer.actor(Host, "host").use(place.peer.ref("desk")) == 1


async def test_refs_of_the_same_actor_are_equal_wherever_they_were():
    async with ActorSystem() as system:
        await system.spawn(Desk, name="desk")
        ref = system.ref("desk")
        assert {ref, FarRef(b"x" * 16, ref.id, "desk")} == {ref}
        assert FarRef(b"x" * 16, "desk", "desk") != ref


@pytest.mark.parametrize("data", [b"", b"\x93", b"\x92\xc4\x01a\xa1b", b"\xc1"])
async def test_a_ref_that_cannot_be_read_is_an_invalid_argument(data: bytes):
    async with town() as place:
        await place.system.spawn(Host, name="host")
        with pytest.raises(InvalidArgument):
            await place.peer.ask("host", "keep", msgspec.msgpack.Ext(4, data))
        await place.peer.ask("host", "kept_again")
