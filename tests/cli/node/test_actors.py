"""start, stop, restart, list, state, inspect."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.processes


@pytest.fixture
def spare(cli, tmp_path):
    """An actor that a test may stop; its id."""
    (tmp_path / "spare.py").write_text("import penstock\n\nclass Spare(penstock.Actor):\n    n = 0\n")
    manifest = tmp_path / "spare.toml"
    manifest.write_text('name = "spare"\nactor = "spare.py:Spare"\n')
    yield cli("start", manifest, "--id-only").out.strip()
    cli("stop", "spare")


def test_start_prints_the_name_and_the_id(cli, tmp_path):
    (tmp_path / "plain.py").write_text("import penstock\n\nclass Plain(penstock.Actor): pass\n")
    (tmp_path / "plain.toml").write_text('name = "plain"\nactor = "plain.py:Plain"\n')
    done = cli("start", tmp_path / "plain.toml")
    assert (done.code, done.lines[0]) == (0, "started plain")
    actor = done.lines[1].split()[1]
    assert cli("list", "plain", "--json").json[0]["id"] == actor
    assert cli("stop", actor).out == "stopped plain\n"
    assert cli("start", tmp_path / "plain.toml", "--json").json["actor"].endswith(":Plain")
    assert cli("stop", "plain", "--json").json["address"] == "plain"


def test_a_name_that_is_taken_is_told(cli):
    done = cli("start", "counter.toml")
    assert done.code == 70
    assert "counter.toml: key `name`: an actor 'counter' runs already" in done.err


def test_a_manifest_that_is_not_there_is_told_with_what_is(cli):
    done = cli("start", "conter.toml")
    assert done.code == 2
    assert "no manifest conter.toml; TOML files there: counter.toml, silent.toml" in done.err


@pytest.mark.parametrize("kind", ["a folder", "no text", "a text that is no TOML", "empty"])
def test_a_manifest_that_cannot_be_read_is_told(cli, tmp_path, kind):
    path = tmp_path / "bad.toml"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_bytes({"no text": b"\xff\xfe\x00", "a text that is no TOML": b"name = [", "empty": b""}[kind])
    done = cli("start", str(path))
    assert done.code in {2, 67}  # no such file to use; an invalid argument
    assert str(path) in done.err
    assert len(done.err.splitlines()) == 1
    assert "Traceback" not in done.err
    assert done.out == ""


def test_an_error_in_the_users_module_is_shown_where(cli, tmp_path):
    (tmp_path / "raising.py").write_text("def load():\n    return 1 / 0\n\nload()\n")
    (tmp_path / "raising.toml").write_text('name = "raising"\nactor = "raising.py:Raising"\n')
    done = cli("start", tmp_path / "raising.toml")
    assert done.code == 67
    assert 'raising.py", line 2, in load' in done.err
    assert done.err.endswith("key `actor`: raising.py could not be imported: ZeroDivisionError: division by zero\n")


def test_an_actor_is_named_by_its_id_or_its_name(cli, spare):
    assert cli("state", spare).code == cli("state", "spare").code == 0


def test_stop_and_then_it_is_not_there(cli, spare):
    assert cli("stop", spare).out == "stopped spare\n"
    done = cli("stop", spare)
    assert done.code == 69
    assert f"no actor '{spare}'" in done.err


def test_restart_resets_the_state(cli):
    cli("request", "counter", '{"action": "add"}')
    assert cli("restart", "counter").out == "restarted counter\n"
    assert cli("state", "counter").json["count"] == 5
    assert cli("restart", "counter", "--json").json["restarts"] >= 1


def test_list_shows_a_line_for_each(cli):
    done = cli("list")
    assert done.lines[0].split() == ["NAME", "ID", "STATE", "BUSY", "MAILBOX", "MESSAGES", "RESTARTS", "UPTIME", "ACTOR"]
    assert [line.split()[0] for line in done.lines[1:]] == ["counter", "rooms/silent"]
    assert "\x1b" not in done.out


@pytest.mark.parametrize(("pattern", "names"), [("**", 2), ("*", 1), ("rooms/*", 1), ("c*", 1), ("nothing", 0)])
def test_list_takes_a_pattern(cli, pattern, names):
    assert len(cli("list", pattern, "--json").json) == names


def test_state_shows_what_cannot_travel_as_its_repr(cli):
    state = cli("state", "counter").json
    assert state["count"] == 5
    assert state["odd"].startswith("<object object")
    assert state["readings"].startswith("<")


STRANGE = """
from typing import Any
import penstock

