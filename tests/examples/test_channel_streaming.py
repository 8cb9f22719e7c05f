"""The walk-through of examples/channel_streaming, command by command as its README has it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.examples._programs import EXAMPLES, PENSTOCK, PROGRAM_SECONDS_MAX

FOLDER = EXAMPLES / "channel_streaming"
ITEMS = 10
INTERVAL_MS = 20  # the README has 500


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "NO_COLOR": "1"}


@pytest.fixture
def penstock(environment):
    """Run a command in the folder of the example and return what it printed."""

    def run(*arguments: str) -> str:
        words = [str(PENSTOCK), *arguments]
        done = subprocess.run(
            words, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=PROGRAM_SECONDS_MAX, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    return run


@contextlib.contextmanager
def server(environment) -> Iterator[None]:
    """Run the node until the end of the block; Ctrl-C ends it well."""
    pipe = subprocess.PIPE
    node = subprocess.Popen([str(PENSTOCK), "server"], cwd=FOLDER, env=environment, stdout=pipe, stderr=pipe, text=True)
    try:
        assert any(line.startswith("try ") for line in iter(node.stdout.readline, ""))
        yield
        node.send_signal(signal.SIGINT)
        assert node.wait(PROGRAM_SECONDS_MAX) == 0
    finally:
        node.kill()
        node.communicate()


def sent_on(log: str, sign: str) -> list[str]:
    """Return what a log shows of the messages in one direction: their types and numbers."""
    lines = re.findall(rf"channel   \w+ {sign} (\{{.*\}})$", log, re.MULTILINE)
    return [" ".join(re.findall(r'"type": "(\w+)"(?:, "index": (\d+))?', line)[0]).strip() for line in lines]


@pytest.mark.processes
@pytest.mark.timeout(240)  # a minute on a machine with ten times the work that it can do
def test_the_walk_through(environment, penstock):
    data = [f"data_item {number}" for number in range(1, ITEMS + 1)] + ["stream_complete"]
    acks = [f"ack {number}" for number in range(1, ITEMS + 1)] + ["complete_ack"]
    with server(environment):
        consumer = penstock("start", "consumer.toml").split()[-1]
        producer = penstock("start", "producer.toml", "--id-only").strip()
        following = subprocess.Popen(
            [str(PENSTOCK), "logs", producer, "-f"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        penstock("message", producer, _start_streaming(consumer))
        live = ""
        for line in following.stdout:
            live += line
            if "acknowledged" in line:
                break
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=PROGRAM_SECONDS_MAX)
        sending, receiving = penstock("logs", producer), penstock("logs", consumer)
        assert " events, all as they were recorded\n" in penstock("verify")
    assert sending == live
    assert (sent_on(sending, "→"), sent_on(sending, "←")) == (data, acks)
    assert (sent_on(receiving, "←"), sent_on(receiving, "→")) == (data, acks)
    for log in (sending, receiving):
        assert 'opened by producer {"stream": "item", "items": 10}' in log
        assert 'accepted {"ready": true}' in log
        assert "closed: stream complete" in log
    assert "INFO      all 10 items were acknowledged" in sending


def _start_streaming(consumer: str) -> str:
    """Return the message of the README, with other numbers."""
    text = (FOLDER / "README.md").read_text()
    message = re.search(r"penstock message <producer-id> '(\{.*?\n\})'", text, re.DOTALL)[1]
    assert '"items": 10' in message
    return message.replace("<consumer-id>", consumer).replace('"interval_ms": 500', f'"interval_ms": {INTERVAL_MS}')


@pytest.mark.processes
def test_a_person_can_be_the_producer(environment, penstock):
    with server(environment):
        penstock("start", "consumer.toml")
        done = subprocess.run(
            [str(PENSTOCK), "channel", "open", "consumer", "-m", '{"stream": "mine"}'],
            input='send {"type": "data_item", "index": 1}\n',
            env=environment,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS_MAX,
            check=True,
        )
    assert done.stdout == '{"type":"ack","index":1}\n'
