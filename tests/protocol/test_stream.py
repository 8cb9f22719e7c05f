"""One stream: the order of its frames, and its endings (PROTOCOL.md §3, §6)."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec import Raw

from penstock.errors import ProtocolError
from penstock.protocol import Limit, SendHalf, Settings, Status, WireStream
from penstock.protocol._budget import Unsent
from penstock.protocol._frames import LAST, MORE, NO_DETAILS, End, FrameType, decode_body
from penstock.protocol._send import MSGPACK_LAYOUT, SendRules
from penstock.protocol._stream import refusal
from tests.protocol.kit import ALL, Seen, ample, array, encode, opening, push, read_frames


def stream(kind: int = 3, *, callee: bool = False, **changes) -> WireStream:
    made = WireStream(opening(kind, **changes), callee=callee)
    made.id = 1
    made.send = SendHalf(Limit(100, 100_000), SendRules(MSGPACK_LAYOUT, 60, 10_000, Unsent(10_000, ample()), None))
    if callee:
        made.receives(FrameType.OPEN, 0 if kind & 1 else LAST)
    else:
        made.open()
    return made


def drain(made: WireStream, max_frame_bytes: int = ALL) -> list[Seen]:
    frames = []
    while made.has_frames():
        frames += read_frames(b"".join(made.next_frame(max_frame_bytes)))
    return frames


def accepted(kind: int = 3) -> WireStream:
    made = stream(kind, callee=True)
    made.sends(FrameType.ACCEPT)
    return made


def test_a_caller_opens_then_sends_then_ends():
    made = stream()
    push(made, 1, 2)
    assert [seen.kind for seen in drain(made)] == ["OPEN", "ITEMS"]
    push(made, 3)
    made.end()
    assert [(seen.kind, seen.flags) for seen in drain(made)] == [("ITEMS", LAST)]
    assert made.sending == "ended"


def test_an_end_after_the_last_items_left_is_a_frame_of_its_own():
    made = stream()
    push(made, 1, 2)
    drain(made)
    made.end()
    assert [(seen.kind, seen.body.count) for seen in drain(made)] == [("END", 2)]


def test_an_end_without_an_item_is_a_frame_of_its_own():
    made = stream()
    made.end()
    assert [(seen.kind, seen.stream) for seen in drain(made)] == [("OPEN", 1), ("END", 1)]


def test_a_callee_ends_with_its_last_items_or_with_a_status():
    made = accepted()
    push(made, 1)
    made.end()
    assert [(seen.kind, seen.flags) for seen in drain(made)] == [("ITEMS", LAST)]
    assert made.sending == "closed"
    made = accepted()
    push(made, 1)
    drain(made)
    made.end()
    (status,) = drain(made)
    assert status.body == Status(0, "", "", count=1)
    assert made.sending == "closed"


def test_an_end_while_the_last_message_is_in_fragments_is_a_frame_of_its_own():
    made = accepted()
    push(made, "x" * 100)
    made.next_frame(ALL)
    made.end()
    assert [seen.kind for seen in drain(made)] == ["ITEMS", "ITEMS", "STATUS"]


def test_an_error_comes_after_the_queued_items():
    made = accepted()
    push(made, 1)
    made.fail(Status(5, "not_found", "gone"), 1000)
    assert [seen.kind for seen in drain(made)] == ["ITEMS", "STATUS"]


def test_an_error_over_the_peers_limit_loses_its_details_and_keeps_its_code():
    made = accepted()
    made.fail(Status(5, "not_found", "é" * 4000, Raw(encode({"all": "x" * 2000})), False), 1024)
    ending = made.next_frame(ALL)[0]
    assert len(ending) <= 14 + 1024
    status = decode_body(FrameType.STATUS, ending[14:])
    assert (status.code, status.reason, status.started, status.details) == (5, "not_found", False, NO_DETAILS)
    assert status.message.startswith("é" * 160)


def test_a_unary_call_is_opened_with_last_and_may_be_answered_at_once():
    assert drain(stream(0))[0].flags == LAST
    made = stream(0, callee=True)
    push(made, "result")
    made.end()
    assert drain(made) == [Seen("ITEMS", LAST, 1, (0, 1, array("result")))]


@pytest.mark.parametrize(
    "step",
    [WireStream.end, partial(WireStream.sends, frame_type=FrameType.ACCEPT), lambda made: made.fail(Status(13), 1000)],
    ids=["end", "accept", "fail"],
)
def test_a_step_that_the_table_does_not_have_is_our_own_error(step):
    made = accepted()
    made.end()
    with pytest.raises(ProtocolError) as caught:
        step(made)
    assert not caught.value.remote


def test_a_large_open_leaves_in_fragments_that_agree_on_last():
    for kind, last in ((0, LAST), (3, 0)):
        made = stream(kind, argument=bytes(100))
        whole = encode(made.opened)
        pieces = [b"".join(made.next_frame(50)) for _ in iter(made.has_frames, False)]
        assert b"".join(piece[14:] for piece in pieces) == whole
        assert max(len(piece) for piece in pieces) == 14 + 50
        assert [piece[5] for piece in pieces] == [MORE | last] * (len(pieces) - 1) + [last]


def test_a_stream_that_stops_sending_forgets_its_frames():
    made = stream()
    push(made, 1)
    made.end()
    made.stop_sending()
    assert not made.has_frames()


def test_its_repr_says_how_it_stands():
    assert repr(stream()) == "<WireStream 1 S/m caller sending=open receiving=idle>"


REFUSED = [
    ({}, {"open_streams": 3}, 8, "max_streams"),
    ({"argument": bytes(2001)}, {"size": 2100}, 8, "max_item_bytes"),
    ({"metadata": {"a": "b"}}, {"size": 1025}, 8, "max_header_bytes"),
    ({"codec": 2}, {}, 12, "codec 2"),
    ({}, {"draining": True}, 14, "draining"),
]


@pytest.mark.parametrize(("changes", "given", "code", "word"), REFUSED, ids=[case[3] for case in REFUSED])
def test_a_stream_that_is_not_taken_was_never_started(changes, given, code, word):
    ours = Settings(max_streams=3, max_item_bytes=2000, max_header_bytes=1024)
    status = refusal(
        opening(**changes),
        settings=ours,
        **({"size": 100, "open_streams": 2, "draining": False} | given),
    )
    assert (status.code, status.started) == (code, False)
    assert word in status.message


def test_a_stream_within_all_limits_is_taken():
    ours = Settings(max_streams=3, max_item_bytes=2000, max_header_bytes=1024)
    opened = opening(argument=bytes(2000))
    assert refusal(opened, 3024, ours, open_streams=2, draining=False) is None


@pytest.mark.parametrize("callee", [False, True], ids=["caller", "callee"])
def test_a_half_close_comes_after_the_queued_items_and_leaves_the_stream_open(callee):
    made = accepted() if callee else stream()
    push(made, 1, 2)
    made.half_close()
    *_, items, ending = drain(made)
    assert (items.kind, items.flags) == ("ITEMS", 0)
    assert (ending.kind, ending.body) == ("END", End(2, None))
    assert made.sending != "closed"


@pytest.mark.parametrize("half_closed", [False, True])
@pytest.mark.parametrize("callee", [False, True], ids=["caller", "callee"])
def test_a_close_comes_after_the_queued_items_and_finishes_the_stream(callee, half_closed):
    made = accepted() if callee else stream()
    push(made, 1)
    if half_closed:
        made.half_close()
        drain(made)
    made.close("done", 1000)
    *before, ending = drain(made)
    assert [seen.kind for seen in before] == ([] if half_closed else ["ITEMS"] if callee else ["OPEN", "ITEMS"])
    assert ending.body == (Status(0, "", "done", count=1) if callee else End(1, "done"))
    assert made.sending == "closed"


def test_a_caller_may_close_after_its_last_item_has_ended_its_direction():
    made = stream()
    push(made, 1)
    made.end()
    made.close("done", 1000)
    assert [(seen.kind, seen.flags) for seen in drain(made)] == [("OPEN", 0), ("ITEMS", LAST), ("END", 0)]


@pytest.mark.parametrize("callee", [False, True], ids=["caller", "callee"])
def test_a_reason_is_cut_to_the_limit_of_the_peer(callee):
    made = accepted() if callee else stream()
    made.close("é\ud800" * 4000, 1024)
    ending = drain(made)[-1]
    reason = ending.body.message if callee else ending.body.reason
    assert reason.startswith("é\\ud800é")
    assert len(encode(ending.body)) <= 1024


def test_nothing_is_sent_after_a_half_close():
    made = accepted()
    made.half_close()
    with pytest.raises(ProtocolError) as caught:
        made.half_close()
    assert caught.value.rule == "3.4"
