"""The chat: server, batch client, subscriber and interactive client, each a process of its own, over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import signal
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import penstock
from tests.examples._programs import EXAMPLES, PROGRAM_SECONDS_MAX, run, running

SUMMARY = "5 messages, 117 characters, users: alice, bob, charlie"
MODULES = ("listeners", "messages", "responses", "room", "rules", "service", "talk")


@pytest.fixture
def state(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path)}  # where the throw-away certificate goes


@pytest.fixture
def url(state):
    with running("chat/server.py", "tls://127.0.0.1:0", "--web", "http://127.0.0.1:0", "--away", "0.5", **state) as program:
        first = program.stdout.readline()
        assert first.startswith("serving at tls://"), program.stderr.read()
        assert "page" in program.stdout.readline()  # where it is, or how it is built
        yield first.split()[-1]
        program.send_signal(signal.SIGINT)
        printed, complaints = program.communicate(timeout=PROGRAM_SECONDS_MAX)
        assert (program.returncode, printed, complaints) == (0, "", "")


@contextlib.contextmanager
def _chatting(name: str, url: str, state: dict[str, str]) -> Iterator[SimpleNamespace]:
    with running("chat/chat_client.py", name, "--url", url, **state) as program:
        assert program.stdout.readline().startswith("* here: ")
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


@pytest.mark.processes
def test_without_a_name_the_client_asks_for_it_and_for_the_room(url, state):
    typed = "dora\nkitchen\nis it hot?\nquit\n"
    printed = run("chat/chat_client.py", "--url", url, typed=typed, **state)
    questions, *heard = printed.splitlines()
    assert questions == "Enter your username: Enter room name: * here: dora"
    assert heard == ["[kitchen] dora: is it hot?", "you have left"]


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
        for number in range(modules.listeners.BEHIND_MAX + 1):
            room.add(modules.messages.Message(user="ann", room="general", content=str(number)))
            quick.receive_nowait()
        with pytest.raises(penstock.ResourceExhausted):
            [response async for response in slow]


async def test_a_listener_that_is_about_to_leave_disturbs_nobody(modules):
    room = modules.room.Room()
    with room.joined("leaving") as (sink, _), room.joined("staying") as (_, staying):
        sink.close()
        room.add(modules.messages.Message(user="ann", room="general", content="hello"))
        assert staying.receive_nowait().message.content == "hello"


async def test_messages_of_one_room_have_rising_timestamps(modules):
    room = modules.room.Room()
    for _ in range(10):
        room.add(modules.messages.Message(user="ann", room="general"))
    said = [response.message for response in room.since(0)]
    assert [message.id for message in said] == list(range(1, 11))
    assert all(earlier.timestamp < later.timestamp for earlier, later in itertools.pairwise(said))


@pytest.fixture
async def chat(modules):
    """The chat at the other end of a connection, and the names of its types."""
    async with penstock.serve(modules.service.Chat(), listen="memory://chat"), penstock.connect("memory://chat") as peer:
        modules.chat = peer.service(modules.service.Chat)
        yield modules


async def test_each_message_is_answered_in_its_order_and_a_refused_one_ends_nothing(chat):
    message = chat.messages.Message
    said = [
        message(user="ann", room="general", content="one", key="a"),
        message(user="ann", room="general", content="  "),
        message(user="ben", room="general", content="as another"),
        message(user="ann", room="general", content="one", key="a"),  # again
        message(user="ann", room="general", content="x" * 2001),
        message(user="ann", room="general", content="two"),
    ]
    heard = [each async for each in chat.chat.join_chat(iter(said), chat.messages.ChatJoinRequest("general", "ann"))]
    assert [user.name for user in heard[0].users] == ["ann"]
    answers = [(each.type, each.message.id) for each in heard[1:] if each.type != "message"]
    assert answers == [("ack", 1), ("error", 0), ("error", 0), ("ack", 1), ("error", 0), ("ack", 2)]
    assert [each.message.content for each in heard if each.type == "message"] == ["one", "two"]
    wrong = [each.error_message for each in heard if each.type == "error"]
    assert wrong == ["a message has 1 to 2000 characters", "you are ann in general here", "a message has 1 to 2000 characters"]


async def test_members_have_counts_and_a_user_who_is_there_twice_is_told_of_once(chat):
    join = chat.messages.ChatJoinRequest("general", "ann", 0)
    message = chat.messages.Message(user="ann", room="general", content="hello")
    await chat.chat.send_message(message)
    async with chat.chat.subscribe_to_room(chat.messages.SubscribeRequest("general", "watcher", 0)) as watched:
        assert (await anext(watched)).message.content == "hello"
        async with chat.chat.join_chat(endless(), join) as first, chat.chat.join_chat(endless(), join) as second:
            for heard in (first, second):
                assert (await anext(heard)).message.content == "hello"
                assert [user.name for user in (await anext(heard)).users] == ["watcher", "ann"]
            answer = await chat.chat.send_message(message)
            assert (answer.type, answer.message.id) == ("ack", 2)
            assert {user.name: user.message_count for user in await chat.chat.members("general")} == {"watcher": 0, "ann": 1}
        told = [await anext(watched) for _ in range(3)]
    assert [(each.type, each.user_joined or each.user_left) for each in told] == [
        ("user_joined", "ann"),
        ("message", None),
        ("user_left", "ann"),
    ]
    assert await chat.chat.members("nowhere") == []


async def test_what_is_said_while_one_joins_again_comes_once_and_before_its_ack(chat):
    message = chat.messages.Message
    for content in ("one", "two", "three"):
        last = await chat.chat.send_message(message(user="ben", room="general", content=content))
    since = last.message.timestamp - 1
    async with chat.chat.join_chat(endless(), chat.messages.ChatJoinRequest("general", "ann", since)) as heard:
        replayed, ack = await anext(heard), await anext(heard)
        assert (replayed.message.content, ack.type, ack.timestamp) == ("three", "ack", last.message.timestamp)
        await chat.chat.send_message(message(user="ben", room="general", content="four"))
        assert (await anext(heard)).message.content == "four"


@pytest.mark.parametrize("content", ["\x1b[2J", "a\rb", "\x9b2J", "\x00"])
async def test_a_message_that_a_terminal_would_obey_is_refused(chat, content):
    answer = await chat.chat.send_message(chat.messages.Message(user="ann", room="general", content=content))
    assert (answer.type, answer.error_message) == ("error", "a message has no control characters")
    answer = await chat.chat.send_message(chat.messages.Message(user="ann", room="general", content="two\n\tlines 👩\u200d🚀"))
    assert answer.type == "ack"


@pytest.mark.parametrize("name", ["", " ", "n" * 41, "a\nb"])
async def test_a_name_that_cannot_be_shown_is_refused(chat, name):
    with pytest.raises(penstock.InvalidArgument, match="1 to 40 characters"):
        [each async for each in chat.chat.join_chat(iter(()), chat.messages.ChatJoinRequest("general", name))]
    with pytest.raises(penstock.InvalidArgument, match="1 to 40 characters"):
        [each async for each in chat.chat.subscribe_to_room(chat.messages.SubscribeRequest(name, "ann"))]
    answer = await chat.chat.send_message(chat.messages.Message(user=name, room="general", content="x"))
    assert answer.type == "error"
    with pytest.raises(penstock.InvalidArgument, match="characters"):
        await chat.chat.send_message_batch(iter([chat.messages.Message(user="ann", room="general")]))


async def test_there_are_so_many_rooms_and_messages(chat, monkeypatch):
    monkeypatch.setattr(chat.rules, "ROOMS_MAX", 1)
    monkeypatch.setattr(chat.room, "KEPT_MESSAGES", 2)
    message = chat.messages.Message
    said = [message(user="ann", room="general", content=str(number)) for number in range(5)]
    assert (await chat.chat.send_message_batch(iter(said))).total_messages == 5
    async with chat.chat.join_chat(endless(), chat.messages.ChatJoinRequest("general", "ben", 0)) as heard:
        assert [(await anext(heard)).message.content for _ in range(2)] == ["3", "4"]
    with pytest.raises(penstock.ResourceExhausted, match="no more rooms"):
        await chat.chat.send_message(message(user="ann", room="another", content="x"))


async def endless():
    await asyncio.Event().wait()
    yield None
