"""The caller's end of a lane: bounds, order, cancelling, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import penstock
from penstock import Mailbox
from penstock.calls import Found
from penstock.errors import (
    ActorStopped,
    Cancelled,
    ConnectionLost,
    DataLoss,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    ReentrancyError,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from penstock.peer import _server
from penstock.remote import Lanes
from penstock.remote import _lane_client as _lane
from tests.remote.kit import SMALL, Caller, Desk, Listener, outcome, said, town

#: Bytes that are not one value of msgpack: nothing, a part of one, more than one, and none that there is.
NO_VALUES = [b"", b"\x92\x01", b"\xc4\xff", b"\x01\x02", b"\xc1"]


async def told(desk: Any, count: int) -> list[asyncio.Future[Any]]:
    """Tell `count` notes at once; return the tells once nothing moves any more."""
    tells = [asyncio.ensure_future(penstock.tell(desk).note_late(number)) for number in range(count)]
    await asyncio.sleep(1)
    return tells


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_mailbox_makes_the_teller_wait_at_exactly_window_and_mailbox():
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=Mailbox(8))
        waiting = asyncio.ensure_future(stub.wait())
        await asyncio.sleep(1)
        tells = await told(stub, 40)
        in_hand = 1  # the lane holds the one that waits for room in the mailbox
        assert sum(tell.done() for tell in tells) == 8 + 4 + in_hand
        desk.gate.set()
        await asyncio.gather(waiting, *tells)
        assert await stub.noted() == ["begun None", "done None", *range(40)]


async def test_an_ask_that_finds_no_room_in_time_was_surely_not_started():
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=Mailbox(1))
        waiting = asyncio.ensure_future(stub.wait())
        await asyncio.sleep(1)
        tells = await told(stub, 20)
        with pytest.raises(DeadlineExceeded) as raised:
            await penstock.options(stub, timeout=1).note_late("late")
        assert not raised.value.started
        desk.gate.set()
        await asyncio.gather(waiting, *tells)
        assert "late" not in await stub.noted()


async def test_a_tell_that_is_cancelled_while_it_waits_sends_nothing():
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=Mailbox(1))
        waiting = asyncio.ensure_future(stub.wait())
        await asyncio.sleep(1)
        tells = await told(stub, 20)
        tells[-1].cancel()
        desk.gate.set()
        await asyncio.gather(waiting, *tells[:-1])
        assert 19 not in await stub.noted()


async def test_a_lane_that_has_nothing_to_do_makes_way_for_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lane, "LANES_MAX", 2)
    async with town() as place:
        stubs = []
        for number in range(5):
            await place.system.spawn(Desk, name=f"d{number}")
            stubs.append(place.peer.actor(Desk, f"d{number}"))
        for _round in range(3):
            for stub in stubs:
                await stub.add()
            await asyncio.sleep(1)
            assert len(place.peer._scope.attached(Lanes).open) == 2
        assert [await stub.add(0) for stub in stubs] == [3] * 5


async def test_what_is_sent_on_a_new_lane_never_overtakes_the_old_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lane, "LANES_MAX", 1)
    async with town() as place:
        desk, stub = await place.desk(mailbox=Mailbox(1))
        await place.system.spawn(Desk, name="other")
        waiting = asyncio.ensure_future(stub.wait())
        await asyncio.sleep(1)
        tells = await told(stub, 10)
        waiting.cancel()
        await asyncio.wait([waiting])
        await place.peer.actor(Desk, "other").add()  # which closes the lane to the desk
        last = asyncio.ensure_future(penstock.tell(stub).note_late("last"))
        await asyncio.sleep(1)
        assert not last.done()
        desk.gate.set()
        await asyncio.gather(last, *tells)
        assert await stub.noted() == ["begun None", "done None", *range(10), "last"]


async def test_lanes_in_use_are_never_closed_for_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lane, "LANES_MAX", 1)
    async with town() as place:
        desk, stub = await place.desk()
        await place.system.spawn(Desk, name="other")
        waiting = asyncio.ensure_future(stub.wait("a"))
        await asyncio.sleep(1)
        assert await place.peer.actor(Desk, "other").add() == 1
        desk.gate.set()
        assert await waiting == "a"


# ── what cannot travel ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_argument_that_cannot_travel_is_refused_here_and_the_lane_goes_on():
    async with town() as place:
        _desk, stub = await place.desk()
        for send in (stub.note, penstock.tell(stub).note, penstock.options(stub, timeout=5).note):
            with pytest.raises(InvalidArgument, match="desk/note: a object cannot travel"):
                await send(object())
        with pytest.raises(InvalidArgument, match="desk/note"):
            await place.peer.ask("desk", "note", object())
        assert await stub.add() == 1
        assert place.peer._scope.attached(Lanes).open["desk"].idle


@pytest.mark.parametrize("encoded", NO_VALUES, ids=repr)
async def test_a_raw_that_is_not_one_value_is_refused_here_and_the_lane_goes_on(encoded):
    async with town() as place:
        desk, stub = await place.desk()
        begun = asyncio.ensure_future(stub.wait(1))
        raw = msgspec.Raw(encoded)
        for send in (stub.note, penstock.tell(stub).note, penstock.options(stub, timeout=5).note):
            with pytest.raises(InvalidArgument, match=r"desk/note: a msgspec\.Raw in it does not hold one value"):
                await send([raw, 2])
        for verb in (place.peer.ask, place.peer.tell):
            with pytest.raises(InvalidArgument, match=r"desk/note: a msgspec\.Raw in it"):
                await verb("desk", "note", {"a": raw})
        desk.gate.set()
        assert await begun == 1


async def test_a_raw_of_a_text_that_is_not_utf8_is_refused_there_and_the_lane_goes_on():
    async with town() as place:
        desk, stub = await place.desk()
        begun = asyncio.ensure_future(stub.wait(1))
        with pytest.raises(InvalidArgument, match="note"):
            await stub.note(msgspec.Raw(b"\xa1\xff"))
        await penstock.tell(stub).note(msgspec.Raw(b"\xa1\xff"))
        await penstock.tell(stub).note(msgspec.Raw(b"\xa1a"))
        desk.gate.set()
        assert await begun == 1
        assert await stub.add() == 1
        assert "a" in desk.notes


@pytest.mark.parametrize("encoded", NO_VALUES, ids=repr)
async def test_a_raw_in_an_answer_that_is_not_one_value_fails_its_ask_alone(encoded, caplog):
    async with town() as place:
        desk, stub = await place.desk()
        begun = asyncio.ensure_future(stub.wait(1))
        await asyncio.sleep(0.1)
        desk.gate.set()
        desk.notes = [msgspec.Raw(encoded), 2]
        refused = asyncio.ensure_future(outcome(stub.noted()))
        assert await begun == 1
        assert isinstance(await refused, Internal)
        assert "a msgspec.Raw in it does not hold one value" in caplog.text
        assert await stub.add() == 1


async def test_an_argument_over_the_peers_limit_is_refused_here():
    async with town(settings=penstock.Settings(max_item_bytes=100_000)) as place:
        _desk, stub = await place.desk()
        with pytest.raises(ResourceExhausted, match="max_item_bytes"):
            await stub.note(bytes(200_000))
        assert await stub.add() == 1


async def test_a_result_that_does_not_fit_its_type_is_data_loss():
    class Other:
        async def add(self, k: int = 1) -> str:
            raise NotImplementedError

    async with town() as place:
        await place.desk()
        with pytest.raises(DataLoss, match="desk/add"):
            await place.peer.actor(Other, "desk").add()


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_is_lost_in_mid_ask_says_so():
    async with town(reconnect=None) as place:
        _desk, stub = await place.desk()
        waiting = asyncio.ensure_future(outcome(stub.wait()))
        await asyncio.sleep(1)
        place.back._scope.session.abort()
        lost = await waiting
        assert said(lost) == ("ConnectionLost", True)
        with pytest.raises(ConnectionLost) as raised:
            await stub.add()
        assert not raised.value.started


async def test_what_waits_for_room_when_the_connection_is_lost_was_not_started():
    async with town(settings=SMALL, reconnect=None) as place:
        _desk, stub = await place.desk(mailbox=Mailbox(1))
        asks = [asyncio.ensure_future(outcome(stub.wait(number))) for number in range(20)]
        await asyncio.sleep(1)
        place.back._scope.session.abort()
        ends = [said(error) for error in await asyncio.gather(*asks)]
        sent = 2 + 4  # of the three that were taken, credit was told for half a window
        assert ends == [("ConnectionLost", True)] * sent + [("ConnectionLost", False)] * (20 - sent)


async def test_the_peer_that_is_closed_here_cancels_its_asks():
    async with town() as place:
        _desk, stub = await place.desk()
        waiting = asyncio.ensure_future(outcome(stub.wait()))
        await asyncio.sleep(1)
        await place.peer.aclose()
        assert isinstance(await waiting, Cancelled)


async def test_a_server_that_drains_answers_what_was_asked_and_takes_nothing_new():
    async with town(reconnect=None) as place:
        desk, stub = await place.desk()
        waiting = asyncio.ensure_future(stub.wait("a"))
        await asyncio.sleep(1)
        closing = asyncio.ensure_future(place.server.aclose())
        await asyncio.sleep(1)
        with pytest.raises(Unavailable, match="draining") as raised:
            await stub.add()
        assert not raised.value.started
        desk.gate.set()
        assert await waiting == "a"
        began = asyncio.get_running_loop().time()
        await closing
        assert asyncio.get_running_loop().time() - began < 0.5


async def test_an_idle_lane_does_not_keep_a_server_from_closing():
    async with town() as place:
        _desk, stub = await place.desk()
        await stub.add()
        began = asyncio.get_running_loop().time()
        await place.server.aclose()
        assert asyncio.get_running_loop().time() - began < 0.5


async def test_what_was_told_is_in_the_mailbox_when_the_connection_closes():
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=Mailbox(4))
        async with penstock.connect(place.server.urls[0]) as peer:
            guest = peer.actor(Desk, "desk")
            for number in range(50):
                await penstock.tell(guest).note_late(number)
        assert len(desk.notes) >= 50 - 4 - 1
        assert await stub.noted() == list(range(50))


async def test_one_tell_and_a_closed_connection_is_a_message():
    async with town() as place:
        await place.desk()
        async with penstock.connect(place.server.urls[0]) as peer:
            await peer.tell("desk", "note", 1)
        assert place.object("desk", Desk).notes == [1]


async def test_a_mailbox_that_stays_full_delays_closing_no_longer_than_it_may():
    async with town() as place:
        _desk, stub = await place.desk(mailbox=Mailbox(1))
        waiting = asyncio.ensure_future(outcome(stub.wait()))
        await told(stub, 5)
        began = asyncio.get_running_loop().time()
        await place.peer.aclose()
        assert asyncio.get_running_loop().time() - began < 6
        await waiting
        await asyncio.sleep(10)
        assert [envelope.type for envelope in place.system.dead_letters] == ["note_late"] * 4


async def test_an_ask_gives_no_reason_to_wait_when_the_connection_closes():
    async with town() as place:
        _desk, stub = await place.desk()
        await penstock.tell(stub).note(1)
        await stub.add()
        lane = place.peer._scope.attached(Lanes).open["desk"]
        assert lane.close_now() is False


async def test_an_actor_that_is_not_there_refuses_a_tell():
    async with town() as place:
        with pytest.raises(NotFound) as raised:
            await place.peer.tell("nobody", "note", 1)
        assert not raised.value.started
        assert not place.peer._scope.attached(Lanes).open


async def test_an_actor_that_crashed_goes_on_with_the_same_lane():
    async with town() as place:
        _desk, stub = await place.desk()
        await stub.add(5)
        lane = place.peer._scope.attached(Lanes).open["desk"]
        with pytest.raises(StatusError, match="raised"):
            await stub.crash()
        assert await stub.add(1) == 1
        assert place.peer._scope.attached(Lanes).open["desk"] is lane


async def test_an_actor_of_the_same_name_gets_what_is_sent_later():
    async with town() as place:
        _desk, stub = await place.desk()
        await stub.add(5)
        await place.system.stop("desk")
        with pytest.raises(ActorStopped):
            await stub.add(1)
        await place.system.spawn(Desk, name="desk")
        assert await stub.add(1) == 1
        await place.system.stop("desk")
        await place.system.spawn(Listener, name="desk")
        assert await place.peer.ask("desk", "add", 7) == 7  # by receive


@pytest.fixture
def fake_lane(monkeypatch) -> Callable[[Any], None]:
    """Let a handler of the test answer every lane of a server with actors."""

    class Shape:
        async def lane(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
            yield messages

    def install(handler: Any) -> None:
        def find_handler(_system: Any, _dispatcher: Any, _peer: Any, stream: Any) -> Found:
            method = penstock.service.service_of(Shape).methods["lane"]
            return Found(method._replace(target=stream.opened.target), handler)

        monkeypatch.setattr(_server, "find_handler", find_handler)

    return install


async def test_an_answer_that_cannot_be_read_ends_the_lane_and_its_asks(fake_lane):
    async def nonsense(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            yield {"not": message}

    fake_lane(nonsense)
    async with (
        penstock.ActorSystem() as system,
        penstock.serve(system, listen="memory://fake") as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        stub = peer.actor(Desk, "desk")
        ends = await asyncio.gather(*(outcome(stub.add()) for _ in range(3)))
        assert [type(error) for error in ends] == [DataLoss] * 3
        await asyncio.sleep(1)
        assert not peer._scope.attached(Lanes).open
        assert not peer._scope.session._connection.streams.all()


async def test_answers_that_were_not_asked_for_are_ignored(fake_lane):
    async def answers(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Answer each message twice, and two asks that were never made."""
        async for message in messages:
            for number in (message[0] + 1000, message[0], message[0], -1):
                yield [number, number]

    fake_lane(answers)
    async with (
        penstock.ActorSystem() as system,
        penstock.serve(system, listen="memory://fake") as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        assert [await peer.ask("desk", "add") for _ in range(300)] == list(range(1, 301))


# ── actors of both sides ──────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def two_callers() -> AsyncIterator[Any]:
    async with town() as place:
        await place.system.spawn(Caller, name="home")
        await place.visitors.spawn(Caller, name="guest")
        place.system.bridge("there", place.back)
        place.visitors.bridge("there", place.peer)
        yield place


async def test_actors_of_both_sides_ask_each_other():
    async with two_callers() as place:
        await place.system.spawn(Desk, name="desk")
        await place.visitors.spawn(Desk, name="desk")
        guest, home = place.visitors.ref("guest"), place.system.ref("home")
        assert await guest.ask("ask_there", ["there/desk", "add", 2]) == 2
        assert await home.ask("ask_there", ["there/desk", "add", 3]) == 3


async def test_an_ask_that_comes_round_by_another_process_would_wait_for_itself():
    async with two_callers() as place:
        guest = place.visitors.ref("guest")
        with pytest.raises(ReentrancyError, match="guest waits") as raised:
            await guest.ask("ask_there", ["there/home", "ask_there", ["there/guest", "ask_there", ["x", "y"]]], timeout=5)
        assert raised.value.message.count("guest")


async def test_the_sender_of_a_message_is_an_address_that_can_be_answered():
    async with two_callers() as place:
        await place.system.spawn(Listener, name="ear")
        await place.visitors.ref("guest").ask("tell_there", ["there/ear", "hello", 1])
        await asyncio.sleep(1)
        (message,) = place.object("ear", Listener).messages
        assert message.sender == "there/guest"
        assert place.system.ref(message.sender).address == "there/guest"


async def test_without_a_bridge_the_sender_is_what_it_is_called_at_home():
    async with town() as place:
        await place.visitors.spawn(Caller, name="guest")
        place.visitors.bridge("there", place.peer)
        await place.system.spawn(Listener, name="ear")
        await place.visitors.ref("guest").ask("tell_there", ["there/ear", "hello", 1])
        await asyncio.sleep(1)
        assert place.object("ear", Listener).messages[0].sender == "guest"


async def test_a_cycle_that_ends_inside_of_the_other_process_is_found_too():
    async with two_callers() as place:
        await place.visitors.spawn(Caller, name="friend")
        there_and_back = ["there/friend", "ask_there", ["guest", "ask_there", ["x", "y"]]]
        with pytest.raises(ReentrancyError):
            await place.visitors.ref("guest").ask("ask_there", ["there/home", "ask_there", there_and_back], timeout=5)


async def test_whatever_is_sent_arrives_in_its_order_though_it_waits_for_room():
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=penstock.Mailbox(2))
        ways = (
            stub.note_late,
            lambda number: penstock.tell(stub).note_late(number),
            lambda number: place.peer.ask("desk", "note_late", number),
            lambda number: place.peer.tell("desk", "note_late", number),
            lambda number: penstock.options(stub, timeout=60).note_late(number),
        )
        await asyncio.gather(*(ways[number % 5](number) for number in range(500)))
        await stub.add()
        assert desk.notes == list(range(500))


