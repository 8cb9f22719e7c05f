"""A node: what is reachable where, what is left when it cannot begin, and in which order it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

import penstock
from penstock.errors import ActorStopped, AlreadyExists, InvalidArgument, Unavailable, Unimplemented
from penstock.history import History
from tests.node.kit import Counter, commanding, write


@pytest.fixture
def at(tmp_path):
    """Where a node of a test has its socket."""
    return tmp_path / "node.sock"


async def test_its_actors_are_reached_where_it_listens():
    async with penstock.Node(listen="tcp://127.0.0.1:0") as node:
        await node.spawn(Counter, 5, name="counter")
        async with penstock.connect(node.urls[0]) as peer:
            assert await peer.actor(Counter, "counter").add(2) == 7
            assert await peer.ask("counter", "add", 1) == 8


class Prices:
    async def quote(self, symbol: str) -> str:
        return f"{symbol} 4.2"


async def test_it_serves_objects_beside_its_actors(tmp_path):
    async with penstock.Node(listen="tcp://127.0.0.1:0", services=[Prices()], socket=tmp_path / "node.sock") as node:
        await node.spawn(Counter, name="counter")
        async with penstock.connect(node.urls[0]) as peer:
            assert await peer.service(Prices).quote("ACME") == "ACME 4.2"
            assert await peer.ask("counter", "add", 1) == 1
        async with penstock.connect(f"unix://{node.socket}") as commands:
            with pytest.raises(Unimplemented):
                await commands.service(Prices).quote("ACME")


async def test_it_listens_at_several_urls(tmp_path):
    async with penstock.Node(listen=["tcp://127.0.0.1:0", f"unix://{tmp_path}/public.sock"]) as node:
        await node.spawn(Counter, name="counter")
        for url in node.urls:
            async with penstock.connect(url) as peer:
                assert await peer.ask("counter", "add", 0) == 0


async def test_nothing_can_be_controlled_where_it_listens(at):
    async with penstock.Node(listen="tcp://127.0.0.1:0", socket=at) as node:
        async with penstock.connect(node.urls[0]) as peer:
            for target in ("Penstock.Control/list", "Node/start", "Node/spawn", "ActorSystem/stop"):
                with pytest.raises(Unimplemented):
                    await peer.call(target)
        async with commanding(node) as commands:
            assert await commands.list() == []


async def test_only_its_owner_can_open_its_socket(at):
    async with penstock.Node(socket=at):
        assert stat.S_IMODE(at.lstat().st_mode) == 0o600
    assert not at.exists()


async def test_nodes_that_begin_together_leave_the_umask_of_the_process_alone(tmp_path):
    before = os.umask(0o022)
    try:
        async with penstock.Node(socket=tmp_path / "a.sock") as one:
            nodes = [penstock.Node(socket=tmp_path / f"{name}.sock") for name in "bcd"]
            await asyncio.gather(*(node.__aenter__() for node in nodes))
            assert {stat.S_IMODE(path.lstat().st_mode) for path in tmp_path.glob("*.sock")} == {0o600}
            await asyncio.gather(one.aclose(), *(node.aclose() for node in nodes))
        (tmp_path / "file").touch()
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    finally:
        os.umask(before)


async def test_a_socket_that_a_dead_node_left_is_replaced(at):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(at))
    async with penstock.Node(socket=at) as node, commanding(node) as commands:
        assert await commands.list() == []


async def test_a_live_socket_is_an_error_that_says_so(at):
    async with penstock.Node(socket=at):
        with pytest.raises(Unavailable, match=r"a node runs at .*node.sock already"):
            async with penstock.Node(socket=at):
                raise AssertionError
        assert at.exists()


async def test_a_node_that_cannot_begin_leaves_nothing_behind(at, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable):
            async with penstock.Node(listen=url, socket=at, history=tmp_path / "h.db"):
                raise AssertionError
    assert not at.exists()
    async with penstock.Node(socket=at, history=tmp_path / "h.db") as node:
        assert node.history is not None


async def test_a_history_of_its_own_is_opened_and_closed_with_it(tmp_path):
    history = History(tmp_path / "h.db", queue_events=10)
    async with penstock.Node(history=history) as node:
        assert node.history is history
    with pytest.raises(Unavailable):
        await history.events()


async def test_actors_that_never_stopped_get_their_end_before_anything_else(tmp_path):
    async with History(tmp_path / "h.db") as history:
        history.record("gone", "spawned", {"actor": "m:C"})
        history.record("quiet", "spawned", {"actor": "m:C"})
        history.record("quiet", "stopped", {"reason": "told to"})
        history.record("quiet", "dead_letter", {"type": "late"})
        await history.flush()
        history.record("gone", "channel_message", {"message": 1})
        history.record("quiet", "channel_closed", {})
    async with penstock.Node(history=tmp_path / "h.db") as node:
        await node.spawn(Counter, name="gone")
        found = await node.history.events(since=6)
    assert [(event.actor, event.kind) for event in found[:2]] == [("gone", "stopped"), ("gone", "spawned")]
    assert found[0].data == {"reason": "the node ended without stopping it"}
    async with penstock.Node(history=tmp_path / "h.db") as node:  # that one stopped them
        assert not await node.history.events(since=found[-1].offset + 2)


# ── manifests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_manifest_starts_an_actor(tmp_path):
    async with penstock.Node() as node:
        info = await node.start(write(tmp_path))
        assert (info.address, info.actor.endswith(":Counter"), info.state) == ("counter", True, "running")
        assert await node.ask("counter", "add", 1) == 6


async def test_limits_and_supervision_of_a_manifest_hold(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text() + "[limits]\nmailbox_size = 3\n[supervision]\nmax_restarts = 0\n")
    async with penstock.Node() as node:
        info = await node.start(path)
        assert info.mailbox_size == 3
        with pytest.raises(ZeroDivisionError):
            await node.ask("counter", "fail")
        await asyncio.sleep(0)
        assert node.list() == []


async def test_a_name_that_is_taken_is_told_with_the_manifest(tmp_path):
    path = write(tmp_path)
    async with penstock.Node() as node:
        await node.start(path)
        with pytest.raises(AlreadyExists, match=r"counter.toml: key `name`: an actor 'counter' runs already"):
            await node.start(path)


async def test_a_manifest_that_is_wrong_starts_nothing(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("start = 5", 'start = "five"'))
    async with penstock.Node() as node:
        with pytest.raises(InvalidArgument, match=r"key `init.start`: Expected `int`, got `str`"):
            await node.start(path)
        assert node.list() == []


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_children_stop_before_their_parents_and_the_history_has_it(tmp_path):
    async with penstock.Node(history=tmp_path / "h.db") as node:
        parent = await node.spawn(Counter, name="parent")
        await parent.breed("child")
    async with History(tmp_path / "h.db") as history:
        stopped = [event.actor for event in await history.events(kinds=["stopped"])]
    assert stopped == ["parent/child", "parent"]


async def test_a_stream_that_runs_has_its_grace_and_is_then_told():
    async with penstock.Node(listen="tcp://127.0.0.1:0", grace=0.05) as node:
        await node.spawn(Counter, 5, name="counter")
        async with penstock.connect(node.urls[0]) as peer:
            ticks = peer.actor(Counter, "counter").ticks()
            assert await ticks.receive() == 5
            closing = asyncio.ensure_future(node.aclose())
            with pytest.raises(Unavailable):
                await _read_all(ticks)
            await closing
    assert not node.drained


async def test_a_message_that_is_being_handled_has_the_grace_and_nobody_is_stopped_before(tmp_path):
    begun = asyncio.Event()

    class Front(penstock.Actor):
        async def work(self) -> int:
            begun.set()
            await asyncio.sleep(0.1)
            return await self.system.ask("back", "add", 1)

    async with penstock.Node(socket=tmp_path / "n.sock", grace=10) as node:
        await node.spawn(Counter, 5, name="back")
        await node.spawn(Front, name="front")
        async with commanding(node) as commands:
            asked = asyncio.ensure_future(commands.peer.ask("front", "work"))
            await begun.wait()
            assert node.busy() == ["front"]
            await node.aclose()
            assert await asked == 6
    assert node.drained


async def test_whoever_has_a_channel_when_the_grace_is_over_is_told_that_the_actor_stopped(tmp_path):
    class Lobby(penstock.Actor):
        async def on_channel(self, channel: penstock.Channel[int]) -> None:
            await channel.accept()
            async for _message in channel:
                raise AssertionError

    async with penstock.Node(listen=f"unix://{tmp_path}/n.sock", grace=0.05) as node:
        await node.spawn(Lobby, name="lobby")
        async with penstock.connect(node.urls[0]) as peer:
            channel = await peer.open_channel("lobby")
            assert node.busy() == ["lobby"]
            closing = asyncio.ensure_future(node.aclose())
            with pytest.raises(ActorStopped, match="the system closed"):
                await channel.receive()
            await closing
    assert not node.drained


async def test_handlers_of_channels_and_calls_are_told_that_it_drains_and_so_are_clients():
    begun = asyncio.Event()

    class Lobby(penstock.Actor):
        async def on_channel(self, channel: penstock.Channel[str]) -> None:
            await channel.accept()
            await penstock.context().wait_draining()
            await channel.close("until soon")

        async def work(self) -> str:
            begun.set()
            await penstock.context().wait_draining()
            return "told"

    async with penstock.Node(listen="tcp://127.0.0.1:0", grace=10) as node:
        await node.spawn(Lobby, name="lobby")
        async with penstock.connect(node.urls[0]) as peer:
            channel = await peer.open_channel("lobby")
            asked = asyncio.ensure_future(peer.ask("lobby", "work"))
            waiting = asyncio.ensure_future(peer.wait_draining())
            await begun.wait()
            await node.aclose()
            assert await asked == "told"
            await waiting
            assert [message async for message in channel] == []  # closed, not cut off
    assert node.drained


async def _read_all(source):
    async for _item in source:
        await asyncio.sleep(0)


async def test_closing_twice_is_closing_once(at):
    async with penstock.Node(socket=at) as node:
        await asyncio.gather(node.aclose(), node.aclose(), node.wait_closed())
        assert not at.exists()
        await node.aclose()
    assert node.drained


@pytest.mark.parametrize("how", ["closing", "the block"])
@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_an_actor_that_is_busy_has_no_more_time_when_the_closing_is_cancelled(turns, how):
    class Busy(penstock.Actor):
        async def work(self) -> None:
            await asyncio.sleep(60)

    node = penstock.Node(listen="tcp://127.0.0.1:0", grace=60)
    await node.__aenter__()
    working = asyncio.ensure_future((await node.spawn(Busy)).work())
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(node.aclose() if how == "closing" else node.__aexit__(None, None, None))
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05 if turns else 0)
    closing.cancel()
    async with asyncio.timeout(3):
        with pytest.raises(asyncio.CancelledError):
            await closing
    with pytest.raises(ActorStopped):
        await working
    assert not node.drained


async def test_closing_that_is_cancelled_cuts_the_grace_short(at):
    async with penstock.Node(listen="tcp://127.0.0.1:0", socket=at, grace=60) as node:
        await node.spawn(Counter, 5, name="counter")
        async with penstock.connect(node.urls[0]) as peer, peer.actor(Counter, "counter").ticks() as ticks:
            await ticks.receive()
            closing = asyncio.ensure_future(node.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
    assert not at.exists()
    assert node._host.closed


async def test_an_actor_may_close_its_node(at):
    class Last(penstock.Actor):
        async def close(self) -> None:
            await self.system.aclose()

    async with penstock.Node(socket=at) as node:
        last = await node.spawn(Last, name="last")
        await penstock.tell(last).close()
        async with asyncio.timeout(10):
            await node.wait_closed()


async def test_what_follows_the_history_hears_the_end(at, tmp_path):
    async with penstock.Node(socket=at, history=tmp_path / "h.db") as node:
        await node.spawn(Counter, name="counter")
        async with commanding(node) as commands:
            heard = commands.peer.stream("Penstock.Control/events", {"actor": "counter", "follow": True})
            assert [(await heard.receive())["kind"] for _ in range(3)] == ["spawned", "log", "started"]
            closing = asyncio.ensure_future(node.aclose())
            assert (await heard.receive())["kind"] == "stopped"
            with pytest.raises(Unavailable, match="the node has stopped"):
                await heard.receive()
            await closing


def test_it_says_how_it_stands():
    assert repr(penstock.Node(name="here")) == "<Node here up, no listener>"


async def test_it_lives_where_it_was_told_whatever_the_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    async with penstock.Node(socket="node.sock") as node:
        assert node.socket == str(Path(tmp_path, "node.sock"))


async def test_actors_of_two_manifests_have_the_modules_of_their_folders_and_edits_count(tmp_path):
    """FAULTS F5: the second actor ran the helper of the first; an edited helper needed a new process."""
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "actors.py").write_text(SAYER)
        (folder / "helper.py").write_text(f"TEXT = {name!r}")
        (folder / "a.toml").write_text(f"name = {name!r}\nactor = 'actors.py:Sayer'")
    async with penstock.Node() as node:
        for name in ("one", "two"):
            await node.start(tmp_path / name / "a.toml")
        assert [await node.ask(name, "say") for name in ("one", "two")] == ["one", "two"]
        (tmp_path / "one" / "helper.py").write_text("TEXT = 'new'")
        await node.stop("one")
        await node.start(tmp_path / "one" / "a.toml")
        assert [await node.ask(name, "say") for name in ("one", "two")] == ["new", "two"]


SAYER = """
import helper
import penstock

class Sayer(penstock.Actor):
    async def say(self) -> str:
        return helper.TEXT
"""
