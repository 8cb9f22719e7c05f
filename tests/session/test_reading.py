"""A connection has a bounded share of each turn of the loop, whatever it sends (FAULTS H9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock.protocol import Settings
from penstock.protocol._decoder import READ_BYTES, FrameDecoder
from penstock.protocol._frames import FrameType, Ping
from penstock.session import Session
from penstock.session._reading import CALLS_PER_TURN, FRAMES_PER_LOOK, TURN_S
from penstock.transports import dial
from tests.protocol.kit import encode, frame, hello, open_frame, read_frames
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


async def test_frames_that_take_long_are_handled_over_several_turns(monkeypatch: pytest.MonkeyPatch):
    session = Session("server", Settings())
    handled: list[int] = []
    session._reading._handle = lambda events: handled.append(len(events))
    session._reading._now = SlowClock()
    paused: list[str] = []

    class Link(Recorder):
        def pause_reading(self) -> None:
            paused.append("paused")

        def resume_reading(self) -> None:
            paused.append("resumed")

    session._reading.link = Link()  # type: ignore[assignment]
    data = hello() + b"".join(open_frame(2 * n + 1, 0) for n in range(100))
    view = session.get_buffer(-1)
    room = len(view)
    view[: min(room, len(data))] = data[:room]
    session.buffer_updated(min(room, len(data)))
    first = sum(handled)
    assert first <= 3 * FRAMES_PER_LOOK
    assert paused == ["paused"]
    await turns(200)
    assert paused == ["paused", "resumed"]
    assert sum(handled) > first
    assert not session._connection.decoder.has_frame()


def test_a_decoder_that_is_full_of_unread_frames_makes_room():
    decoder = FrameDecoder()
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
    while decoder.has_frame():
        assert decoder.next_frame() is not None
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