@pytest.mark.parametrize("also_cancelled", [False, True])
async def test_an_ask_that_is_given_up_while_it_waits_for_room_was_not_started(also_cancelled: bool):
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=penstock.Mailbox(1))
        token = penstock.CancelToken()
        waiting = [asyncio.ensure_future(stub.wait(number)) for number in range(10)]
        await asyncio.sleep(0.5)
        late = asyncio.ensure_future(place.peer.ask("desk", "wait", "late", cancel=token))
        after = asyncio.ensure_future(stub.wait("after"))
        await asyncio.sleep(0.5)
        token.cancel("enough")
        if also_cancelled:
            late.cancel()
        await asyncio.wait([late])
        assert late.cancelled() == also_cancelled
        if not also_cancelled:
            error = late.exception()
            assert isinstance(error, Cancelled)
            assert (error.message, error.started, late.cancelling()) == ("enough", False, 0)
        desk.gate.set()
        assert await asyncio.gather(*waiting, after) == [*range(10), "after"]
        assert "begun late" not in desk.notes


async def test_a_drain_that_crosses_the_opening_of_a_lane_ends_its_asks_and_no_other_lane(caplog):
    async with town(reconnect=None) as place:
        await place.system.spawn(Desk, name="old")
        await place.system.spawn(Desk, name="new")
        old, new = place.peer.actor(Desk, "old"), place.peer.actor(Desk, "new")
        await old.add(1)
        place.back._scope.begin_drain()
        crossing = asyncio.ensure_future(outcome(new.add(1)))
        await asyncio.sleep(1)
        assert isinstance(await crossing, Unavailable)
        assert not caplog.records
        assert all(lane.closing for lane in place.peer._scope.attached(Lanes).open.values())


