"""logs, events, replay, verify: what is shown, what is filtered, what is found."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import time

import pytest

from penstock.cli._node import _history

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def marker():
    """A text that is found in no other event."""
    return f"mark-{time.time_ns()}"


@pytest.fixture
def events(cli, marker):
    """Some events of the counter, recorded once."""
    if not cli("events", "counter", "--search", marker, "--json").values:
        cli("request", "counter", json.dumps({"action": "marked", "params": marker}))
        cli("request", "counter", '{"action": "refuse"}')
        cli("request", "counter", '{"action": "fail"}')
        cli("request", "counter", '{"action": "add", "params": 0}')  # is answered when it has been restarted
    return lambda *options: cli("events", "counter", *options)


def test_json_is_an_event_a_line(events):
    found = events("--format", "json").values
    assert [event["offset"] for event in found] == sorted(event["offset"] for event in found)
    assert {"spawned", "log", "started", "message", "reply", "error", "crashed", "restarted"} <= {e["kind"] for e in found}
    assert events("--json").values == found


def test_events_are_filtered_by_type(events):
    assert {event["kind"] for event in events("--type", "error", "--type", "crashed", "--json").values} == {"error", "crashed"}
    done = events("--type", "eror")
    assert done.code == 2
    assert "'eror' is not one of" in done.err


def test_events_are_filtered_by_text(events, marker):
    assert {event["kind"] for event in events("--search", marker.upper(), "--json").values} == {"message", "reply"}


def test_events_are_filtered_by_number_and_time(events):
    found = events("--json").values
    third = found[2]["offset"]
    assert events("--from", third, "--json").values == found[2:]
    assert events("--to", third, "--json").values == found[:2]
    assert events("--from", "1 h", "--json").values == found
    assert events("--to", "1 h", "--json").values == []
    assert events("--from", "2020-01-01", "--to", "2099-12-31T00:00:00", "--json").values == found
    assert "leave one of them out" in events("--to", "1 h", "-f").err


WHENS = [
    "1 hour",
    "2 days",
    "90 sec",
    "15 min",
    "1h 30m",
    "1.5 hours, 3 minutes",
    "1 WEEK ago",
    "2 hrs ago",
    "Yesterday",
]


@pytest.mark.parametrize("when", WHENS)
def test_a_time_is_read_as_people_write_it(events, when):
    """FAULTS F8."""
    found = [event for event in events("--json").values if event["time"] > time.time() - 80]
    assert found
    assert [event for event in events("--from", when, "--json").values if event in found] == found
    assert events("--to", when, "--json").values == []


def test_a_span_is_the_sum_of_its_parts():
    """FAULTS F8."""
    assert _history._span("1 day, 2 hours 3 min 4s") == 86_400 + 2 * 3600 + 3 * 60 + 4
    assert _history._span("1w") == 7 * 86_400
    assert _history._span("now") == 0
    assert _history._moment("today", "--from") - _history._moment("yesterday", "--from") in {23 * 3600, 24 * 3600, 25 * 3600}
    assert 0 <= time.time() - _history._moment("today", "--from") <= 25 * 3600


@pytest.mark.parametrize("when", ["soon", "-5", "3 apples", "ago", "1", "1.5", "h", "1 hour 2", "25:00", "2026-13-01", ""])
def test_what_is_no_time_is_refused_with_what_is_one(cli, when):
    if when == "1":
        assert cli("events", "counter", "--from", " 1 ").code == 0  # the number of an event
        return
    done = cli("events", "counter", "--from", when)
    assert done.code == 2
    assert f"--from {when}: write a span back from now (15 min, 2 days), today, yesterday, a time" in done.err


def test_the_last_events_can_be_asked_for(events):
    assert events("-n", 2, "--json").values == events("--json").values[-2:]
    assert events("-n", 0).out == ""


def test_compact_is_a_line_for_each(events, marker):
    line = events("--search", marker, "--type", "message", "--format", "compact").lines[0]
    assert "message" in line
    assert f"args=[{json.dumps(marker)}]" in line or marker in line


def test_pretty_has_the_data_below(events, marker):
    lines = events("--search", marker, "--type", "reply", "--format", "pretty").lines
    assert "reply" in lines[0]
    assert json.loads("\n".join(lines[1:]))["result"]["payload"] == marker


def test_csv_can_be_read_again(events, marker):
    rows = list(csv.DictReader(io.StringIO(events("--search", marker, "--format", "csv").out)))
    assert [row["kind"] for row in rows] == ["message", "reply"]
    assert json.loads(rows[1]["data"])["result"]["payload"] == marker


def test_events_are_exported_to_a_file(events, marker, tmp_path):
    done = events("--search", marker, "--export", tmp_path / "found.ndjson")
    assert done.out == f"wrote 2 events to {tmp_path}/found.ndjson\n"
    assert [json.loads(line)["kind"] for line in (tmp_path / "found.ndjson").read_text().splitlines()] == ["message", "reply"]
    assert "cannot be written" in events("--export", tmp_path / "no" / "such.csv").err


def test_events_are_exported_to_a_regular_file_only(events, marker, tmp_path):
    """FAULTS H6: also behind a link; the FIFO is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    done = events("--search", marker, "--export", tmp_path / "link")
    assert (done.code, done.out) == (2, "")
    assert "link cannot be written: it is a FIFO, and only a regular file can be used" in done.err


