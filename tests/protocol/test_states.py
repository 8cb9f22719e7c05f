"""The legal order of frames (PROTOCOL.md §3), over the whole of both tables."""

from __future__ import annotations

from itertools import product

import pytest

from penstock.errors import ProtocolError
from penstock.protocol import WireStream
from penstock.protocol._frames import COMPRESSED, LAST, MORE, FrameType
from penstock.protocol._states import CALLEE, CALLER, Table
from tests.protocol.kit import opening

TABLES = [pytest.param(CALLER, id="caller"), pytest.param(CALLEE, id="callee")]
STEPS = [(kind, flags) for kind, flags in product(FrameType, (0, LAST))]


def advance(table: Table, state: str, kind: int, flags: int, *, remote: bool) -> str:
    """Let a stream take a step, and return its state."""
    stream = WireStream(opening(), callee=(table is CALLEE) is not remote)
    stream.sending = stream.receiving = state
    (stream.receives if remote else stream.sends)(kind, flags)
    return stream.receiving if remote else stream.sending


@pytest.mark.parametrize("table", TABLES)
def test_a_step_is_in_the_table_or_breaks_rule_3_4(table):
    for state, (kind, flags) in product(table, STEPS):
        if (kind, flags) in table[state]:
            assert advance(table, state, kind, flags, remote=True) == table[state][kind, flags]
            continue
        with pytest.raises(ProtocolError) as caught:
            advance(table, state, kind, flags, remote=True)
        assert caught.value.rule == "3.4"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("remote", [True, False])
def test_the_error_names_the_side_that_broke_the_rule(table, remote):
    with pytest.raises(ProtocolError) as caught:
        advance(table, "closed", FrameType.ITEMS, 0, remote=remote)
    assert caught.value.remote is remote


@pytest.mark.parametrize("table", TABLES)
def test_other_flags_than_last_change_no_state(table):
    assert advance(table, "open", FrameType.ITEMS, MORE | COMPRESSED, remote=True) == "open"


@pytest.mark.parametrize("table", TABLES)
def test_every_state_is_reached_and_closed_is_final(table):
    reached, todo = {"idle"}, ["idle"]
    while todo:
        following = set(table[todo.pop()].values()) - reached
        reached |= following
        todo += following
    assert reached == set(table)
    assert table["closed"] == {}


def test_frames_of_the_connection_are_in_no_table():
    known = {kind for table in (CALLER, CALLEE) for steps in table.values() for kind, _ in steps}
    assert {FrameType(kind).name for kind in known} == {"OPEN", "ACCEPT", "ITEMS", "CREDIT", "END", "STATUS", "CANCEL"}