@pytest.mark.parametrize("name", [True, 5, b"add", None, "x" * 300, "\ud800"])
async def test_a_message_that_cannot_travel_leaves_the_other_asks_of_its_lane_alone(name):
    """FAULTS G3: the callee would end the lane, and with it every ask that is under way."""
    async with town() as place:
        desk, stub = await place.desk()
        waiting = asyncio.ensure_future(outcome(stub.wait("here")))
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidArgument):
            await place.peer.ask("desk", name, 1)
        with pytest.raises(InvalidArgument):
            await place.peer.tell("desk", name, 1)
        await asyncio.sleep(0.1)
        desk.gate.set()
        assert await waiting == "here"


@pytest.mark.parametrize("metadata", [5, ["ab"], {"a": 1}, {1: "a"}])
async def test_metadata_of_an_interceptor_that_cannot_travel_leave_the_other_asks_of_the_lane_alone(metadata):
    @asynccontextmanager
    async def odd(call):
        if call.target.endswith("/add"):
            call.metadata = metadata
        yield

    async with town(client_interceptors=[odd]) as place:
        desk, stub = await place.desk()
        waiting = asyncio.ensure_future(outcome(stub.wait("here")))
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidArgument):
            await stub.add(1)
        desk.gate.set()
        assert await waiting == "here"