def test_the_events_of_all_actors_can_be_asked_for(cli, events):
    assert {event["actor"] for event in cli("events", "**", "--json").values} >= {"counter", "rooms/silent"}


def test_an_actor_that_never_was_is_told(cli):
    done = cli("events", "nobody")
    assert (done.code, done.out) == (69, "")
    assert "no actor 'nobody'" in done.err


def test_an_actor_that_has_stopped_is_found_by_name_and_id(cli, tmp_path):
    (tmp_path / "brief.py").write_text("import penstock\n\nclass Brief(penstock.Actor): pass\n")
    (tmp_path / "brief.toml").write_text('name = "brief"\nactor = "brief.py:Brief"\n')
    actor = cli("start", tmp_path / "brief.toml", "--id-only").out.strip()
    cli("stop", "brief")
    for name in ("brief", actor):
        assert [line.split()[1] for line in cli("logs", name).lines] == ["spawned", "stopped"]


# ── logs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_logs_show_what_it_said_and_how_it_fares(cli, events):
    events()
    text = cli("logs", "counter").out
    assert "INFO      starting at 5" in text
    assert "crashed   ZeroDivisionError: on purpose" in text
    assert "error     PermissionDenied: not you" in text
    assert "restarted after " in text


def test_logs_are_followed_without_a_gap(follow, cli):
    cli("restart", "counter")
    followed = follow("logs", "counter", "-f", "-n", 1)
    assert "starting at 5" in followed.line()
    cli("restart", "counter")
    assert "restarted it was asked to" in followed.line()
    assert "starting at 5" in followed.line()
    assert followed.end() == 130


def test_a_line_that_an_actor_logs_cannot_steer_the_terminal(cli, tmp_path):
    text = "import penstock\n\nclass Nasty(penstock.Actor):\n    async def on_start(self): self.log.info('a\\x1b[31m\\nb')\n"
    (tmp_path / "nasty.py").write_text(text)
    (tmp_path / "nasty.toml").write_text('name = "nasty"\nactor = "nasty.py:Nasty"\n')
    cli("start", tmp_path / "nasty.toml")
    assert cli("logs", "nasty").lines[1].endswith(r"a\x1b[31m\nb")
    cli("stop", "nasty")


def test_without_a_history_logs_say_how_to_have_one(places, here, start, run, tmp_path):
    server = start("server", "--history", "none", "--socket", tmp_path / "n.sock")
    assert "none" in [server.stdout.readline() for _ in range(2)][1]
    done = run("logs", "x", "--socket", tmp_path / "n.sock")
    assert done.returncode == 73
    assert "penstock server --history PATH" in done.stderr


# ── verify ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_verify_checks_the_history_of_the_node(cli, events):
    events()
    done = cli("verify")
    assert done.code == 0
    assert "all as they were recorded" in done.out
    found = cli("verify", "--json").json
    assert found["ok"] is True
    hashes = {event["offset"]: event["hash"] for event in cli("events", "**", "--json").values}
    assert hashes[found["head"]["offset"]] == found["head"]["hash"]
    offset, digest = re.search(r"^  the last event is (\d+), its hash (\w{64})$", done.out, re.MULTILINE).groups()
    assert hashes[int(offset)] == digest


