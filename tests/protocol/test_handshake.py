"""The handshake: `HELLO` and the limits that follow from it (PROTOCOL.md §2)."""

from __future__ import annotations

import pytest

from penstock.errors import ProtocolError, Unavailable
from penstock.protocol import Connection, Limit, Settings, events
from penstock.protocol._compression import available
from penstock.protocol._connection_state import ConnectionState
from penstock.protocol._decoder import HANDSHAKE_BYTES
from penstock.protocol._frames import HEADER_BYTES, FrameType, Hello, Ping
from penstock.protocol._settings import check_hello, hello_of
from tests.protocol.kit import ALL, encode, frame, hello, open_frame, read_frames, rule_of, side


def known(**changes) -> Hello:
    return read_frames(hello(**changes))[0].body


def test_hello_tells_the_limits_of_this_side():
    told = hello_of(
        Settings(
            max_frame_bytes=16384,
            max_item_bytes=4096,
            max_header_bytes=2048,
            max_streams=5,
            max_ahead_items=6,
            max_ahead_bytes=7,
        ),
        "me",
        3,
        b"t",
        b"who",
    )
    assert told == Hello("penstock", 1, 16384, 4096, 2048, 5, available(), "me", 3000, b"t", b"who", 6, 7)


def test_hello_is_the_first_thing_either_side_sends():
    for role in ("client", "server"):
        made = side(role, greeted=False)
        assert [seen.kind for seen in made.frames()] == ["HELLO"]
        with pytest.raises(Unavailable):
            made.call()


def test_hello_is_answered_with_a_ping_that_measures_the_round_trip():
    made = side(greeted=False)
    made.write()
    (ready,) = made.feed(hello(agent="them"))
    assert isinstance(ready, events.Ready)
    assert ready.hello.agent == "them"
    assert [(seen.kind, seen.body) for seen in made.frames()] == [("PING", Ping(1))]


def test_a_longer_hello_of_a_later_version_is_understood():
    check_hello(known(version=2))
    fields = ["penstock", 7, 2**14, 2**10, 2**10, 9, ["brotli"], "agent", 0, b"", b"", 0, 0, 0, "", 0, {"new": True}]
    assert rule_of(side(greeted=False).feed(frame(FrameType.HELLO, encode(fields)))) is None


@pytest.mark.parametrize("changes", [{"magic": "rsocket"}, {"magic": ""}, {"version": 0}])
def test_a_peer_with_another_protocol_breaks_rule_2_2(changes):
    with pytest.raises(ProtocolError) as caught:
        check_hello(known(**changes))
    assert caught.value.rule == "2.2"


def test_a_frame_of_this_side_keeps_the_limits_of_both():
    small, large = known(max_frame_bytes=16384, max_item_bytes=2048), known(max_frame_bytes=2**40, max_item_bytes=2**40)
    ours = Settings(max_frame_bytes=32768, max_unsent_bytes=5)
    for peer, limits in ((small, (16384, 2048, 5)), (large, (32768, 2**40, 5))):
        state = ConnectionState("client", ours, 0.0)
        state.peer = peer
        for codec in (0, 1):
            half = state.send_half(Limit(), codec)
            assert (*half.rules[1:3], half.budget.stream_bytes) == limits


def test_a_hello_before_the_handshake_has_four_kibibytes():
    full = HANDSHAKE_BYTES - HEADER_BYTES
    body = encode(known(agent="x" * (full - len(encode(known(agent="x" * 4000))) + 4000)))
    assert len(body) == full
    assert rule_of(side(greeted=False).feed(frame(FrameType.HELLO, body))) is None
    assert rule_of(side(greeted=False).feed(frame(FrameType.HELLO, body + b"\0"))) == "1.2"


def test_a_large_frame_may_follow_hello_in_the_same_read():
    made = Connection("server", Settings(), 0.0)
    seen = made.receive_data(hello() + frame(FrameType.PING, Ping(1)) + bytes(4), 0.0)
    assert [type(event) for event in seen] == [events.Ready]
    made = side(greeted=False)
    seen = made.feed(hello() + open_frame(argument=bytes(100_000)))
    assert [type(event) for event in seen] == [events.Ready, events.Opened]


def test_a_peer_says_which_process_it_is():
    me = Connection("client", Settings(), 0.0, instance=bytes(range(16)))
    made = side(greeted=False)
    made.feed(b"".join(me.data_to_send(ALL, 0.0)))
    assert made.connection.peer.instance == bytes(range(16))


def test_a_peer_of_an_older_version_says_nothing_of_its_process():
    made = side(greeted=False)
    made.feed(frame(FrameType.HELLO, encode(["penstock", 1, 2**14, 2**10, 2**10, 9, []])))
    assert made.connection.peer.instance == b""
