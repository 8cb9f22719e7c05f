"""The examples with actors do what they say: bounds, outcomes, losses, restarts, the same in two processes."""

from __future__ import annotations

import re

import pytest

from tests.examples._programs import run

pytestmark = pytest.mark.processes

READINGS = 30
ROOM = ["  2 lines, the last two: ['ann: is anybody here?', 'bob: I am']", "  'welcome to {}, ann', then '5 letters'"]


def _numbers(pattern: str, printed: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(pattern, printed)]


def test_messages_of_a_session_are_filtered_told_as_events_and_left_early():
    lines = run("actors/sessions.py").splitlines()
    assert "filtered, by the stub: ['message 1', 'message 3', 'message 5']" in lines
    events = [line.split()[0] for line in lines if line.startswith("    ") and line.split()[0] in {"data", "end", "error"}]
    assert events == ["data", "end", "data", "error"]
    assert "    error DataLoss: the disk of this session is gone" in lines
    assert [line for line in lines if line.startswith("    message")] == [f"    message {n}" for n in (2, 4, 6)]
    left = lines.index("left early, after message 1")
    assert _numbers(r"finally: (\d) of 6 entries", lines[left + 1]) == [2]  # the one that was taken, and buffer_size=1


def test_tokens_end_by_break_by_a_token_and_by_two_time_outs_and_the_model_knows_each_time():
    lines = run("actors/tokens.py").splitlines()
    parts = [index for index, line in enumerate(lines) if line.endswith(":")]
    assert [lines[index] for index in parts] == [
        "until a word is there:",
        "a stop button:",
        "0.2 s for all of it:",
        "0.1 s for each token:",
    ]
    outcomes = [line.split(":")[0].strip() for line in lines if re.match(r"    \w+: ", line)]
    assert outcomes == ["Cancelled", "DeadlineExceeded", "IdleTimeout"]
    cleaned = re.findall(r"finally: done with 'tell me of (\w+)'", "\n".join(lines))
    assert cleaned == ["dams", "rivers", "seas", "ice"]  # and not lakes: that stream never began
    assert lines[parts[0] + 1].split() == ["the", "water", "runs"]


def test_the_producer_of_a_large_data_set_is_never_more_than_its_buffer_ahead():
    printed = run("actors/dataset.py", "50000")
    assert _numbers(r"all ([\d,]+) received", printed) == [50_000]
    assert _numbers(r"at most (\d+) ahead", printed)[0] <= 16
    assert _numbers(r"thinks: (\d+) made", printed) == [10 + 16]
    assert _numbers(r"finally: made ([\d,]+) of", printed) == [50_000, 26]
    assert _numbers(r"had to wait (\d+) times", printed)[0] >= 1


def test_each_subscriber_of_a_port_is_too_slow_in_its_own_way_and_is_told():
    lines = {line.split(":")[0]: line for line in run("actors/sensors.py").splitlines()}
    assert set(lines) == {"wait", "latest", "drop_oldest", "another process"}
    taken = {name: [int(word) for word in line.split(": ")[2].split() if word != "..."] for name, line in lines.items()}
    assert taken["wait"] == list(range(1, READINGS + 1))
    for name, line in lines.items():
        received, lost = _numbers(r"(\d+) received", line)[0], _numbers(r"(\d+) lost", line)[0]
        assert (received, received + lost) == (len(taken[name]), READINGS), line
        assert taken[name] == sorted(taken[name])
    for name in ("latest", "drop_oldest", "another process"):
        assert len(taken[name]) < READINGS
        assert taken[name][-1] == READINGS
    assert taken["drop_oldest"][-4:] == [27, 28, 29, 30]  # its whole buffer


def test_a_worker_that_crashes_begins_anew_with_the_messages_that_wait_until_its_limit():
    printed = run("actors/crashes.py")
    assert re.findall(r"job (\d) is done; since it began: (.*)", printed) == [
        ("1", "[1]"),
        ("2", "[1, 2]"),
        ("4", "[4]"),
        ("5", "[4, 5]"),
        ("7", "[7]"),
        ("8", "[7, 8]"),
    ]
    begun = [float(second) for second in re.findall(r"([\d.]+) s  \[worker\] begins", printed)]
    assert len(begun) == 3
    assert begun[1] - begun[0] >= 0.09  # 0.2 s, of which jitter may take a half
    assert begun[2] - begun[1] >= 0.19
    assert re.findall(r"job (\d) is poisoned: .* (restarting|stopped), (\d)", printed) == [
        ("3", "restarting", "7"),
        ("6", "restarting", "4"),
        ("9", "stopped", "0"),
    ]
    assert printed.count("DeadLetter(") == 1  # job 10
    assert "has stopped: it crashed with RuntimeError, after 2 restarts within" in printed


def test_a_room_is_used_in_the_same_way_here_there_and_through_a_bridge():
    lines = run("actors/rooms.py").splitlines()
    here, there = ([line.format(topic) for line in ROOM] for topic in ("dams", "the sea"))
    assert lines[1:3] == here
    assert lines[4:6] == there
    assert lines[7:9] == [there[0].replace("2 lines", "4 lines"), there[1]]  # it is the same room
