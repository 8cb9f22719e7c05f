"""Events as lines: every kind has one, and none can break out of it."""

from __future__ import annotations

import json

import pytest

from penstock.cli._format import _event_lines as lines
from penstock.history import HistoryEvent
from penstock.observe import KINDS

DATA = {
    "log": {"level": "INFO", "text": "hello"},
    "crashed": {"n": 1, "error": "ValueError", "text": "bad"},
    "error": {"n": 1, "error": "NotFound", "text": "not here"},
    "restarted": {"after_s": 0.5, "reason": "it failed"},
    "stopped": {"reason": "told to"},
    "spawned": {"actor": "m:C", "id": "1-2", "parent": None, "args": [], "kwargs": {}},
    "channel_opened": {"channel": "abcdef123456", "initiator": "producer", "payload": {"a": 1}},
    "channel_accepted": {"channel": "abcdef123456", "payload": None},
    "channel_rejected": {"channel": "abcdef123456", "reason": "busy"},
    "channel_message": {"channel": "abcdef123456", "direction": "out", "message": {"x": 1}},
    "channel_closed": {"channel": "abcdef123456", "outcome": "lost", "reason": "gone"},
    "dropped": {"type": "add", "sender": "a"},
    "dead_letter": {"type": "add", "sender": None, "reason": "it has stopped"},
}
SAYS = {
    "log": "INFO      hello",
    "crashed": "crashed   ValueError: bad",
    "error": "error     NotFound: not here",
    "restarted": "restarted after 0.50 s: it failed",
    "stopped": "stopped   told to",
    "spawned": "spawned   m:C 1-2",
    "channel_opened": 'channel   abcdef ○ opened by producer {"a": 1}',
    "channel_accepted": "channel   abcdef ● accepted",
    "channel_rejected": "channel   abcdef × rejected: busy",
    "channel_message": 'channel   abcdef → {"x": 1}',
    "channel_closed": "channel   abcdef ○ lost: gone",
    "dropped": "dropped   add from a",
    "dead_letter": "dead letter add: it has stopped",
}


def event(kind, data, actor="counter"):
    return HistoryEvent(7, 1_000_000_000.5, actor, kind, data, "ab" * 32)


def plain(text):
    import click

    return click.unstyle(text)


@pytest.mark.parametrize("kind", DATA)
def test_the_line_of_a_kind(kind):
    date, _, rest = plain(lines.log_line(event(kind, DATA[kind]))).partition("  ")
    assert date.startswith("2001-09-0")
    assert rest == SAYS[kind]


@pytest.mark.parametrize("kind", [*KINDS, "unrecorded", "torn", "a kind of tomorrow"])
@pytest.mark.parametrize(
    "data", [{}, None, [], "text", {"$cut": {"bytes": 5}}, {"reason": None, "after_s": None, "channel": 5}]
)
def test_every_kind_has_every_form_whatever_its_data(kind, data):
    found = event(kind, data)
    for form in (lines.log_line, lines.compact_line, lines.pretty_lines):
        assert "counter" in form(found, named=True)
    assert "\n" not in lines.csv_event(found)


def test_nothing_in_an_event_can_steer_the_terminal():
    nasty = "\x1b[2J\n\r\x07"
    found = event("log", {"level": nasty, "text": nasty, nasty: nasty}, actor=nasty)
    for text in (lines.log_line(found, named=True), lines.compact_line(found, named=True)):
        assert plain(text).isprintable()
    assert all(line.isprintable() for line in plain(lines.pretty_lines(found, named=True)).splitlines())


def test_a_narrow_terminal_cuts_what_went_over_a_channel_and_wraps_the_rest():
    words = "word " * 30
    assert "\n" not in lines.log_line(event("channel_message", {"channel": "a", "message": words}), width=80)
    text = plain(lines.log_line(event("log", {"level": "INFO", "text": words}), width=80))
    assert text.count("word") == 30
    assert max(map(len, text.splitlines())) <= 80
    assert all(line.startswith(" " * 35) for line in text.splitlines()[1:])


def test_machines_get_both_times():
    found = json.loads(lines.json_event(event("log", {"text": "x"})))
    assert (found["time"], found["at"]) == (1_000_000_000.5, "2001-09-09T01:46:40.500Z")
    assert ",2001-09-09T01:46:40.500Z," in lines.csv_event(event("log", {}))
