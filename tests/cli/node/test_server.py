"""`penstock server`: what it says, what it refuses, how it stops."""

from __future__ import annotations

import json
import logging
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli._logs import _LogFormatter
from penstock.cli._run import STILL_STOPPING
from tests.cli.node.conftest import FOLDER

pytestmark = pytest.mark.processes


@pytest.fixture
def server(start, tmp_path):
    """Start a node of this test and wait until it is ready; what it printed."""

    def begin(*arguments):
        process = start("server", "--socket", tmp_path / "n.sock", "--history", tmp_path / "h.db", *arguments)
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("try "):
                return process, lines
        raise AssertionError(process.stderr.read())

    return begin


@pytest.fixture
def command(run, tmp_path):
    """Run a command for that node."""
    return lambda *arguments, **more: run(*arguments, "--socket", tmp_path / "n.sock", **more)


def test_it_says_where_it_is_and_how_to_reach_it(server, command, tmp_path):
    _process, lines = server("--listen", "tcp://127.0.0.1:0", FOLDER / "counter.toml")
    assert lines[0] == f"node at {tmp_path}/n.sock"
    assert lines[1].startswith("at tcp://127.0.0.1:")
    assert lines[2] == f"history {tmp_path}/h.db"
    assert lines[3].startswith("started counter ")
    assert lines[4] == f"try penstock list --socket {tmp_path}/n.sock"
    assert command("list").returncode == 0
    assert stat.S_IMODE((tmp_path / "n.sock").stat().st_mode) == 0o600


def test_the_variable_names_the_node_too(server, tmp_path, environment, start):
    server()
    environment = {**environment, "PENSTOCK_SOCKET": str(tmp_path / "n.sock")}
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "list", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert json.loads(done.stdout) == []


def test_its_log_names_the_actor(server, command):
    process, _lines = server(FOLDER / "counter.toml")
    command("message", "counter", '{"action": "fail"}')
    process.terminate()
    log = process.communicate(timeout=20)[1]
    assert "INFO    counter: starting at 5" in log
    assert "ZeroDivisionError: on purpose" in log


def test_what_an_actor_raises_cannot_pass_for_a_line_of_the_log():
    error = ValueError("bad\n12:00:00 INFO    all is well\x1b]0;owned\x07")
    record = logging.LogRecord("penstock.actor", logging.ERROR, "", 0, "it crashed", (), (ValueError, error, None))
    first, *below = _LogFormatter().format(record).splitlines()
    assert first.endswith("ERROR   it crashed")
    assert all(line.startswith("    ") and line.isprintable() for line in below)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_node_stops_at_once(server, tmp_path, number):
    process, _lines = server()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stderr.read() in {"", f"penstock: {STILL_STOPPING}\n"}  # on a busy machine
    assert not (tmp_path / "n.sock").exists()


def test_a_stream_may_end_within_the_grace_time(server, start):
    process, lines = server("--listen", "tcp://127.0.0.1:0", FOLDER / "counter.toml")
    url = lines[1].split()[1]
    call = start("call", url, "/counter/ticks", '{"every_s": 0.1, "last": 5}')
    first = call.stdout.readline()
    assert first == "1\n", call.stderr.read()
    process.terminate()
    assert call.wait(10) == 0
    assert call.stdout.read() == "2\n3\n4\n5\n"
    assert process.wait(10) == 0
    assert "a second signal stops at once" in process.stderr.read()


def test_after_the_grace_time_streams_are_cut_and_told(server, start):
    process, lines = server("--listen", "tcp://127.0.0.1:0", "--grace", "0.2", FOLDER / "counter.toml")
    call = start("call", lines[1].split()[1], "/counter/ticks", '{"every_s": 0.02}')
    assert call.stdout.readline()
    process.terminate()
    assert process.wait(10) == 0
    assert "work that still ran after 0.2 s was cancelled" in process.stderr.read()
    assert call.wait(10) == 78


