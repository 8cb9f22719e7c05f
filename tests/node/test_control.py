"""`Penstock.Control`: how actors are found, what is told of them, and what is checked before it is said."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock.errors import FailedPrecondition, InvalidArgument, MailboxFull, NotFound, Unavailable, Unimplemented
from penstock.node import _control
from tests.node.kit import Counter, commanding, write


@pytest.fixture
async def node(tmp_path):
    async with penstock.Node(socket=tmp_path / "n.sock", history=tmp_path / "h.db", name="here") as node:
        yield node


@pytest.fixture
async def commands(node):
    async with commanding(node) as commands:
        yield commands


async def test_start_stop_restart(node, commands, tmp_path):
    started = await commands.start(str(write(tmp_path)))
    assert started["address"] == "counter"
    await node.ask("counter", "add", 1)
    assert (await commands.restart("counter"))["restarts"] == 1
    assert await commands.state("counter") == {"count": 5}
    assert (await commands.stop(started["id"]))["address"] == "counter"
    assert await commands.list() == []


async def test_nothing_is_started_while_the_node_stops(node, commands, tmp_path):
    node.draining = True
    with pytest.raises(Unavailable, match="the node is not ready, or is stopping"):
        await commands.start(str(write(tmp_path)))


async def test_state_shows_what_cannot_travel_as_its_repr(node, commands):
    await node.spawn(Counter, 5, name="counter")
    state = await commands.state("counter")
    assert state["count"] == 5
    assert state["odd"].startswith("<object object at")


async def test_inspect_has_methods_with_types_and_ports(node, commands):
    await node.spawn(Counter, name="counter")
    found = await commands.inspect("counter")
    assert [method["name"] for method in found["methods"]] == ["add", "breed", "ticks"]
    assert found["info"]["state"] == "running"
    assert found["ports"] == []


async def test_status_says_how_the_node_stands(node, commands, tmp_path):
    status = await commands.status()
    assert (status["name"], status["urls"], status["history"]) == ("here", [], str(tmp_path / "h.db"))
    assert status["socket"] == str(tmp_path / "n.sock")


async def test_a_snapshot_shows_streams_with_their_lag_and_credit(node, commands):
    await node.spawn(Counter, name="counter")
    async with node.stream("counter", "ticks", None, buffer_size=4) as ticks:
        await ticks.receive()
        (stream,) = (await commands.snapshot())["streams"]
        assert (stream["address"], stream["name"], stream["peer"]) == ("counter", "ticks", "")
        assert stream["lag"] + stream["credit"] == 4
    assert (await commands.snapshot())["history"]["waiting_max"] > 0


async def test_a_snapshot_says_how_many_streams_it_leaves_out(node, commands, monkeypatch):
    """FAULTS F4, another member: a list that is cut says so."""
    monkeypatch.setattr(_control, "STREAMS_MAX", 1)
    await node.spawn(Counter, name="counter")
    async with node.stream("counter", "ticks", None) as first, node.stream("counter", "ticks", None) as second:
        await first.receive()
        await second.receive()
        snapshot = await commands.snapshot()
        assert (len(snapshot["streams"]), snapshot["streams_left_out"]) == (1, 1)
    assert (await commands.snapshot())["streams_left_out"] == 0


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_to_be_said_is_checked_and_made_the_payload(node, commands):
    await node.spawn(Counter, name="counter")
    assert (await commands.prepare("counter", "add", {"count": 2}))["payload"] == {"count": 2}
    with pytest.raises(InvalidArgument, match="argument `count`"):
        await commands.prepare("counter", "add", "two")
    with pytest.raises(Unimplemented, match=r"unknown method 'adz' of counter \(Counter\); did you mean 'add'\?"):
        await commands.prepare("counter", "adz")
    with pytest.raises(InvalidArgument, match="follow it with `penstock subscribe counter ticks`"):
        await commands.prepare("counter", "ticks")
    with pytest.raises(Unimplemented, match="counter has no `receive`"):
        await commands.prepare("counter", None, "hello")


async def test_what_a_full_mailbox_will_reject_is_told_before_it_is_sent(node, commands):
    begun, going_on = asyncio.Event(), asyncio.Event()

    class Slow(penstock.Actor):
        async def work(self) -> None:
            begun.set()
            await going_on.wait()

    await node.spawn(Slow, name="slow", mailbox=penstock.Mailbox(1, "reject"))
    working = asyncio.ensure_future(node.ask("slow", "work"))
    await begun.wait()
    assert (await commands.prepare("slow", "work"))["type"] == "work"
    await node.tell("slow", "work")
    with pytest.raises(MailboxFull, match=r"slow: its mailbox holds 1 messages \(Mailbox.size\) and rejects more"):
        await commands.prepare("slow", "work")
    going_on.set()
    await working


async def test_what_is_to_be_followed_is_a_stream_or_a_port(node, commands):
    await node.spawn(Counter, name="counter")
    node._host.cell("counter").actor.port("readings")
    assert (await commands.prepare_stream("counter", "ticks"))["is_port"] is False
    assert (await commands.prepare_stream("counter", "readings"))["is_port"] is True
    with pytest.raises(NotFound, match=r"counter has no port or stream 'reading'; did you mean 'readings'\?"):
        await commands.prepare_stream("counter", "reading")


# ── what happened ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_a_history_what_happened_cannot_be_told(tmp_path):
    async with penstock.Node(socket=tmp_path / "other.sock") as node, commanding(node) as commands:
        await node.spawn(Counter, name="counter")
        with pytest.raises(FailedPrecondition, match="this node records no history"):
            await commands.events("counter")
        assert (await commands.snapshot())["history"] is None


async def test_the_events_of_an_actor_that_has_stopped_are_found_by_its_name_and_its_id(node, commands):
    await node.spawn(Counter, name="counter")
    actor = node.info("counter").id
    await node.stop("counter")
    by_name = await commands.events("counter")
    assert [event["kind"] for event in by_name] == ["spawned", "log", "started", "stopped"]
    assert await commands.events(actor) == by_name
    with pytest.raises(NotFound, match="no actor 'nobody'"):
        await commands.events("nobody")


async def test_a_replay_compares_with_what_was_recorded(node, commands):
    await node.spawn(Counter, 5, name="counter")
    await node.ask("counter", "add", 2)
    found = await commands.replay("counter")
    assert (found["actor"], found["events"], found["divergence"]) == ("counter", 1, None)
    with pytest.raises(InvalidArgument, match="name one actor"):
        await commands.replay("**")
