"""A connection has a bounded share of each turn of the loop, whatever it sends (FAULTS H9)."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

import pytest

import penstock
from penstock.errors import ConnectionLost, StatusError
from penstock.protocol import Cancel, Settings
from penstock.protocol._decoder import READ_BYTES, FrameDecoder
from penstock.protocol._frames import LAST, MORE, FrameType, Ping
from penstock.session import Endpoint, Session, StreamHandle
from penstock.session._turns import CALLS_PER_TURN, FRAMES_PER_LOOK, REST_MAX_S, RESTS, TURN_S, WorkTurns
from penstock.transports import Link, Receiver, Segment, dial
from tests.protocol.kit import ample, encode, frame, hello, open_frame, read_frames
from tests.streams.kit import rest
from tests.transports.kit import Recorder

URL = "memory://turns"


class Desk:
    def __init__(self) -> None:
        self.turn = 0
        self.begun: list[tuple[int, int]] = []  # the turn of the loop and the number of each call

    async def note(self, number: int) -> None:
        self.begun.append((self.turn, number))

    async def count_turns(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def busy_desk() -> AsyncIterator[tuple[Desk, Recorder]]:
    desk = Desk()
    async with penstock.serve(desk, listen=URL):
        client = Recorder()
        await dial(URL, client)
        client.link.write([hello()])
        await rest()
        counting = asyncio.ensure_future(desk.count_turns())
        try:
            yield desk, client
        finally:
            counting.cancel()
            client.link.abort()
            await rest()


def calls(count: int) -> bytes:
    return b"".join(open_frame(2 * n + 1, 0, target="Desk/note", argument=encode([n])) for n in range(count))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_calls_that_arrive_together_begin_over_several_turns_and_in_their_order():
    async with busy_desk() as (desk, client):
        client.link.write([calls(500)])
        await turns(100)
        assert [number for _turn, number in desk.begun] == list(range(500))
        per_turn = [sum(turn == one for turn, _ in desk.begun) for one in {turn for turn, _ in desk.begun}]
        assert max(per_turn) <= CALLS_PER_TURN + FRAMES_PER_LOOK
        assert len(per_turn) >= 500 // (CALLS_PER_TURN + FRAMES_PER_LOOK)


async def test_what_is_left_over_when_the_peer_leaves_still_counts():
    async with busy_desk() as (desk, client):
        tells = b"".join(frame(FrameType.PING, Ping(n)) for n in range(300))
        client.link.write([tells, calls(3)])
        client.link.close()
        await turns(100)
        assert len(read_frames(bytes(client.received))) > 0
    assert desk.turn > 0


class SlowClock:
    """A clock that moves by half a turn whenever a session looks at it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += TURN_S / 2
        return self.now_s


class Counting(Link):
    """A link that writes down whether it is to be read, and drops what is written."""

    def __init__(self) -> None:
        self.remote = "nowhere"
        self.events: list[str] = []

    def write(self, segments: Sequence[Segment]) -> None:
        self.events.append("written")

    def pause_reading(self) -> None:
        self.events.append("paused")

    def resume_reading(self) -> None:
        self.events.append("resumed")

    def hand_over(self, receiver: Receiver) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Overrun:
    """A session that got more frames in one read than it handles in one turn."""

    def __init__(self, data: bytes) -> None:
        self.opened: list[StreamHandle] = []
        self.session = session = Session("server", Settings(), self.opened.append)
        session._now = session._turns._now = SlowClock()
        self.link = Counting()
        session.link_made(self.link)
        self.feed(hello())
        self.link.events.clear()
        self.feed(data)

    def feed(self, data: bytes) -> None:
        view = self.session.get_buffer(-1)
        view[: len(data)] = data
        self.session.buffer_updated(len(data))


def opens(count: int) -> bytes:
    return b"".join(open_frame(2 * n + 1, 0) for n in range(count))


async def test_frames_that_take_long_are_handled_over_several_turns():
    overrun = Overrun(opens(100))
    assert 0 < len(overrun.opened) <= 3 * FRAMES_PER_LOOK
    assert overrun.link.events == ["paused"]
    await turns(200)
    assert [event for event in overrun.link.events if event != "written"] == ["paused", "resumed"]
    assert len(overrun.opened) == 100


class Told(Endpoint):
    def __init__(self) -> None:
        self.events: list[str] = []

    def on_cancelled(self, cancel: Cancel) -> None:
        self.events.append(f"cancelled: {cancel.message}")

    def on_lost(self, error: StatusError) -> None:
        self.events.append("lost")


