"""The chat: server, batch client, subscriber and interactive client, each a process of its own, over TLS."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import penstock
from tests.examples._programs import EXAMPLES, PROGRAM_SECONDS_MAX, run, running, serving

SUMMARY = "5 messages, 117 characters, users: alice, bob, charlie"
MODULES = ("messages", "room", "service")


@pytest.fixture
def state(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path)}  # where the throw-away certificate goes


@pytest.fixture
def url(state):
    with serving("chat/server.py", "tls://127.0.0.1:0", **state) as served_at:
        yield served_at


@contextlib.contextmanager
def _chatting(name: str, url: str, state: dict[str, str]) -> Iterator[SimpleNamespace]:
    with running("chat/chat_client.py", name, "--url", url, **state) as program:
        assert program.stdout.readline() == "* ack\n"
        yield SimpleNamespace(program=program, hear=program.stdout.readline, say=lambda line: _type(program, line))


def _type(program, line: str) -> None:
    program.stdin.write(line + "\n")
    program.stdin.flush()


@pytest.mark.processes
def test_a_batch_gets_one_summary(url, state):
    printed = run("chat/batch_client.py", url, **state)
    assert printed.splitlines()[-1] == SUMMARY


@pytest.mark.processes
def test_a_subscriber_hears_again_what_was_said_after_its_timestamp(url, state):
    run("chat/batch_client.py", url, **state)
    all_of_it = run("chat/subscriber.py", "--url", url, "--since", "0", "--count", "5", **state).splitlines()
    assert all_of_it[0].endswith(" [general] alice: Hello everyone!")
    assert len(set(all_of_it)) == 5
    second = all_of_it[1].split()[0]
    assert run("chat/subscriber.py", "--url", url, "--since", second, "--count", "3", **state).splitlines() == all_of_it[2:]


@pytest.mark.processes
def test_who_talks_is_heard_at_once_and_who_leaves_is_missed(url, state):
    with _chatting("ann", url, state) as ann, _chatting("ben", url, state) as ben:
        assert ann.hear() == "* ben joined\n"
        ann.say("hello ben")
        assert ben.hear() == ann.hear() == "[general] ann: hello ben\n"
        ben.say("quit")
        assert ben.hear() == "you have left\n"
        assert ann.hear() == "* ben left\n"
        printed, complaints = ann.program.communicate(timeout=PROGRAM_SECONDS_MAX)  # the end of its input is an end, too
        assert (printed, complaints, ann.program.returncode) == ("you have left\n", "", 0)


@pytest.mark.processes
def test_who_dies_is_missed(url, state):
    with _chatting("ann", url, state) as ann, _chatting("ben", url, state) as ben:
        assert ann.hear() == "* ben joined\n"
        ben.program.kill()
        assert ann.hear() == "* ben left\n"


@pytest.fixture
def modules(monkeypatch):
    """The parts of the chat, imported as the programs do, and forgotten afterwards: their names are not ours."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "chat"))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        del sys.modules[name]


async def test_a_listener_that_does_not_keep_up_is_told_and_the_others_hear_on(modules):
    room = modules.room.Room()
    with room.joined("slow") as (_, slow), room.joined("quick") as (_, quick):
        for number in range(modules.room.BEHIND_MAX + 1):
            room.add(modules.messages.Message(user="ann", room="general", content=str(number)))
            quick.receive_nowait()
        with pytest.raises(penstock.ResourceExhausted):
            [response async for response in slow]


async def test_messages_of_one_room_have_rising_timestamps(modules):
    room = modules.room.Room()
    for _ in range(10):
        room.add(modules.messages.Message(user="ann", room="general"))
    said = [response.message for response in room.since(0)]
    assert [message.id for message in said] == list(range(1, 11))
    assert all(earlier.timestamp < later.timestamp for earlier, later in itertools.pairwise(said))


async def test_a_chat_whose_caller_says_nothing_is_refused(modules):
    async with penstock.serve(modules.service.Chat(), listen="memory://chat"), penstock.connect("memory://chat") as peer:
        with pytest.raises(penstock.InvalidArgument, match="who joins"):
            [response async for response in peer.service(modules.service.Chat).join_chat(iter(()))]
