"""The picture of `penstock top`, and the rates between two snapshots."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from penstock.actors import ActorInfo, StreamInfo
from penstock.cli._format._snapshot import draw, with_rates
from penstock.node import HistoryView, NodeView, Snapshot

ACTOR = ActorInfo("counter", "1", "m:C", "running", 0, 100, 1, 2, 0, 3, 0, 5.0, "")
STREAM = StreamInfo("counter", 1, "ticks", False, "", "open", 0, 0, 0, 5)


def look(time_s=0.0, messages=0, sent=0, events=0, problem=None, **stream):
    node = NodeView("n", 7, "1", [], "/n.sock", None, time_s, 90.0, 1)
    actor = msgspec.structs.replace(ACTOR, messages=messages)
    flow = msgspec.structs.replace(STREAM, sent=sent, **stream)
    return Snapshot(node, [actor], [flow], HistoryView("h.db", events, 0, 10, 0, problem))


def drawn(now, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(draw(with_rates(now, look()), width))
    return console.file.getvalue()


def test_rates_are_differences_by_the_nodes_own_clock():
    rated = with_rates(look(2.0, messages=20, sent=100, events=8), look())
    assert rated.actors[0].messages_per_s == 10
    assert rated.streams[0].items_per_s == 50
    assert rated.history.events_per_s == 4


def test_what_was_not_there_before_and_what_began_anew_has_no_rate():
    now, before = look(1.0, messages=5), look(messages=50)
    assert with_rates(now, before).actors[0].messages_per_s == 0
    empty = msgspec.structs.replace(before, actors=[], streams=[], history=None)
    rated = with_rates(now, empty)
    assert (rated.actors[0].messages_per_s, rated.streams[0].items_per_s, rated.history.events_per_s) == (0, 0, 0)
    assert with_rates(empty, now).history is None


@pytest.mark.parametrize("width", [80, 130])
def test_no_cell_is_cut(width):
    text = drawn(look(1.0, messages=1_000_000, sent=123_456), width)
    assert "…" not in text
    assert all(word in text for word in ("counter", "running", "0/100", "CHANNELS", "ticks", "123,456", "HISTORY"))
    assert ("MESSAGES" in text) == (width >= 100)


def test_a_loop_that_has_stood_still_is_told_of_with_the_function():
    now = look(1.0)
    node = msgspec.structs.replace(now.node, stalls=3, stalled_s=0.34, stalled_in="Desk.wait (desk.py:7)")
    assert "the event loop has stood still 3 times, the last time 340 ms in Desk.wait (desk.py:7)" in drawn(
        msgspec.structs.replace(now, node=node), 130
    )
    assert "stood still" not in drawn(now, 130)


def test_a_low_terminal_shows_who_is_busy_and_says_how_many_are_not_shown():
    actors = [msgspec.structs.replace(ACTOR, id=str(at), address=f"actor-{at:02}") for at in range(34)]
    actors[30] = msgspec.structs.replace(actors[30], handling="measure")
    now = msgspec.structs.replace(look(1.0), actors=actors)
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(draw(with_rates(now, look()), 80, 24, "q ends"))
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 24
    assert lines[3].startswith("actor-30")
    assert "… 24 more" in "\n".join(lines)
    assert "STREAM" in "\n".join(lines)
    assert lines[-1] == "q ends"


def test_a_stream_whose_consumer_is_slow_says_so():
    assert "waits for its consumer" in drawn(look(1.0, sent=5, lag=5, credit=0), 130)
    assert "waits for its consumer" not in drawn(look(1.0, sent=5, lag=0, credit=0), 130)


@pytest.mark.parametrize(
    ("peer", "shown"), [("", "here"), ("unix:///n.sock", "a command"), ("tcp://10.0.0.1:5", "tcp://10.0.0.1:5")]
)
def test_who_consumes_a_stream_is_told(peer, shown):
    assert shown in drawn(look(1.0, peer=peer), 130)


def test_a_history_that_cannot_be_written_says_why():
    assert "disk full" in drawn(look(1.0, problem="disk full"), 130)