async def test_frames_that_wait_when_the_link_goes_are_handled_in_turns_and_the_loss_is_told_after_them():
    """The last words of a peer count, as the end of a channel with its reason; but they hold up no other connection."""
    reason = frame(FrameType.CANCEL, Cancel(message="why"), stream=1)
    overrun = Overrun(opens(2))
    said, unsaid = Told(), Told()
    for endpoint, stream in zip((said, unsaid), overrun.opened, strict=True):
        stream.attach(endpoint)
    pings = b"".join(frame(FrameType.PING, Ping(n)) for n in range(20 * FRAMES_PER_LOOK))
    overrun.feed(pings + reason)
    overrun.session.link_lost(None)
    assert (said.events, unsaid.events) == ([], [])
    assert not overrun.session.closed.done()
    await turns(100)
    assert (said.events, unsaid.events) == (["cancelled: why"], ["lost"])
    assert overrun.session.closed.done()


async def test_a_call_of_a_link_that_is_gone_does_not_begin():
    overrun = Overrun(opens(100))
    begun = len(overrun.opened)
    overrun.session.link_lost(None)
    with pytest.raises(ConnectionLost) as lost:
        overrun.session.check_open()
    assert lost.value.started is False
    await turns(300)
    assert len(overrun.opened) == begun
    assert overrun.session.closed.done()
    assert "written" not in overrun.link.events


async def test_many_streams_learn_in_turns_that_their_connection_is_lost():
    session = Session("server", Settings(), lambda stream: stream.attach(endpoint))
    session.link_made(Counting())
    endpoint = Told()
    for data in (hello(), opens(500)):
        session.get_buffer(-1)[: len(data)] = data
        session.buffer_updated(len(data))
    await turns(100)
    session.link_lost(None)
    assert 0 < len(endpoint.events) <= CALLS_PER_TURN
    assert not session.closed.done()
    await turns(100)
    assert endpoint.events == ["lost"] * 500
    assert session.closed.done()


@pytest.mark.parametrize("said", [100, 2], ids=["frames wait", "streams wait"])
def test_nothing_is_left_of_a_connection_whose_loop_is_closed_meanwhile(said: int, caplog: pytest.LogCaptureFixture):
    async def leave() -> weakref.ref[Session]:
        overrun = Overrun(opens(said))
        overrun.session.link_lost(None)
        return weakref.ref(overrun.session)

    session = asyncio.run(leave())
    gc.collect()
    assert session() is None
    assert not caplog.records


def test_a_decoder_that_is_full_of_unread_frames_makes_room():
    decoder = FrameDecoder(ample())
    decoder.grow(READ_BYTES)
    ping = frame(FrameType.PING, Ping(1))
    fed = 0
    for _ in range(3):  # a link that was paused may bring more, at most
        view = decoder.get_buffer()
        assert len(view) > 0
        data = (ping * (len(view) // len(ping) + 1))[: len(view)] if not fed else (ping * 10)[: len(view)]
        view[: len(data)] = data
        decoder.buffer_updated(len(data))
        fed += len(data)
        if fed % len(ping):
            break
    seen = 0
    while decoder.next_frame() is not None:
        seen += 1
    assert seen == fed // len(ping)


async def test_describe_is_made_once(monkeypatch: pytest.MonkeyPatch):
    """FAULTS H9: 52 bytes of a peer cost 1.5 ms each time."""
    from penstock.peer import _reflection

    made: list[Any] = []
    describe = _reflection.describe
    monkeypatch.setattr(_reflection, "describe", lambda service: made.append(service) or describe(service))
    async with penstock.serve(Desk(), listen=URL), penstock.connect(URL) as peer:
        for _ in range(5):
            assert len(await peer.call("Penstock/describe")) == 2
    assert len(made) == 2


async def test_a_connection_with_work_left_over_rests_after_a_long_turn():
    """Calls of others take several turns of the loop, and each was as long as one large message."""
    loop, done, spent = asyncio.get_running_loop(), [], 0.0
    long = [0.001, 0.01, 0.001, 1.0, 0.001, 0.001]

    def now() -> float:
        return loop.time() + spent

    def step(_now_s: float) -> int | None:
        nonlocal spent
        if len(done) == 6:
            return None
        done.append(loop.time())
        spent += long[len(done) - 1]
        return 0

    work = WorkTurns(step, now, Context())
    work.begin()
    await asyncio.sleep(1)
    assert len(done) == 6
    rests = [round(later - sooner, 3) for sooner, later in itertools.pairwise(done)]
    assert rests == [0, RESTS * 0.01, 0, REST_MAX_S, 0]
    assert not work.waiting


async def test_one_message_that_may_be_large_is_read_in_a_turn():
    async with busy_desk() as (desk, client):
        cut = b"".join(
            frame(FrameType.OPEN, body[:20], flags=MORE | LAST, stream=number)
            + frame(FrameType.OPEN, body[20:], flags=LAST, stream=number)
            for number in range(1, 21, 2)
            for body in [open_frame(number, 0, target="Desk/note", argument=encode([number]))[14:]]
        )
        client.link.write([cut])
        await turns(200)
        assert [number for _turn, number in desk.begun] == list(range(1, 21, 2))
        assert len({turn for turn, _number in desk.begun}) == 10
