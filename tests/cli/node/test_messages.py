"""message, request, subscribe: what is said, how it is read, what comes back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from penstock.cli._node import _messages
from penstock.cli._run import explain
from penstock.errors import ConnectionLost
from penstock.node import PreparedMessage
from tests.cli.node.conftest import FOLDER

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _fresh(cli):
    cli("restart", "counter")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"action": "add", "params": {"count": 2}}, 7),
        ({"action": "add", "params": 4}, 9),
        ({"action": "add"}, 6),
        ({"action": "add", "params": {}}, 6),
        ({"action": "add", "params": None}, 6),
        ({"action": "move", "params": {"place": {"city": "Bern", "zip": 3000}, "times": 2}}, "2 x Bern 3000"),
        ({"action": "move", "params": [{"city": "Bern"}]}, "1 x Bern 0"),
        ({"action": "join", "params": ["a", "b"]}, "a+b"),
        ({"action": "join", "params": {"parts": ["a", "b"]}}, "a+b"),
        ({"action": "unheard", "params": {"x": 1}}, {"type": "unheard", "payload": {"x": 1}}),
        ("hello", {"type": "message", "payload": "hello"}),
        ({"no": "action"}, {"type": "message", "payload": {"no": "action"}}),
        (None, {"type": "message", "payload": None}),
        ([1, 2], {"type": "message", "payload": [1, 2]}),
    ],
)
def test_an_action_calls_a_method_and_anything_else_is_a_message(cli, said, answer):
    done = cli("request", "counter", json.dumps(said))
    assert (done.code, done.json) == (0, answer)


def test_what_every_actor_answers_can_be_called_from_elsewhere_too(cli, server):
    (url,) = server["urls"]
    assert cli("call", url, "/counter/ping").out == '"pong"\n'
    assert "ping" in {method["name"] for method in cli("call", url, "/counter/accepts").json}
    assert cli("call", url, "/counter/describe").json["name"] == "Counter"
    done = cli("call", url, "/counter/pink")
    assert done.code == 76
    assert "unknown method 'pink' of /counter; did you mean 'ping'?" in done.err


def test_an_argument_that_an_actor_refuses_comes_with_the_command_that_shows_its_parameters(cli, server):
    (url,) = server["urls"]
    done = cli("call", url, "/counter/add", '"x"')
    assert done.code == 67
    assert f"`penstock call {url} /counter/accepts` shows its parameters" in done.err
    assert "add" in {method["name"] for method in cli("call", url, "/counter/accepts").json}


def test_a_message_waits_for_no_answer(cli):
    assert cli("message", "counter", '{"action": "add", "params": 2}').out == "sent add to counter\n"
    assert cli("request", "counter", '{"action": "add", "params": 0}').json == 7
    assert cli("message", "counter", '"hi"', "--json").json["sent"]["type"] == "message"
    assert cli("state", "counter").json["heard"] == ["hi"]


def test_a_message_is_read_from_standard_input(piped):
    assert piped("request", "counter", "-", stdin='{"action": "add",\n "params": 2}\n').json == 7


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        ('{"action": "add", "params": {"cuont": 2}}', 67, "unknown argument `cuont`"),
        ('{"action": "add", "params": "two"}', 67, "argument `count`: Expected `int`, got `str`"),
        ('{"action": "add", "params": [2, 3]}', 67, "2 arguments where 1 are taken"),
        ('{"action": "move", "params": {"place": {"zip": 1}}}', 67, "missing required field `city`"),
        ('{"action": "move"}', 67, "argument `place` is missing"),
        ('{"action": "ticks"}', 67, "follow it with `penstock subscribe counter ticks`"),
        ('{"action": "total"}', 67, "takes a stream of items"),
        ('{"action": 5}', 2, "it must be a text, the name of a method"),
        ('{"action": "add", "count": 5}', 2, "'count'"),
        ("hello", 2, "two pairs of quotes"),
        ("{", 2, "is not valid JSON"),
    ],
)
@pytest.mark.parametrize("verb", ["message", "request"])
def test_what_cannot_be_said_is_told_before_it_is_sent(cli, verb, said, code, text):
    done = cli(verb, "counter", said)
    assert (done.code, done.out) == (code, "")
    assert text in done.err


@pytest.mark.parametrize("verb", ["request", "message"])
def test_a_negative_number_is_a_message_and_no_option(cli, verb):
    assert "has no `receive`" in cli(verb, "rooms/silent", "-5").err


@pytest.mark.parametrize("words", ["call {url} /counter/add 1", "request counter 1", "list --json"])
def test_an_output_that_the_shell_closed_is_told_of_an_actor_too(places, server, words):
    command = f"{sys.executable} -m penstock {words.format(url=server['urls'][0])} >&-"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=20, check=False, env={**os.environ, **places}
    )
    assert (done.returncode, done.stderr) == (1, "penstock: standard output is closed; >/dev/null throws the output away\n")


def test_describing_a_node_says_how_its_actors_are_described(cli, server):
    url = server["urls"][0]
    done = cli("describe", url)
    assert (done.code, done.json["services"]) == (0, [])
    assert f"no service at {url}" in done.err
    assert f"`penstock call {url} /ACTOR/accepts`" in done.err
    assert "add" in {method["name"] for method in cli("call", url, "/counter/accepts").json}


def test_an_actor_without_receive_says_what_it_takes(cli):
    assert "has no `receive`" in cli("request", "rooms/silent", '"hello"').err
    done = cli("message", "rooms/silent", '{"action": "olny"}')
    assert done.code == 76
    assert "did you mean 'only'?" in done.err


@pytest.mark.parametrize(("action", "code", "text"), [("refuse", 71, "not you"), ("fail", 77, "ZeroDivisionError: on purpose")])
def test_an_error_of_the_actor_is_the_exit_code(cli, action, code, text):
    done = cli("request", "counter", json.dumps({"action": action}))
    assert done.code == code
    assert text in done.err


def test_an_answer_that_does_not_come_in_time_is_told(cli, tmp_path):
    (tmp_path / "slow.toml").write_text(f'name = "slow"\nactor = "{FOLDER}/actors.py:Counter"\n')
    cli("start", tmp_path / "slow.toml")
    done = cli("request", "slow", '{"action": "wait"}', "--timeout", "0.1")
    cli("stop", "slow")
    assert done.code == 68
    assert re.search(r"; it is busy with wait since \d s; slow may still handle it$", done.err.strip())


def test_what_a_lost_connection_means_for_the_message_is_told():
    message = PreparedMessage("slow", "1-a", "wait", None)
    for error, note in [
        (ConnectionLost("gone"), "it is not known whether slow handled it"),
        (ConnectionLost("gone", started=False), "slow has not begun to handle it: it can be sent again"),
    ]:
        with pytest.raises(ConnectionLost) as caught, _messages._explaining(message):
            raise error
        assert click.unstyle(explain(caught.value)) == f"ConnectionLost: gone; {note}"


# ── subscribe ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_streaming_method_is_printed_one_value_a_line(cli):
    assert cli("subscribe", "counter", "ticks", "--params", '{"last": 3}').values == [1, 2, 3]
    assert cli("subscribe", "counter", "ticks", "--params", "[0, 2]").values == [1, 2]


def test_a_stream_ends_quietly_when_nobody_reads(places, server):
    command = f"{sys.executable} -m penstock subscribe counter ticks | head -3"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=20, check=True, env={**os.environ, **places}
    )
    assert (done.stdout, done.stderr) == ("1\n2\n3\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize(
    "words", ["list", "subscribe counter ticks", "events counter --format csv", "request counter 1", "top"]
)
def test_an_output_that_is_full_is_told_in_one_line(places, server, words):
    command = f"{sys.executable} -m penstock {words} > /dev/full"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=20, check=False, env={**os.environ, **places}
    )
    assert (done.returncode, done.stderr) == (1, "penstock: [Errno 28] No space left on device\n")


def test_what_is_neither_port_nor_stream_is_told(cli):
    done = cli("subscribe", "counter", "tikcs")
    assert done.code == 69
    assert "no port or stream 'tikcs'; did you mean 'ticks'?" in done.err


def test_a_wrong_parameter_of_a_stream_is_told(cli):
    assert "argument `last`" in cli("subscribe", "counter", "ticks", "--params", '{"last": "x"}').err


def test_ids_come_from_standard_input_and_each_line_says_whose_it_is(piped):
    done = piped("subscribe", "-", "ticks", "--params", "[0, 2]", stdin="counter\n\ncounter\n")
    assert sorted((line["actor"], line["item"]) for line in done.values) == [("counter", 1)] * 2 + [("counter", 2)] * 2
    assert "names no actor" in piped("subscribe", "-").err


def test_a_port_is_followed(follow, cli):
    followed = follow("subscribe", "counter", "readings")
    first = int(followed.line(lambda: cli("message", "counter", '{"action": "add", "params": 1}')))
    assert int(followed.line(lambda: cli("message", "counter", '{"action": "add", "params": 1}'))) == first + 1
    assert followed.end() == 130


def test_without_a_port_the_events_of_the_actor_are_followed(follow, cli):
    followed = follow("subscribe", "counter")
    first = json.loads(followed.line(lambda: cli("message", "counter", '"hi"')))
    assert (first["actor"], first["kind"], first["data"]["type"]) == ("counter", "message", "message")
    assert json.loads(followed.line())["kind"] == "reply"
    assert followed.end() == 130
