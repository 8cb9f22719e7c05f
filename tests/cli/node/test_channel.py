"""`penstock channel open` in pipes: commands line by line, messages as they come."""

from __future__ import annotations

import json
import os

import pytest

from penstock.cli._node import _channel
from penstock.cli._stdio import TEXT_BYTES_MAX

pytestmark = pytest.mark.processes


def test_what_is_sent_and_what_arrives(piped):
    done = piped("channel", "open", "counter", "-m", '{"hello": 1}', stdin='send {"n": 1}\nsend just a text\n\nsend 5\n')
    assert (done.code, done.values) == (0, [{"echo": {"n": 1}}, {"echo": "just a text"}, {"echo": 5}])
    assert 'channel to counter is open: {"welcome": {"hello": 1}}' in done.err


def test_the_end_of_the_commands_is_not_the_end_of_the_answers(piped):
    done = piped("channel", "open", "counter", stdin="".join(f"send {number}\n" for number in range(100)))
    assert [value["echo"] for value in done.values] == list(range(100))


def test_json_tells_everything_in_lines(piped):
    done = piped("channel", "open", "counter", "--json", stdin="send 1\nsend bye\n")
    assert done.values == [
        {"event": "opened", "actor": "counter", "payload": {"welcome": None}},
        {"event": "message", "message": {"echo": 1}},
        {"event": "closed", "state": "closed", "reason": "you said bye"},
    ]
    assert done.err == ""


def test_the_other_side_closes_with_a_reason(piped):
    done = piped("channel", "open", "counter", stdin="send bye\n")
    assert done.code == 0
    assert "closed: you said bye" in done.err


def test_a_rejected_channel_is_an_error_with_its_reason(piped):
    done = piped("channel", "open", "counter", "-m", '"no"')
    assert (done.code, done.out) == (73, "")
    assert "ChannelRejected: not today" in done.err


def test_exit_and_close_close_it_with_a_reason(piped, cli):
    assert piped("channel", "open", "counter", stdin="close enough of it\nsend 1\n").out == ""
    last = cli("events", "counter", "--type", "channel_closed", "--json").values[-1]
    assert (last["data"]["outcome"], last["data"]["reason"]) == ("closed", "enough of it")
    done = piped("channel", "open", "counter", stdin="send 1\nexit\nsend 2\n")
    assert (done.code, done.values) == (0, [{"echo": 1}])


def test_after_the_last_command_silence_is_borne_only_for_a_while(piped, monkeypatch):
    monkeypatch.setattr(_channel, "SILENCE_S", 0.05)
    done = piped("channel", "open", "counter", "-m", '"deaf"', stdin="send 1\n")
    assert (done.code, done.out) == (0, "")
    assert "no message came for 0.05 s" in done.err


def test_what_is_opened_and_sent_can_come_from_files(piped, tmp_path):
    (tmp_path / "opening.json").write_text('{"from": "a file"}')
    (tmp_path / "message.txt").write_text("line one\nline two\n")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    lines = f"send --file {tmp_path}/message.txt\nsend --file {tmp_path}/binary\nsend --file {tmp_path}/none\n"
    done = piped("channel", "open", "counter", "-f", tmp_path / "opening.json", stdin=lines)
    assert done.values == [{"echo": "line one\nline two\n"}, {"echo": "/wA="}]
    assert '{"from": "a file"}' in done.err
    assert "none cannot be read: No such file or directory" in done.err


def test_a_command_that_is_none_is_told_and_the_channel_goes_on(piped):
    done = piped("channel", "open", "counter", stdin='sned 1\nsend\nhelp\nsend 1\n{"a": 1}\n')
    assert (done.code, done.values) == (2, [{"echo": 1}])
    assert "unknown command 'sned'; did you mean 'send'?" in done.err
    assert "nothing to send" in done.err
    assert "close the channel at once; a reason may follow" in done.err
    assert 'did you mean: send {"a": 1}' in done.err


@pytest.mark.parametrize("broken", ['{"a": b}', "[1,", '"half'])
def test_what_begins_like_json_and_is_none_is_not_sent(piped, broken):
    done = piped("channel", "open", "counter", stdin=f"send {broken}\nsend all {broken}\n")
    assert (done.code, done.values) == (2, [{"echo": f"all {broken}"}])
    assert "the message is not valid JSON: " in done.err


def test_a_file_that_is_too_long_or_not_a_regular_one_is_refused(cli, piped, tmp_path):
    """FAULTS H6: a FIFO would be waited for, a device has no end."""
    os.mkfifo(tmp_path / "fifo")
    for special in (tmp_path / "fifo", "/dev/zero"):
        done = cli("channel", "open", "counter", "-f", special)
        assert done.code == 2
        assert f"{special} cannot be read: it is a" in done.err
        done = piped("channel", "open", "counter", stdin=f"send --file {special}\n")
        assert f"{special} cannot be read: it is a" in done.err
    with (tmp_path / "long").open("wb") as file:
        file.truncate(TEXT_BYTES_MAX + 1)
    assert "too long for one message" in cli("channel", "open", "counter", "-f", file.name).err


@pytest.mark.parametrize(
    ("given", "text"),
    [(["-m", "{"], "--message is not valid JSON"), (["-m", "1", "-f", __file__], "either --message or --file")],
)
def test_an_opening_that_cannot_be_read_is_told(cli, given, text):
    done = cli("channel", "open", "counter", *given)
    assert done.code == 2
    assert text in done.err


def test_an_actor_without_channels_rejects_it(piped):
    done = piped("channel", "open", "rooms/silent")
    assert done.code == 73
    assert json.dumps(done.out) == '""'
