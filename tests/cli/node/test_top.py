"""`penstock top`: what it shows, and what it makes of two looks."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from penstock.cli._node._top import draw, with_rates


def look(time_s=0.0, messages=0, sent=0, events=0, **stream):
    actor = {"id": "1", "address": "counter", "state": "running", "mailbox": 0, "mailbox_size": 100}
    flow = {
        "address": "counter",
        "name": "ticks",
        "channel": False,
        "peer": "",
        "number": 1,
        "state": "open",
        "sent": sent,
        "lag": 0,
    }
    return {
        "node": {"name": "n", "pid": 7, "urls": [], "socket": "/n.sock", "time_s": time_s, "uptime_s": 90, "dead_letters": 1},
        "actors": [{**actor, "handling": "", "messages": messages, "streams": 1, "channels": 2, "restarts": 3, "uptime_s": 5}],
        "streams": [{**flow, "credit": 5, **stream}],
        "history": {"events": events, "waiting": 0, "waiting_max": 10, "unrecorded": 0, "problem": None},
    }


def drawn(now, width):
    with_rates(now, look())
    console = Console(file=io.StringIO(), width=width)
    console.print(draw(now, width))
    return console.file.getvalue()


def test_rates_are_differences_by_the_nodes_own_clock():
    now = look(2.0, messages=20, sent=100, events=8)
    with_rates(now, look())
    assert now["actors"][0]["messages_per_s"] == 10
    assert now["streams"][0]["items_per_s"] == 50
    assert now["history"]["events_per_s"] == 4


def test_what_was_not_there_before_and_what_began_anew_has_no_rate():
    now, before = look(1.0, messages=5), look(messages=50)
    with_rates(now, before)
    assert now["actors"][0]["messages_per_s"] == 0
    with_rates(now, {**before, "actors": [], "streams": []})
    assert now["actors"][0]["messages_per_s"] == 0


@pytest.mark.parametrize("width", [80, 130])
def test_no_cell_is_cut(width):
    text = drawn(look(1.0, messages=1_000_000, sent=123_456), width)
    assert "…" not in text
    assert all(word in text for word in ("counter", "running", "0/100", "CHANNELS", "ticks", "123,456", "HISTORY"))
    assert ("MESSAGES" in text) == (width >= 100)


def test_a_low_terminal_shows_who_is_busy_and_says_how_many_are_not_shown():
    now = look(1.0)
    now["actors"] = [{**now["actors"][0], "id": str(at), "address": f"actor-{at:02}"} for at in range(34)]
    now["actors"][30]["handling"] = "measure"
    with_rates(now, look())
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(draw(now, 80, 24, "q ends"))
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
    now = look(1.0)
    now["history"]["problem"] = "disk full"
    assert "disk full" in drawn(now, 130)


@pytest.mark.processes
def test_once_prints_one_look(cli):
    done = cli("top", "--once", "--interval", "0.05")
    assert done.code == 0
    assert "2 actors" in done.out
    assert "counter" in done.out


@pytest.mark.processes
def test_json_has_everything(cli, follow):
    followed = follow("subscribe", "counter", "ticks", "--params", "[0.01]")
    followed.line()
    found = cli("top", "--once", "--json", "--interval", "0.2").json
    (stream,) = found["streams"]
    assert (stream["address"], stream["channel"], stream["state"]) == ("counter", False, "open")
    assert stream["items_per_s"] > 5
    assert found["history"]["waiting_max"] > 0


@pytest.mark.processes
def test_it_goes_on_until_it_is_ended(follow):
    followed = follow("top", "--json", "--interval", "0.05")
    first, second = json.loads(followed.line()), json.loads(followed.line())
    assert second["node"]["time_s"] > first["node"]["time_s"]
    before = time.monotonic()
    assert followed.end() == 130
    assert time.monotonic() - before < 5
