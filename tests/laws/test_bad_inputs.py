"""Bad input is answered by a rule or by a status, never by another exception, and never with memory."""

from __future__ import annotations

import pytest

from penstock.protocol import events
from penstock.protocol._frames import FrameType, Ping
from tests.protocol.bad_inputs import CASES, Bad, prepare
from tests.protocol.kit import ALL, frame, open_frame, rule_of

PIECES = [pytest.param(ALL, id="whole"), pytest.param(1, id="byte by byte"), pytest.param(17, id="pieces")]


@pytest.mark.parametrize("piece_bytes", PIECES)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_input_is_answered_as_the_protocol_says(case: Bad, piece_bytes):
    made = prepare(case)
    seen = [event for at in range(0, len(case.data), piece_bytes) for event in made.feed(case.data[at : at + piece_bytes])]
    assert rule_of(seen) == case.rule
    assert made.connection.failed == (case.rule is not None)
    frames = made.frames()
    if case.rule is not None:
        assert (frames[-1].kind, frames[-1].body.code) == ("GOAWAY", 13)
        assert frames[-1].body.message.startswith(f"PROTOCOL.md rule {case.rule}: ")
        assert made.feed(frame(FrameType.PING, Ping(1)), open_frame(99)) == []
        assert made.frames() == []
    elif case.status is not None:
        assert [(answer.kind, answer.body.code, answer.body.started) for answer in frames] == [("STATUS", case.status, False)]
    elif case.data[4] != FrameType.GOAWAY:
        assert not [event for event in seen if isinstance(event, events.Failed)]


@pytest.mark.parametrize("case", [case for case in CASES if case.rule is None], ids=lambda case: case.name)
def test_a_connection_goes_on_after_what_is_no_violation(case: Bad):
    made = prepare(case)
    made.feed(case.data)
    made.write()
    made.feed(frame(FrameType.PING, Ping(5)))
    assert [(answer.kind, answer.body.number) for answer in made.frames()] == [("PONG", 5)]


def test_every_rule_that_a_peer_can_break_in_one_breath_has_a_case():
    covered = {case.rule for case in CASES if case.rule is not None}
    storms = {"10.4", "10.5"}  # test_storms has them
    assert covered >= {
        *("1.2", "1.4", "1.5", "1.7", "2.1", "2.2", "2.3", "3.2", "3.3", "3.4", "3.6", "4.1", "4.2", "4.3", "4.5", "4.6"),
        *("4.9", "5.1", "5.2", "5.4", "6.2", "10.2", "11.2", "11.3", "11.4"),
    }
    assert not covered & storms
