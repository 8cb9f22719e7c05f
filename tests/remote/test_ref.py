"""The same stub does the same, whether its actor is in this process or at the other side of any transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock import ActorSystem, CancelToken, Mailbox
from penstock.errors import (
    ActorStopped,
    Cancelled,
    ChannelRejected,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    MailboxFull,
    NotFound,
    Unimplemented,
)
from penstock.remote._ref import ON_THE_WAY_MAX
from tests.remote.kit import Broken, Desk, Listener, Person, Town, outcome, town

PLACES = ["local", "memory", "tcp", "unix", "bridge"]


class OverBridge:
    """The verbs of a system, for addresses behind its bridge."""

    def __init__(self, system: ActorSystem) -> None:
        self._system = system

    def actor(self, cls: type[Any], address: str) -> Any:
        return self._system.actor(cls, f"there/{address}")

    def __getattr__(self, verb: str) -> Any:
        return lambda address, *args, **kwargs: getattr(self._system, verb)(f"there/{address}", *args, **kwargs)


@dataclass
class Place:
    """A town, and the router that leads to its actors from where the test stands."""

    town: Town
    router: Any

    def stub(self) -> Any:
        return self.router.actor(Desk, "desk")

    @property
    def is_local(self) -> bool:
        return self.router is self.town.system

    def seen(self, address: str) -> str:
        """An address as it is found from where the test stands."""
        return f"there/{address}" if isinstance(self.router, OverBridge) else address

    def desk(self) -> Desk:
        return self.town.object("desk", Desk)

    async def spawn(self, cls: type[Any] = Desk, name: str = "desk", **options: Any) -> Any:
        await self.town.system.spawn(cls, name=name, **options)
        return self.router.actor(cls, name)


@pytest.fixture(params=PLACES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    urls = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s"}
    async with town(urls.get(request.param, "memory://actors")) as joined:
        joined.visitors.bridge("there", joined.peer)
        routers = {"local": joined.system, "bridge": OverBridge(joined.visitors)}
        yield Place(joined, routers.get(request.param, joined.peer))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - of the virtual clock, and nothing else tells it
        await asyncio.sleep(0.01)


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_method_is_asked_and_answers(place: Place):
    desk = await place.spawn()
    assert [await desk.add(2), await desk.add(), await desk.add_late(k=3)] == [2, 3, 6]


async def test_structs_arrive_as_structs_by_place_and_by_name(place: Place):
    desk = await place.spawn()
    assert await desk.older(Person("a", 1)) == Person("a", 2)
    assert await desk.older(person=Person("a", 1), years=5) == Person("a", 6)


@pytest.mark.parametrize("method", ["missing", "missing_late"])
async def test_a_status_error_is_an_answer(place: Place, method: str):
    desk = await place.spawn()
    with pytest.raises(NotFound, match="no such thing") as raised:
        await getattr(desk, method)()
    assert (raised.value.details, raised.value.started) == ({"where": "here"}, True)


async def test_another_error_is_told_and_restarts_the_actor(place: Place):
    desk = await place.spawn()
    await desk.add(5)
    with pytest.raises(Broken if place.is_local else Internal):
        await desk.crash()
    assert await desk.add(1) == 1


async def test_a_wrong_number_of_arguments_is_the_callers_type_error(place: Place):
    desk = await place.spawn()
    with pytest.raises(TypeError, match="too many"):
        await desk.add(1, 2)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("add", 2, 2),
        ("add", None, 1),
        ("noted", None, []),
        ("note_late", {"a": 1}, {"a": 1}),
        ("note_late", [1, 2], [1, 2]),
        ("older", {"person": {"name": "b"}, "years": 3}, {"name": "b", "age": 3}),
        ("older", [{"name": "b"}], {"name": "b", "age": 1}),
    ],
)
async def test_a_payload_becomes_arguments(place: Place, name: str, payload: Any, expected: Any):
    await place.spawn()
    answer = await place.router.ask("desk", name, payload)
    assert penstock_builtins(answer) == expected


def penstock_builtins(answer: Any) -> Any:
    return {"name": answer.name, "age": answer.age} if isinstance(answer, Person) else answer


async def test_a_type_that_nobody_knows_names_what_may_be_meant(place: Place):
    await place.spawn()
    with pytest.raises(Unimplemented, match="did you mean 'add'"):
        await place.router.ask("desk", "ad", 1)
    with pytest.raises(Unimplemented, match="streams"):
        await place.router.ask("desk", "ticks")


async def test_a_payload_that_does_not_fit_names_the_argument(place: Place):
    await place.spawn()
    with pytest.raises(InvalidArgument, match="`k`") as raised:
        await place.router.ask("desk", "add", "x")
    assert not raised.value.started


async def test_an_actor_that_is_not_there_is_not_found(place: Place):
    await place.spawn()
    with pytest.raises(NotFound, match="did you mean 'desk'") as raised:
        await place.router.ask("desks", "add", 1)
    assert not raised.value.started


async def test_receive_gets_what_no_method_answers(place: Place):
    listener = await place.spawn(Listener, "ear")
    assert await place.router.ask("ear", "hello", {"a": [1]}) == {"a": [1]}
    (message,) = place.town.object("ear", Listener).messages
    assert (message.type, message.payload, message.sender) == ("hello", {"a": [1]}, None)
    assert penstock.ref(listener).address == place.seen("ear")


# ── telling ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tells_and_asks_arrive_in_the_order_they_were_sent(place: Place):
    desk = await place.spawn()
    for number in range(300):
        told = penstock.tell(desk)
        await (told.note(number) if number % 3 else told.note_late(number))
        if number % 50 == 0:
            await desk.note_late(f"asked {number}")
    expected: list[Any] = []
    for number in range(300):
        expected += [number, f"asked {number}"] if number % 50 == 0 else [number]
    assert await desk.noted() == expected


async def test_what_is_told_after_a_failure_is_handled(place: Place):
    desk = await place.spawn()
    await penstock.tell(desk).missing()
    await penstock.tell(desk).note("after")
    assert await desk.noted() == ["after"]


async def test_an_argument_that_does_not_fit_never_reaches_the_actor(place: Place):
    desk = await place.spawn()
    if place.is_local:
        return  # nothing is encoded: what the stub is given is what the method gets
    await penstock.tell(desk).add("x")
    assert await desk.add(0) == 0
    (envelope,) = place.town.system.dead_letters
    assert (envelope.address, envelope.type) == ("desk", "add")


# ── back-pressure ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_mailbox_that_rejects_says_so_to_the_asker(place: Place):
    desk = await place.spawn(mailbox=Mailbox(1, "reject"))
    waiting = asyncio.ensure_future(desk.wait())
    await until(lambda: bool(place.desk().notes))
    second = asyncio.ensure_future(desk.note_late(2))
    await asyncio.sleep(1)
    with pytest.raises(MailboxFull, match="rejects"):
        await desk.note_late(3)
    place.desk().gate.set()
    assert [await waiting, await second] == [None, 2]


async def test_a_dropped_message_is_told_to_its_asker(place: Place):
    desk = await place.spawn(mailbox=Mailbox(1, "drop_oldest"))
    waiting = asyncio.ensure_future(desk.wait())
    await until(lambda: bool(place.desk().notes))
    second = asyncio.ensure_future(outcome(desk.note_late(2)))
    await asyncio.sleep(1)
    third = asyncio.ensure_future(desk.note_late(3))
    assert isinstance(await second, MailboxFull)
    place.desk().gate.set()
    assert [await waiting, await third] == [None, 3]


# ── time and cancelling ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deadline_ends_the_wait_and_the_handler_goes_on(place: Place):
    desk = await place.spawn()
    with pytest.raises(DeadlineExceeded) as raised:
        await penstock.options(desk, timeout=1).wait("a")
    assert raised.value.started
    place.desk().gate.set()
    assert await desk.noted() == ["begun a", "done a"]


@pytest.mark.parametrize("how", ["stub", "router"])
async def test_a_message_whose_deadline_has_passed_never_begins(place: Place, how: str):
    desk = await place.spawn()
    first = asyncio.ensure_future(desk.wait("a"))
    await until(lambda: bool(place.desk().notes))
    ask = penstock.options(desk, timeout=1).note_late("late") if how == "stub" else None
    with pytest.raises(DeadlineExceeded):
        await (ask or place.router.ask("desk", "note_late", "late", timeout=1))
    place.desk().gate.set()
    await first
    assert await desk.noted() == ["begun a", "done a"]


@pytest.mark.parametrize("how", ["task", "token"])
async def test_a_cancelled_ask_that_has_not_begun_never_does(place: Place, how: str):
    desk = await place.spawn()
    first = asyncio.ensure_future(desk.wait("a"))
    await until(lambda: bool(place.desk().notes))
    token = CancelToken()
    second = asyncio.ensure_future(place.router.ask("desk", "note_late", "b", cancel=token))
    await asyncio.sleep(1)
    if how == "task":
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    else:
        token.cancel("no need")
        with pytest.raises(Cancelled, match="no need"):
            await second
    await asyncio.sleep(1)
    place.desk().gate.set()
    await first
    assert await desk.noted() == ["begun a", "done a"]


async def test_a_token_that_was_cancelled_before_sends_nothing(place: Place):
    await place.spawn()
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled) as raised:
        await place.router.ask("desk", "note", 1, cancel=token)
    assert not raised.value.started
    assert place.desk().notes == []


async def test_an_answer_that_comes_in_time_forgets_the_token(place: Place):
    await place.spawn()
    token = CancelToken()
    assert await place.router.ask("desk", "add_late", 1, cancel=token) == 1
    token.cancel()
    assert await place.router.ask("desk", "add_late", 1) == 2


# ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_actor_that_stops_tells_who_waits(place: Place):
    desk = await place.spawn()
    first = asyncio.ensure_future(outcome(desk.wait("a")))
    await until(lambda: bool(place.desk().notes))
    second = asyncio.ensure_future(outcome(desk.add_late()))
    gate = place.desk().gate
    stopping = asyncio.ensure_future(penstock.ref(desk).stop())
    await asyncio.sleep(1)
    gate.set()
    await stopping
    assert await first == "a"
    stopped = await second
    assert (type(stopped), stopped.started) == (ActorStopped, False)


async def test_after_its_stop_an_actor_says_so(place: Place):
    desk = await place.spawn()
    await desk.add()
    await place.town.system.stop("desk")
    with pytest.raises(ActorStopped) as raised:
        await desk.add()
    assert not raised.value.started
    answered = await outcome(penstock.tell(desk).note(1))
    assert answered is None or isinstance(answered, ActorStopped)
    await until(lambda: place.town.system.dead_letters.count == 2)


# ── streams, channels, ports ──────────────────────────────────────────────────────────────────────────────────────────


async def test_streams_of_every_kind(place: Place):
    desk = await place.spawn()
    assert [item async for item in desk.ticks(4)] == [0, 1, 2, 3]
    assert [item async for item in place.router.stream("desk", "ticks", 2)] == [0, 1]
    assert [item async for item in desk.doubled([1, 2])] == [2, 4]
    assert await desk.sum_of([1, 2, 3]) == 6


async def test_a_stream_told_as_events(place: Place):
    await place.spawn()
    events = [event async for event in place.router.stream("desk", "ticks", 2, events=True)]
    assert [(event.type, event.payload) for event in events] == [("data", 0), ("data", 1), ("end", None)]
    assert {event.sender for event in events} == {place.seen("desk")}


async def test_chunks_of_a_stream(place: Place):
    await place.spawn()
    chunks: list[int] = []
    await place.router.stream_ask("desk", "ticks", 3, on_chunk=chunks.append)
    assert chunks == [0, 1, 2]


async def test_a_channel_is_opened_rejected_and_echoes(place: Place):
    await place.spawn()
    with pytest.raises(ChannelRejected, match="busy"):
        await place.router.open_channel("desk", "no")
    channel = await place.router.open_channel("desk", 1)
    await channel.send({"a": 1})
    assert await channel.receive() == {"a": 1}
    await channel.close()


async def test_a_port_publishes_to_its_subscriber(place: Place):
    desk = await place.spawn()
    news = place.router.subscribe("desk", "news")
    await asyncio.sleep(1)
    await desk.publish({"n": 1})
    assert await news.receive() == {"n": 1}
    await news.aclose()


async def test_a_ref_in_a_message_is_the_actor_itself(place: Place):
    desk, other = await place.spawn(), await place.spawn(Desk, "other")
    await desk.note(penstock.ref(other))
    assert place.desk().notes == [place.town.system.ref("other")]
    (answered,) = await desk.noted()
    assert await answered.ask("add_late", 2) == 2


async def test_a_source_in_a_message_is_read_where_it_arrives(place: Place):
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    desk = await place.spawn()
    await desk.note(penstock.SourceRef(numbers()))
    (source,) = place.desk().notes
    assert [number async for number in source] == [0, 1, 2]


async def test_a_slow_actor_delays_nobody_else(place: Place):
    desk, other = await place.spawn(), await place.spawn(Desk, "other")
    waiting = [asyncio.ensure_future(desk.wait(number)) for number in range(20)]
    await until(lambda: bool(place.desk().notes))
    async with asyncio.timeout(0.5):
        assert [await other.add_late() for _ in range(50)] == list(range(1, 51))
        channel = await place.router.open_channel("desk", 1)
        await channel.send("quick")
        assert await channel.receive() == "quick"
        await channel.close()
        assert [item async for item in desk.ticks(3)] == [0, 1, 2]
    place.desk().gate.set()
    assert await asyncio.gather(*waiting) == list(range(20))


# ── what a message carries ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["seen", "seen_late"])
async def test_a_handler_knows_its_call_wherever_it_came_from(place: Place, method: str):
    stub = await place.spawn()
    for seen in (await getattr(stub, method)(), await place.router.ask("desk", method)):
        assert (seen["target"], seen["kind"], seen["metadata"]) == (f"/desk/{method}", "unary", {})
    assert [item async for item in stub.seen_streaming()] == [["/desk/seen_streaming", "server_streaming"]]


@pytest.mark.parametrize("method", ["seen", "seen_late"])
async def test_metadata_of_a_stub_travels_with_what_is_asked_and_told(place: Place, method: str):
    stub = penstock.options(await place.spawn(), metadata={"who": "me"})
    assert (await getattr(stub, method)())["metadata"] == {"who": "me"}
    await getattr(penstock.tell(stub), method)()
    await until(lambda: len(place.desk().notes) == 2)
    assert [seen["metadata"] for seen in place.desk().notes] == [{"who": "me"}] * 2


async def test_what_a_handler_leaves_behind_handles_no_call_and_has_no_deadline(place: Place):
    stub = penstock.options(await place.spawn(), timeout=5)
    await stub.seen_later()
    await until(lambda: bool(place.desk().notes))
    assert place.desk().notes[0] in {None, "FailedPrecondition"}


async def test_an_address_can_be_used_where_it_was_got(place: Place):
    await place.spawn()
    address = place.router.ref("desk").address
    assert address == place.seen("desk")
    router = place.town.visitors if address != "desk" else place.router
    assert await router.ask(address, "add", 1) == 1


async def test_a_ref_becomes_a_typed_stub(place: Place):
    await place.spawn()
    ref = place.router.ref("desk")
    for router in (place.town.system, place.town.visitors, place.town.peer):
        assert penstock.ref(router.actor(Desk, ref)) == ref
    assert await place.town.peer.actor(Desk, ref).add(2) == 2


# ── a port ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("options", "ahead"), [({"overflow": "latest"}, 1), ({}, 1), ({"buffer_size": 3}, 3)])
async def test_what_is_on_its_way_to_a_subscriber_elsewhere_is_bounded(options: dict[str, Any], ahead: int):
    async with town() as place:
        desk, _stub = await place.desk()
        news = place.peer.subscribe("desk", "news", **options)
        assert news.statistics().buffer_size == ahead <= ON_THE_WAY_MAX
        await asyncio.sleep(1)
        for number in range(5):
            await desk.publish(number)
            await asyncio.sleep(1)
        if options.get("overflow") == "latest":
            assert await news.receive() == 0  # it was on its way before there were newer ones
            assert type(await news.receive()) is penstock.Dropped
            assert await news.receive() == 4
        else:
            assert [await news.receive() for _ in range(3)] == [0, 1, 2]
