"""The actor's end of a lane, and peers that send it what no honest one would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import penstock
from penstock import Mailbox, Settings
from penstock.errors import ConnectionLost, InvalidArgument, ResourceExhausted, Unavailable, Unimplemented
from penstock.remote import _answers
from penstock.service import CallOptions
from tests.remote.kit import SMALL, Desk, Town, outcome, town
from tests.session.kit import held_for_peer

NIL_ARGUMENTS: list[Any] = []


def lane(place: Town, **options: Any) -> Any:
    """Open a lane by hand: whatever is sent on it goes out as it is."""
    return place.peer.open("/desk!lane", options=CallOptions(**options))


async def left_with_a_full_mailbox(place: Town, notes: int) -> Desk:
    """Return a desk that waits, whose mailbox has room for one of the `notes` that its teller sent before it was gone."""
    desk, stub = await place.desk(mailbox=Mailbox(1))
    waiting = asyncio.ensure_future(outcome(stub.wait()))
    await asyncio.sleep(1)
    for number in range(notes):
        await penstock.tell(stub).note_late(number)
    await asyncio.sleep(1)
    place.peer._scope.session.abort()
    await waiting
    return desk


async def replies(call: Any, count: int) -> list[Any]:
    return [await call.receive() for _ in range(count)]


async def end_of(call: Any) -> Exception:
    """Read a lane until it ends, and return how."""
    while True:
        try:
            await call.receive()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error


# ── what travels ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_and_answers_as_they_travel():
    async with town() as place:
        await place.desk()
        async with lane(place) as call:
            await call.send([1, "add", [2]])
            await call.send([0, "add", [3]])
            await call.send([2, "add", {"k": 4}])
            await call.send([3, "add", 5, 1])
            await call.send([4, "missing", NIL_ARGUMENTS])
            answers = await replies(call, 4)
    assert answers[:3] == [[1, 2], [2, 9], [3, 14]]
    assert answers[3] == [4, None, [5, "not_found", "no such thing", {"where": "here"}, True]]


async def test_unknown_trailing_fields_are_ignored():
    async with town() as place:
        await place.desk()
        async with lane(place) as call:
            await call.send([1, "add", [2], 0, None, [], None, None, "new", {"x": 1}])
            assert await call.receive() == [1, 2]


async def test_a_lane_that_is_half_closed_ends_when_everything_is_answered():
    async with town() as place:
        desk, _stub = await place.desk()
        call = lane(place)
        await call.send([1, "wait", ["a"]])
        call.close_send()
        await asyncio.sleep(1)
        desk.gate.set()
        assert [item async for item in call] == [[1, "a"]]


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_asks_of_one_lane_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_answers, "ASKS_MAX", 10)
    async with town(settings=SMALL) as place:
        desk, _stub = await place.desk()
        async with lane(place) as call:
            sending = [asyncio.ensure_future(call.send([number, "wait", [number]])) for number in range(1, 101)]
            await asyncio.sleep(1)
            assert 10 <= sum(one.done() for one in sending) <= 10 + 4
            desk.gate.set()
            assert await replies(call, 100) == [[number, number] for number in range(1, 101)]
            await asyncio.gather(*sending)


@pytest.mark.parametrize("method", ["large", "large_late"])
async def test_a_peer_that_reads_no_answers_is_not_worked_for(method: str):
    settings = Settings(max_unsent_bytes=100_000, max_connection_bytes=1_000_000)
    async with town(settings=settings) as place:
        await place.desk()
        async with lane(place, buffer_size=1) as call:
            for number in range(1, 400):
                try:
                    async with asyncio.timeout(1):
                        await call.send([number, method, [50_000]])
                except TimeoutError:
                    break
            session = place.back._scope.session
            assert 0 < held_for_peer(session) <= 1_000_000
            answers = await replies(call, number - 1)
            refused = [answer for answer in answers if len(answer) > 2]
            assert all(answer[2][1] == "resource_exhausted" for answer in refused)
            assert len(answers) - len(refused) >= 3
        await asyncio.sleep(1)
        assert held_for_peer(session) == 0


async def test_an_answer_over_the_limit_of_its_reader_is_an_error_and_the_lane_goes_on():
    async with town(client_settings=Settings(max_item_bytes=100_000)) as place:
        _desk, stub = await place.desk()
        with pytest.raises(ResourceExhausted, match="max_item_bytes"):
            await stub.large(200_000)
        assert await stub.add() == 1


@pytest.mark.parametrize("exposed", [False, True])
async def test_an_answer_that_cannot_travel_is_an_error_with_an_id(exposed: bool, caplog: pytest.LogCaptureFixture):
    async with town(expose_errors=exposed) as place:
        _desk, stub = await place.desk()
        error = await outcome(stub.strange())
        assert isinstance(error, penstock.errors.Internal)
        assert ("a value that cannot travel" in error.message) == exposed
        assert error.details["error_id"] in caplog.text
        assert await stub.add() == 1


async def test_what_a_handler_raised_is_told_only_where_errors_are_exposed():
    for exposed in (False, True):
        async with town(expose_errors=exposed) as place:
            _desk, stub = await place.desk()
            error = await outcome(stub.crash())
            assert ("on purpose" in error.message) == exposed


async def test_what_waits_for_a_full_mailbox_becomes_visible_when_its_teller_is_long_gone():
    async with town(reconnect=None) as place:
        desk = await left_with_a_full_mailbox(place, notes=5)
        await asyncio.sleep(4)
        assert place.system.dead_letters.count == 0
        await asyncio.sleep(2)
        assert [envelope.type for envelope in place.system.dead_letters] == ["note_late"] * 4
        desk.gate.set()
        await asyncio.sleep(1)
        assert desk.notes == ["begun None", "done None", 0]


@asynccontextmanager
async def transparent(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


async def test_a_message_inside_interceptors_is_a_dead_letter_or_handled_never_both():
    async with town(interceptors=[transparent], reconnect=None) as place:
        desk = await left_with_a_full_mailbox(place, notes=3)
        await asyncio.sleep(6)
        assert place.system.dead_letters.count == 2
        desk.gate.set()
        await asyncio.sleep(1)
        assert desk.notes == ["begun None", "done None", 0]


async def test_asks_whose_asker_is_gone_never_begin():
    async with town(reconnect=None) as place:
        desk, stub = await place.desk()
        asks = [asyncio.ensure_future(outcome(stub.wait(number))) for number in range(5)]
        await asyncio.sleep(1)
        place.peer._scope.session.abort()
        await asyncio.gather(*asks)
        desk.gate.set()
        await asyncio.sleep(1)
        assert desk.notes == ["begun 0", "done 0"]


# ── what no honest peer sends ─────────────────────────────────────────────────────────────────────────────────────────

BAD_ITEMS: dict[str, Any] = {
    "no array": "hello",
    "a map": {"id": 1},
    "too short": [1],
    "a number that is none": ["x", "add", []],
    "a name that is none": [1, 5, []],
    "a sender that is none": [1, "add", [], 0, 5],
    "waiting that is none": [1, "add", [], 0, None, "abc"],
    "a deadline that is none": [1, "add", [], 0, None, [], "soon"],
    "metadata of numbers": [1, "add", [], 0, None, [], None, {"a": 1}],
    "nil": None,
}


@pytest.mark.parametrize("item", BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
async def test_an_item_that_is_no_message_ends_the_lane_after_what_came_before(item: Any):
    async with town() as place:
        _desk, stub = await place.desk()
        call = lane(place)
        await call.send([0, "add", [1]])
        await call.send(item)
        await call.send([0, "add", [100]])
        error = await end_of(call)
        assert isinstance(error, InvalidArgument)
        assert await stub.add(0) == 1


@pytest.mark.parametrize(
    "broken",
    [b"\x93\x05\xa4note\x91\xc1", b"\x93\x05\xa4note\xde\x00\x10" + b"\x01\xc1" * 16, b"\x95\x05\xa4note\x90\x00\xa1\xff"],
    ids=["in an argument", "in a map", "a sender that is no text"],
)
async def test_bytes_that_are_no_msgpack_fail_their_message_alone(broken: bytes):
    async with town() as place:
        desk, _stub = await place.desk()
        async with lane(place) as call:
            for item in (
                [1, "wait", [1]],
                msgspec.Raw(broken),
                [2, "add", [1]],
                msgspec.Raw(broken.replace(b"\x05", b"\0", 1)),
            ):
                await call.send(item)
            await asyncio.sleep(1)
            desk.gate.set()
            answers = {answer[0]: answer for answer in await replies(call, 3)}
            assert answers[1] == [1, 1]
            assert answers[2] == [2, 1]
            assert answers[5][2][:2] == [3, "invalid_argument"]
        assert [letter.type for letter in place.system.dead_letters] == ["note"]


@pytest.mark.parametrize("broken", [b"\x93\xc1\xa4note\x90", b"\x93\x05\xc1\x90", b"\xc1"])
async def test_a_message_without_a_number_or_a_name_ends_the_lane(broken: bytes):
    async with town() as place:
        await place.desk()
        call = lane(place)
        await call.send(msgspec.Raw(broken))
        assert isinstance(await end_of(call), InvalidArgument)


# ── what is over a limit of the callee ────────────────────────────────────────────────────────────────────────────────

FEW = penstock.Settings(max_item_values=3000)
MANY = list(range(4000))


@pytest.mark.parametrize("way", ["ask", "tell"])
@pytest.mark.parametrize("interceptors", [[], [transparent]])
async def test_a_message_of_too_many_values_is_refused_alone(way, interceptors, caplog):
    async with town(settings=FEW, interceptors=interceptors) as place:
        desk, stub = await place.desk()
        begun = [asyncio.ensure_future(stub.wait(number)) for number in range(2)]
        await asyncio.sleep(0.1)
        for number in range(5):
            await penstock.tell(stub).note(number)
        bad = asyncio.ensure_future(outcome((stub if way == "ask" else penstock.tell(stub)).note(MANY)))
        await asyncio.sleep(0)
        for number in range(5, 10):
            await penstock.tell(stub).note(number)
        desk.gate.set()
        assert await asyncio.gather(*begun) == [0, 1]
        await asyncio.sleep(0.1)
        assert [note for note in desk.notes if isinstance(note, int)] == list(range(10))
        error = await bad
        if way == "ask":
            assert isinstance(error, ResourceExhausted)
            assert not error.started
        else:
            assert [letter.type for letter in place.system.dead_letters] == ["note"]
            assert "more values than Settings.max_item_values" in caplog.text


async def test_an_answer_of_too_many_values_fails_its_ask_alone():
    async with town(client_settings=FEW) as place:
        desk, stub = await place.desk()
        desk.notes = MANY.copy()
        refused = asyncio.ensure_future(outcome(stub.noted()))
        begun = asyncio.ensure_future(stub.wait(1))  # in the lane, and behind it in the mailbox
        assert isinstance(await refused, ResourceExhausted)
        desk.gate.set()
        assert await begun == 1


async def test_metadata_of_too_many_entries_never_reach_the_lane():
    async with town() as place:
        desk, stub = await place.desk()
        begun = asyncio.ensure_future(stub.wait(1))
        many = {str(number): "" for number in range(5000)}
        with pytest.raises(InvalidArgument, match="metadata of 5000 entries, of 4096 at most"):
            await penstock.options(stub, metadata=many).add()
        desk.gate.set()
        assert await begun == 1


async def test_a_lane_that_ends_for_what_it_read_is_logged(caplog):
    async with town() as place:
        await place.desk()
        call = lane(place)
        await call.send([1, "add", [], 0, "x" * 2000])
        assert isinstance(await end_of(call), InvalidArgument)
        assert "a lane from" in caplog.text


async def test_two_asks_of_one_number_end_the_lane():
    async with town() as place:
        await place.desk()
        call = lane(place)
        await call.send([1, "wait", []])
        await call.send([1, "add", [1]])
        error = await end_of(call)
        assert isinstance(error, InvalidArgument)
        assert "already in use" in error.message
        assert place.system.info("desk").state == "running"


STRANGE: dict[str, tuple[Any, str]] = {
    "a form nobody knows": ([1, "add", [1], 7], "invalid_argument"),
    "a body that is none": ([1, "add", 5], "invalid_argument"),
    "a method of the actor itself": ([1, "spawn", []], "unimplemented"),
    "a private name": ([1, "_cell", []], "unimplemented"),
    "a hook": ([1, "on_stop", []], "unimplemented"),
    "no name": ([1, "", []], "unimplemented"),
    "a stream": ([1, "ticks", []], "unimplemented"),
    "no time left": ([1, "add", [], 0, None, [], 0], "deadline_exceeded"),
    "less than no time": ([1, "add", [], 0, None, [], -(2**63)], "deadline_exceeded"),
}


@pytest.mark.parametrize(("item", "reason"), STRANGE.values(), ids=STRANGE.keys())
async def test_a_message_that_nobody_can_handle_is_refused_and_the_lane_goes_on(item: Any, reason: str):
    async with town() as place:
        await place.desk()
        async with lane(place) as call:
            await call.send(item)
            number, _nothing, error = await call.receive()
            assert (number, error[1], error[4]) == (1, reason, False)
            await call.send([2, "add", [1]])
            assert await call.receive() == [2, 1]


@pytest.mark.parametrize("number", [-1, -(2**63), 0])
async def test_giving_up_what_nobody_asked_changes_nothing(number: int):
    async with town() as place:
        await place.desk()
        async with lane(place) as call:
            await call.send([number or -5, "", None])
            await call.send([1, "add", [1]])
            assert await call.receive() == [1, 1]


async def test_a_deadline_beyond_all_time_is_none():
    async with town() as place:
        await place.desk()
        async with lane(place) as call:
            await call.send([1, "seen", [], 0, None, [], 2**62])
            number, seen = await call.receive()
            assert (number, seen["left"]) == (1, None)


async def test_messages_that_cannot_be_answered_are_kept_where_they_can_be_seen():
    async with town() as place:
        await place.desk()
        async with lane(place) as call:
            await call.send([0, "nothing", []])
            await call.send([0, "add", ["x"]])
            await call.send([1, "add", [1]])
            assert await call.receive() == [1, 1]
        assert [envelope.type for envelope in place.system.dead_letters] == ["nothing", "add"]


@pytest.mark.parametrize("kind", ["client_streaming"])
async def test_a_lane_is_a_bidirectional_call(kind: str):
    async with town() as place:
        await place.desk()
        with pytest.raises(Unimplemented, match="is a lane"):
            await place.peer.open("/desk!lane", kind=kind).close_and_receive()
        with pytest.raises(Unimplemented, match="msgpack"):
            await end_raised(place.peer.open("/desk!lane", codec=penstock.codec.JSON))


async def end_raised(call: Any) -> None:
    raise await end_of(call)


async def test_a_lane_that_is_cancelled_gives_up_its_asks_and_keeps_what_was_told():
    async with town() as place:
        desk, _stub = await place.desk()
        call = lane(place)
        await call.send([1, "wait", ["a"]])
        await call.send([2, "note_late", ["asked"]])
        await call.send([0, "note_late", ["told"]])
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.sleep(1)
        desk.gate.set()
        await asyncio.sleep(1)
        assert desk.notes == ["begun a", "done a", "told"]


async def test_a_side_that_is_closed_says_so_and_buries_what_it_did_not_begin():
    async with town() as place:
        _desk, stub = await place.desk(mailbox=Mailbox(1))
        waiting = asyncio.ensure_future(outcome(stub.wait()))
        await asyncio.sleep(1)
        tells = [asyncio.ensure_future(penstock.tell(stub).note_late(number)) for number in range(5)]
        await asyncio.gather(*tells)
        await asyncio.sleep(0.1)  # they arrive
        await place.back.aclose()
        assert isinstance(await waiting, Unavailable)
        assert [envelope.type for envelope in place.system.dead_letters] == ["note_late"] * 4


# ── context ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_handler_knows_its_call():
    async with town() as place:
        _desk, stub = await place.desk()
        assert await stub.seen() == {"target": "/desk/seen", "kind": "unary", "metadata": {}, "left": None}
        seen = await penstock.options(stub, timeout=5, metadata={"a": "b"}).seen()
        assert (seen["target"], seen["metadata"]) == ("/desk/seen", {"a": "b"})
        assert 4 < seen["left"] <= 5


async def test_what_a_handler_leaves_behind_is_not_bound_by_its_deadline():
    class Starter(Desk):
        async def begin(self) -> None:
            self.call = penstock.context()
            await asyncio.sleep(0)

    async with town() as place:
        await place.system.spawn(Starter, name="desk")
        await penstock.options(place.peer.actor(Starter, "desk"), timeout=1).begin()
        assert place.object("desk", Starter).call.deadline is None


async def test_a_connection_made_inside_an_actor_does_not_make_it_the_sender_of_what_arrives():
    class Hermit(Desk):
        async def dial(self, url: str) -> None:
            self.link = penstock.connect(url, services=[self.system])
            self.peer = await self.link.__aenter__()

        async def hang_up(self) -> None:
            await self.link.__aexit__(None, None, None)

    async with town() as place:
        hermit = await place.visitors.spawn(Hermit, name="hermit")
        before = set(place.server.peers)
        await hermit.dial(place.server.urls[0])
        (back,) = place.server.peers - before
        assert await back.ask("hermit", "add_late", 1, timeout=5) == 1
        seen = await back.ask("hermit", "seen", timeout=5)
        assert seen["target"] == "/hermit/seen"
        await hermit.hang_up()


class Slow(penstock.Actor):
    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.taken = 0

    async def take(self, data: bytes) -> None:
        await self.go.wait()
        self.taken += len(data)


async def test_messages_that_wait_are_bounded_by_the_budget_of_their_connection():
    """A mailbox of 1,000 messages took a gigabyte of one peer, whatever the limits of the connection were."""
    async with town(settings=Settings(max_connection_bytes=2_000_000)) as place:
        await place.system.spawn(Slow, name="slow")
        cell = place.system._host.cell("slow")
        told = asyncio.ensure_future(_tell_many(penstock.tell(place.peer.actor(Slow, "slow"))))
        await asyncio.sleep(1)
        session = place.back._scope.session
        assert 400_000 <= sum(len(each.args[0]) for each in cell.queue.envelopes) <= 1_000_000
        assert held_for_peer(session) <= 1_500_000
        cell.actor.go.set()
        await told
        await asyncio.sleep(1)
        assert cell.actor.taken == 100 * 40_000
        assert held_for_peer(session) < 13_000  # the lane itself


async def _tell_many(stub: Any) -> None:
    for _ in range(100):
        await stub.take(bytes(40_000))


class Fragile(penstock.Actor):
    mailbox = Mailbox(size=20)

    def __init__(self, go: asyncio.Event) -> None:
        self.go = go

    async def take(self, data: bytes) -> int:
        await self.go.wait()
        return len(data)

    async def crash(self, _data: bytes) -> None:
        await self.go.wait()
        raise RuntimeError("crash")


@pytest.mark.parametrize("end", ["handled", "stopped", "cancelled", "lost", "crashed"])
async def test_what_messages_hold_is_given_back_however_they_end(end: str):
    """The sum that is charged is that which is held, and nothing when all has ended."""
    async with town() as place:
        go = asyncio.Event()
        actor = await place.system.spawn(Fragile, go, name="fragile")
        stub = place.peer.actor(Fragile, "fragile")
        asks = [asyncio.ensure_future((stub.crash if end == "crashed" else stub.take)(bytes(10_000))) for _ in range(10)]
        tells = [asyncio.ensure_future(penstock.tell(stub).take(bytes(10_000))) for _ in range(5)]
        await asyncio.sleep(1)
        session = place.back._scope.session
        assert held_for_peer(session) > 15 * 11_000
        if end == "stopped":
            await penstock.ref(actor).stop()
        elif end == "cancelled":
            for ask in asks:
                ask.cancel()
        elif end == "lost":
            place.peer._scope.session.end(ConnectionLost("given up"))
        if end in {"handled", "crashed", "cancelled"}:
            go.set()
        await asyncio.gather(*asks, *tells, return_exceptions=True)
        if end == "lost":
            go.set()
            await asyncio.sleep(40)
        await asyncio.sleep(8)
        assert held_for_peer(session) <= 13_000  # the lane itself, while it is open


async def test_what_a_ref_on_offer_weighs_is_given_back_when_it_is_claimed_or_reclaimed():
    class Lender(penstock.Actor):
        async def lend(self) -> penstock.SourceRef[int]:
            sink, source = penstock.pipe(1)
            sink.close()
            return penstock.SourceRef(source)

    async with town() as place:
        await place.system.spawn(Lender, name="lender")
        lender = place.peer.actor(Lender, "lender")
        refs = [await lender.lend() for _ in range(5)]
        session = place.back._scope.session
        assert held_for_peer(session) >= 5 * 4096
        assert [number async for number in refs.pop()] == []
        await asyncio.sleep(0.1)
        assert 4 * 4096 <= held_for_peer(session) < 4 * 4096 + 13_000
        await asyncio.sleep(40)
        assert held_for_peer(session) < 13_000
        refs.clear()
