"""`penstock top`: once, in a pipe, as JSON."""

from __future__ import annotations

import json
import time

import pytest


@pytest.mark.processes
def test_once_prints_one_look(cli):
    done = cli("top", "--once", "--interval", "0.05")
    assert done.code == 0
    assert "2 actors" in done.out
    assert "counter" in done.out


@pytest.mark.processes
def test_json_has_everything(cli, follow):
    followed = follow("subscribe", "counter", "ticks", "--params", '{"every_s": 0.01}')
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