class Strange(penstock.Actor):
    def __init__(self) -> None:
        self.keys = {None: 1, 2: "two"}
        self.tuples = {(1, 2): 3}
        self.deep = []
        for _ in range(5_000):
            self.deep = [self.deep]
        self.fine = "ä"

    async def keyed(self) -> Any:
        return self.keys

    async def on_channel(self, channel: penstock.Channel[Any]) -> None:
        await channel.accept(self.keys)
        await channel.send(self.keys)
        await channel.close()
"""


def test_every_state_and_answer_is_shown(cli, piped, tmp_path):
    """FAULTS F6: state, inspect, request and channel ended with a traceback, after the actor had acted."""
    (tmp_path / "strange.py").write_text(STRANGE)
    (tmp_path / "strange.toml").write_text('name = "strange"\nactor = "strange.py:Strange"')
    cli("start", tmp_path / "strange.toml")
    keys = {"null": 1, "2": "two"}
    state = cli("state", "strange").json
    assert (state["keys"], state["fine"]) == (keys, "ä")
    assert isinstance(state["deep"], str), "only that value is cut"
    assert set(state) == {"keys", "tuples", "deep", "fine"}
    assert cli("inspect", "strange", "--json").json["state"]["keys"] == keys
    assert 'keys = {"null": 1, "2": "two"}' in cli("inspect", "strange").out
    assert cli("request", "strange", '{"action": "keyed"}').json == keys
    assert piped("channel", "open", "strange", stdin="").values == [keys]
    opened, message, *_ = piped("channel", "open", "strange", "--json", stdin="").values
    assert (opened["payload"], message["message"]) == (keys, keys)
    cli("stop", "strange")


def test_inspect_shows_everything(cli):
    found = cli("inspect", "counter", "--json").json
    assert (found["takes"], found["doing"]) == (["channels", "messages"], None)
    assert found["info"]["address"] == "counter"
    assert found["ports"] == ["readings"]
    add = found["methods"][0]
    assert (add["name"], add["parameters"][0]["schema"]) == ("add", {"type": "integer", "default": 1})
    assert "ping" not in [method["name"] for method in found["methods"]]


def test_inspect_is_text_also_in_a_pipe_and_says_what_it_takes(cli):
    text = cli("inspect", "counter").out
    assert "takes     channels: penstock channel open counter, plain messages (receive)" in text
    assert "busy with nothing" in text
    assert "add(count: int = 1) → int" in text


def test_what_is_meant_is_proposed(cli):
    done = cli("inspect", "conter")
    assert (done.code, done.out) == (69, "")
    assert "no actor 'conter'; did you mean 'counter'?" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["state", "x"],
        ["stop", "x"],
        ["start", "counter.toml"],
        ["message", "x", "1"],
        ["request", "x", "1"],
        ["inspect", "x"],
        ["top", "--once"],
        ["subscribe", "x"],
        ["channel", "open", "x"],
        ["restart", "x"],
    ],
)
def test_without_a_node_a_verb_says_how_to_start_one(lone, tmp_path, words):
    done = lone(*words, "--socket", tmp_path / "none.sock")
    assert (done.code, done.out) == (78, "")
    assert done.err == f"penstock: Unavailable: no server at {tmp_path}/none.sock; start one with `penstock server`\n"


@pytest.mark.parametrize("verb", ["logs", "events", "replay"])
def test_without_a_node_a_verb_of_a_history_says_how_to_read_its_file(lone, tmp_path, verb):
    done = lone(verb, "x", "--socket", tmp_path / "none.sock")
    assert (done.code, done.out) == (78, "")
    assert "start one with `penstock server`; without a manifest it runs no actor, and shows its history" in done.err
    assert "penstock verify FILE" in done.err


def test_a_socket_that_a_dead_node_left_is_no_server(lone, tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    done = lone("list", "--socket", tmp_path / "dead.sock")
    assert done.code == 78
    assert "start one with `penstock server`" in done.err
