"""A session goes on over another link (PROTOCOL.md §9): nothing is lost, doubled or reordered, wherever the link was cut."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ProtocolError
from penstock.protocol import Cancel, Connection, Grant, ReceiveHalf, Settings, events
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import FrameType, Hello, Resumed
from penstock.protocol._sequence import ACK_ALONE_BYTES, ACK_BYTES, KEPT_BYTES_MAX, Sequence
from tests.protocol.kit import ALL, ample, encode_into, frame, hello, opening, read_frames

TOKENS = [bytes([number]) * 16 for number in range(1, 200)]


class Wire:
    """A client and a server that keep their sessions, and the link between them, which may be cut at any byte."""

    def __init__(self) -> None:
        self.tokens = iter(TOKENS)
        self.client = Connection("client", Settings(), 0.0, keep_s=30.0)
        self.server = Connection("server", Settings(), 0.0, keep_s=30.0, token=next(self.tokens))
        self.at_server: Connection = self.server  # what the link leads to: of a later link, a new connection at first
        self.on_way = {"client": bytearray(), "server": bytearray()}
        self.log: list[tuple[str, str]] = []
        self.items: dict[str, list[Any]] = {"client": [], "server": []}
        self.pump()

    def pump(self, budget_bytes: int = ALL) -> None:
        """Carry everything both ways, but no more than so many bytes in each direction; the rest is on its way."""
        left = dict.fromkeys(("client", "server"), budget_bytes)
        while True:
            moved = False
            for writer, reader in (("client", "server"), ("server", "client")):
                on_way = self.on_way[writer]
                on_way += b"".join(self._end(writer).data_to_send(ALL, 0.0))
                part = bytes(on_way[: left[writer]])
                del on_way[: len(part)]
                left[writer] -= len(part)
                moved = moved or bool(part)
                self._take(reader, self._end(reader).receive_data(part, 0.0))
            if not moved:
                return

    def _end(self, side: str) -> Connection:
        return self.client if side == "client" else self.at_server

    def _take(self, side: str, seen: list[events.Event]) -> None:
        for event in seen:
            self.log.append((side, type(event).__name__))
            assert not isinstance(event, events.Failed), event
            if isinstance(event, events.ResumeAsked):
                assert self.server.links.can_resume(event.hello)
                self.on_way["server"] += b"".join(self.at_server.data_to_send(ALL, 0.0))  # its HELLO
                self.server.links.resume(event.hello, self.at_server.links, 0.0)
                self.at_server = self.server
            elif isinstance(event, events.ItemsArrived):
                half = event.stream.receive
                assert half is not None
                while half.queue:
                    arrived = half.queue.pop(0)
                    self.items[side].append((event.stream.id, arrived.first, arrived.items))
                    connection = self.client if side == "client" else self.server
                    connection.consume(event.stream, arrived.items, arrived.size)

    def cut(self) -> None:
        """Lose the link with what is on its way, and begin another one."""
        for on_way in self.on_way.values():
            on_way.clear()
        self.client.links.detach()
        if self.at_server is self.server:
            self.server.links.detach()
        self.at_server = Connection("server", Settings(), 0.0, keep_s=30.0, token=next(self.tokens))
        self.client.links.rejoin(0.0)


def test_both_sides_must_say_that_they_keep_a_session():
    alone = Connection("server", Settings(), 0.0, keep_s=30.0, token=TOKENS[0])
    other = Connection("client", Settings(), 0.0)
    alone.receive_data(b"".join(other.data_to_send(ALL, 0.0)), 0.0)
    assert not alone.links.resumable
    assert Wire().client.links.resumable


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_items_of_both_directions_survive_cuts_at_any_byte(seed: int):
    draw = random.Random(seed)
    wire = Wire()
    opened = opening(3, credit_items=1000, credit_bytes=1 << 20)
    call = wire.client.open(opened, ReceiveHalf(Grant(1000, 1 << 20)))
    accepted = False
    sent = {"client": 0, "server": 0}
    for _ in range(30):
        wire.pump(draw.choice([3, 17, 40, 100, 1000, 100_000]))
        callee = wire.server.streams.begun.get(1)
        if callee is not None and not accepted:
            wire.server.accept(callee, Grant(1000, 1 << 20))
            accepted = True
        for side, stream, connection in (("client", call, wire.client), ("server", callee if accepted else None, wire.server)):
            if stream is not None and stream.send.has_room():
                stream.send.push(encode_into, b"x" * draw.choice([1, 100, 5000]))
                sent[side] += 1
                connection.ready(stream)
        if draw.random() < 0.4:
            wire.cut()
    wire.cut()
    wire.pump()
    for side, other in (("client", "server"), ("server", "client")):
        offsets = [first for _stream, first, _count in wire.items[other]]
        counts = [count for _stream, _first, count in wire.items[other]]
        assert offsets == [sum(counts[:at]) for at in range(len(counts))], (side, seed)
        assert sum(counts) == sent[side], (side, seed)
    assert wire.log.count(("server", "Opened")) == 1
    assert wire.log.count(("client", "Accepted")) == accepted


def streaming(wire: Wire) -> Callable[[], None]:
    """Begin a call with requests; each call of the result sends one of 1,000 bytes, and reads it at the server."""
    call = wire.client.open(opening(1, credit_items=1), ReceiveHalf(Grant(1, 100)))
    wire.pump()
    wire.server.accept(wire.server.streams.begun[1], Grant(10**9, 1 << 40))
    wire.pump()

    def send() -> None:
        call.send.push(encode_into, b"x" * 1000)
        wire.client.ready(call)
        wire.pump()

    return send


def test_what_was_acknowledged_is_not_kept():
    wire = Wire()
    send = streaming(wire)
    for _ in range(ACK_ALONE_BYTES // 1000 + 10):
        send()
    assert wire.client.links._state.sequence.unacknowledged < 100_000
    assert wire.server.links._state.sequence.unacknowledged < ACK_BYTES


def test_an_acknowledgement_leaves_with_what_is_written_anyway():
    wire = Wire()
    send = streaming(wire)
    for _ in range(ACK_BYTES // 1000 + 1):
        send()
    before = wire.client.links._state.sequence.unacknowledged
    wire.server.stop(wire.server.streams.begun[1], Cancel())
    wire.pump()
    assert wire.client.links._state.sequence.unacknowledged == 0 < before


def test_an_idle_connection_is_acknowledged_with_its_keep_alive():
    wire = Wire()
    send = streaming(wire)
    send()
    assert wire.client.links._state.sequence.unacknowledged > 0
    wire.client.handle_timeout(16.0)
    wire.pump()
    assert wire.client.links._state.sequence.unacknowledged == 0


def test_a_peer_that_acknowledges_nothing_is_sent_no_more_than_the_limit():
    wire = Wire()
    call = wire.client.open(opening(1, credit_items=1), ReceiveHalf(Grant(1, 100)))
    wire.pump()
    wire.server.accept(wire.server.streams.begun[1], Grant(10**9, 1 << 40))
    wire.pump()
    sent = 0
    while sent <= 2 * KEPT_BYTES_MAX:
        if call.send.has_room():
            call.send.push(encode_into, b"x" * 100_000)
            wire.client.ready(call)
        written = sum(map(len, wire.client.data_to_send(256 * 1024, 0.0)))
        sent += written
        if not written:
            break
    assert KEPT_BYTES_MAX <= sent < KEPT_BYTES_MAX + 512 * 1024
    assert wire.client.links._state.sequence.unacknowledged == pytest.approx(sent, abs=100)


@pytest.mark.parametrize("received", [10**6, 2**53 - 1], ids=["more than was sent", "the largest number"])
def test_a_position_that_was_never_sent_is_refused(received: int):
    wire = Wire()
    wire.cut()
    assert not wire.server.links.can_resume(Hello("penstock", 1, 16384, 1024, 1024, 1, [], received=received))


def test_a_position_that_is_not_kept_any_more_is_refused():
    sequence = Sequence(FrameDecoder(ample()), b"", ample())
    sequence.keep([b"x" * 100])
    sequence.acknowledge(50)
    assert not sequence.can_repeat(49)
    assert sequence.can_repeat(50)
    sequence.detach()
    assert b"".join(sequence.repeat(50)) == b"x" * 50


def test_an_acknowledgement_beyond_what_was_sent_breaks_a_rule():
    with pytest.raises(ProtocolError, match=r"9\.4"):
        Sequence(FrameDecoder(ample()), b"", ample()).acknowledge(1)


def test_a_refused_client_is_told_why_and_its_link_carries_a_new_session():
    wire = Wire()
    wire.cut()
    fresh = wire.at_server
    (asked,) = fresh.receive_data(b"".join(wire.client.data_to_send(ALL, 0.0)), 0.0)
    assert isinstance(asked, events.ResumeAsked)
    assert asked.hello.token == TOKENS[0]
    fresh.links.begin_new(9, "no such session", 0.0)
    back = b"".join(fresh.data_to_send(ALL, 0.0))
    assert [seen.body for seen in read_frames(back) if seen.kind == "RESUMED"] == [Resumed(9, 0, "no such session")]
    (told,) = wire.client.receive_data(back, 0.0)
    assert told == events.NotResumed("no such session")


@pytest.mark.parametrize("beyond", [-1, 1, 2**40])
def test_an_answer_at_a_position_that_cannot_be_breaks_rule_9_3(beyond: int):
    wire = Wire()
    wire.client.open(opening(1), ReceiveHalf(Grant(1, 100)))
    wire.pump()
    sequence = wire.client._state.sequence
    assert sequence is not None
    sequence.acknowledge(sequence.sent)
    wire.cut()
    wire.client.data_to_send(ALL, 0.0)
    answer = frame(FrameType.RESUMED, Resumed(0, sequence.sent + beyond))
    (failed,) = wire.client.receive_data(hello(keep_ms=9, token=TOKENS[100]) + answer, 0.0)
    assert isinstance(failed, events.Failed)
    assert failed.error is not None
    assert failed.error.rule == "9.3"
    assert wire.client.links.void


def test_a_server_that_keeps_no_session_need_not_answer():
    wire = Wire()
    wire.cut()
    wire.client.data_to_send(ALL, 0.0)
    (told,) = wire.client.receive_data(hello(), 0.0)
    assert isinstance(told, events.NotResumed)


def test_nothing_but_frames_of_the_link_is_sent_before_the_session_goes_on():
    wire = Wire()
    wire.client.open(opening(1), ReceiveHalf(Grant(1, 100)))
    wire.cut()
    assert [seen.kind for seen in read_frames(b"".join(wire.client.data_to_send(ALL, 0.0)))] == ["HELLO"]


@pytest.mark.parametrize("kind", [FrameType.OPEN, FrameType.CREDIT, FrameType.ITEMS])
def test_a_frame_of_a_session_before_the_answer_breaks_a_rule(kind: FrameType):
    wire = Wire()
    wire.cut()
    fresh = wire.at_server
    fresh.receive_data(b"".join(wire.client.data_to_send(ALL, 0.0)), 0.0)
    (failed,) = fresh.receive_data(frame(kind, b"\x90", stream=1), 0.0)
    assert isinstance(failed, events.Failed)
    assert failed.error is not None
    assert failed.error.rule == "9.3"