def test_the_second_signal_ends_at_once(server, start):
    process, lines = server("--listen", "tcp://127.0.0.1:0", "--grace", "60", FOLDER / "counter.toml")
    call = start("call", lines[1].split()[1], "/counter/ticks", '{"every_s": 0.02}')
    assert call.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert any("stopping" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


def test_after_a_kill_the_next_one_takes_over_and_the_history_is_whole(server, command, tmp_path):
    process, _lines = server(FOLDER / "counter.toml")
    command("request", "counter", '{"action": "add"}')
    assert "reply" in command("events", "counter").stdout  # it is in the file
    process.kill()
    process.wait(10)
    assert (tmp_path / "n.sock").exists()
    server(FOLDER / "counter.toml")
    assert command("verify").returncode == 0
    events = [json.loads(line) for line in command("events", "counter", "--json").stdout.splitlines()]
    assert [event["kind"] for event in events].count("spawned") == 2
    (stopped,) = [event["data"]["reason"] for event in events if event["kind"] == "stopped"]
    assert stopped == "the node ended without stopping it"


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (["--listen", "tpc://127.0.0.1:0"], 2, "did you mean tcp://?"),
        (["--listen", "memory://x"], 2, "memory:// cannot be reached"),
        (["--listen", "tls://127.0.0.1:0"], 2, "--dev-tls"),
        (["--listen", "tcp://127.0.0.1:0", "--dev-tls"], 2, "is not encrypted"),
        (["nothing.toml"], 2, "does not exist"),
        (["bad.toml"], 2, "key `actr`: unknown key; did you mean 'actor'?"),
        (["--history", "/proc/none/h.db"], 78, "cannot be opened"),
        (["raising.toml"], 2, "raising.toml: the actor could not be started: ZeroDivisionError: division by zero"),
        (["refusing.toml"], 73, "FailedPrecondition: no disk"),
    ],
)
def test_what_cannot_be_run_is_told(run, tmp_path, given, code, text):
    (tmp_path / "bad.toml").write_text('name = "x"\nactr = "x.py:X"\n')
    for name, does in {"raising": "1 / 0", "refusing": "raise penstock.FailedPrecondition('no disk')"}.items():
        module = f"import penstock\n\nclass Bad(penstock.Actor):\n    async def on_start(self): {does}\n"
        (tmp_path / f"{name}.py").write_text(module)
        (tmp_path / f"{name}.toml").write_text(f'name = "x"\nactor = "{name}.py:Bad"\n')
    history = [] if "--history" in given else ["--history", "none"]
    done = run("server", "--socket", tmp_path / "n.sock", *history, *given, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert not (tmp_path / "n.sock").exists()


def test_a_second_node_at_one_socket_is_told(server, run, tmp_path):
    server()
    done = run("server", "--socket", tmp_path / "n.sock", "--history", tmp_path / "h.db")
    assert done.returncode == 78
    assert f"a node runs at {tmp_path}/n.sock already" in done.stderr
    assert (tmp_path / "n.sock").exists()


def test_a_second_writer_of_one_history_is_told(server, run, tmp_path):
    server()
    done = run("server", "--socket", tmp_path / "other.sock", "--history", tmp_path / "h.db")
    assert done.returncode == 73
    assert "is being written by process" in done.stderr


def test_what_follows_hears_the_end_and_then_that_the_node_has_gone(server, start, tmp_path):
    process, _lines = server(FOLDER / "counter.toml")
    logs = start("logs", "counter", "-f", "--socket", tmp_path / "n.sock")
    assert "spawned" in logs.stdout.readline()
    process.terminate()
    out, err = logs.communicate(timeout=20)
    assert out.splitlines()[-1].endswith("stopped   the system closed")
    assert "the node has stopped" in err
    assert logs.returncode == 78
    assert process.wait(10) == 0


def test_a_tls_listener_can_be_used(server, run, environment):
    _process, lines = server("--listen", "tls://127.0.0.1:0", "--dev-tls", FOLDER / "counter.toml")
    done = run("call", "--dev-tls", lines[1].split()[1], "/counter/add", "2")
    assert (done.returncode, done.stdout) == (0, "7\n")
    assert Path(environment["XDG_STATE_HOME"], "penstock", "development.pem").exists()