def test_verify_says_which_event_was_changed(cli, events, server, tmp_path):
    events()
    copy = tmp_path / "copy.db"
    with sqlite3.connect(f"file:{server['history']}?mode=ro", uri=True) as live, sqlite3.connect(copy) as other:
        live.backup(other)
    live.close()
    with other:
        first, text = other.execute("SELECT first, events FROM blocks ORDER BY first").fetchone()
        other.execute("UPDATE blocks SET events = ? WHERE first = ?", (text.replace(b"spawned", b"spawnex", 1), first))
    other.close()
    done = cli("verify", copy)
    assert done.code == 3
    assert "event 0 is not the one that was recorded" in done.out
    assert cli("verify", copy, "--json").json["offset"] == 0


def test_verify_takes_no_other_file_for_a_history(cli, tmp_path):
    (tmp_path / "other.db").write_text("x" * 200)
    done = cli("verify", tmp_path / "other.db")
    assert done.code == 73
    assert "is not a history" in done.err


# ── replay ────────────────────────────────────────────────────────────────────────────────────────────────────────────

KEEPER = """
import time
import penstock

class Keeper(penstock.Actor):
    def __init__(self) -> None: self.n = 0
    async def add(self, k: int) -> int: self.n += k; return self.n
    async def now(self) -> int: return time.time_ns()
    async def other(self) -> None: await self.system.ask("counter", "add", 0)
"""


@pytest.fixture
def keeper(cli, tmp_path):
    """An actor that answers the same each time, but for one method."""
    (tmp_path / "keeper.py").write_text(KEEPER)
    (tmp_path / "keeper.toml").write_text('name = "keeper"\nactor = "keeper.py:Keeper"\n')
    cli("start", tmp_path / "keeper.toml")
    yield "keeper"
    cli("stop", "keeper")


def test_a_replay_that_comes_out_the_same_says_so(cli, keeper):
    for number in range(3):
        cli("request", keeper, json.dumps({"action": "add", "params": {"k": number}}))
    done = cli("replay", keeper)
    assert (done.code, done.out) == (
        0,
        f"keeper: 3 messages replayed, all came out as recorded, since event {_spawned(cli)}, where it was last spawned\n",
    )
    assert cli("state", keeper).json == {"n": 3}


def test_a_replay_says_where_the_first_difference_is(cli, keeper):
    cli("request", keeper, '{"action": "now"}')
    done = cli("replay", keeper)
    assert done.code == 3
    offset = cli("events", keeper, "--type", "reply", "--json").values[-1]["offset"]
    assert done.lines[0].startswith("keeper: 1 of 1 message compared, since event ")
    assert done.lines[1] == f"  the first difference is at event {offset}"
    assert "recorded" in done.lines[2]
    assert cli("replay", keeper, "--json").json["divergence"]["offset"] == offset


def _spawned(cli):
    return cli("events", "keeper", "--type", "spawned", "--json").values[-1]["offset"]


def test_a_replay_that_could_not_compare_everything_says_what_and_why(cli, keeper):
    cli("request", keeper, '{"action": "add", "params": 1}')
    cli("request", keeper, '{"action": "other"}')
    done = cli("replay", keeper)
    assert done.code == 4
    assert done.lines[0].startswith("keeper: 1 of 2 messages compared, as recorded so far, since event ")
    assert "it could not go on: event " in done.lines[1]
    assert "'other', needs 'counter', which is not part of a replay" in done.lines[1]
    assert len(done.lines) == 2


def test_a_replay_that_compared_nothing_has_words_and_an_exit_code_of_its_own(cli, keeper):
    """FAULTS F2."""
    done = cli("replay", keeper)
    where = f"since event {_spawned(cli)}, where it was last spawned"
    assert (done.code, done.lines) == (5, [f"keeper: nothing was compared, because no message is recorded, {where}"])
    cli("request", keeper, '{"action": "other"}')
    done = cli("replay", keeper)
    assert (done.code, done.lines[0]) == (5, f"keeper: nothing was compared of 1 message, {where}")
    assert "it could not go on: event " in done.lines[1]


def test_an_actor_that_was_never_recorded_cannot_be_replayed(cli):
    assert cli("replay", "nobody").code == 69
    assert cli("replay", "**").code == 67
