"""The faults of ../shared/RELIABILITY.md as actions. Each is an async function; those that may end flows excuse them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, Final

import penstock
from penstock.protocol._frames import IGNORABLE, encode_frame
from penstock.testing._line import SimulatedConnection
from tests.soak.world import KEPT_S, SERVER, World

LOST: Final = (
    penstock.ConnectionLost,
    penstock.Unavailable,
    penstock.Cancelled,
    penstock.Aborted,
    penstock.NotFound,
    penstock.DeadlineExceeded,
)
JUMP_S: Final = 3600.0
#: How often a bad line looks for the next link.
LOOK_S: Final = 0.03
OF_ACTORS: Final = frozenset({"asks", "tells", "crowd", "actor stream", "actor requests", "channel"})


async def cut(world: World, given: dict[str, Any]) -> None:
    """Cut the connection of a client now: whatever is on its way is lost, the credit of a delivered item too."""
    world.network.cut(given["client"], SERVER)


async def cut_byte(world: World, given: dict[str, Any]) -> None:
    """Cut it after so many bytes more in one direction."""
    _cut_after(world, given["client"], given["bytes"], down=given["down"])


async def bad_line(world: World, given: dict[str, Any]) -> None:
    """Cut each link of a client, one after the other, also those in a handshake or a resume."""
    chance = random.Random(given["seed"])
    ends_at = world.loop.time() + 4 * given["for_s"]
    for _ in range(given["times"]):
        more_bytes = chance.choice([chance.randint(0, 60), chance.randint(0, 300), chance.randint(0, 3000)])
        _cut_after(world, given["client"], more_bytes, down=chance.random() < 0.5)
        to_cut = _connection(world, given["client"])
        while world.loop.time() < ends_at and (to_cut is None or to_cut is _connection(world, given["client"])):
            await asyncio.sleep(LOOK_S)
            to_cut = to_cut or _connection(world, given["client"])
    _let_live(world, given["client"])


async def silence(world: World, given: dict[str, Any]) -> None:
    """Make the connection half-open: it is found dead within two keep-alives."""
    world.network.silence(given["client"], SERVER)


async def partition(world: World, given: dict[str, Any]) -> None:
    """Hold all packets for some seconds."""
    world.network.partition(given["client"], SERVER)
    await asyncio.sleep(given["for_s"])
    world.network.heal()


async def hold(world: World, given: dict[str, Any]) -> None:
    """Let one side read nothing for some time: a process that is stopped, or a slow machine."""
    connection = _connection(world, given["client"])
    if connection is not None:
        link = connection.client if given["down"] else connection.server
        link.pause_reading()
        await asyncio.sleep(given["for_s"])
        link.resume_reading()


async def stall(world: World, given: dict[str, Any]) -> None:
    """Let the event loop stand still for five seconds: every deadline is late, and all packets have arrived."""
    world.loop.advance(5.0)  # type: ignore[attr-defined]


async def weather(world: World, given: dict[str, Any]) -> None:
    """Give the network 5 % loss, 200 ± 100 ms and 1 Mbit/s for some time."""
    faults = world.network._faults
    before = faults.latency_s, faults._bandwidth_bytes_s, faults._loss
    faults.latency_s, faults._bandwidth_bytes_s, faults._loss = (0.1, 0.3), 125_000, 0.05
    await asyncio.sleep(given["for_s"])
    faults.latency_s, faults._bandwidth_bytes_s, faults._loss = before


# ── what may end flows ────────────────────────────────────────────────────────────────────────────────────────────────────


async def outage(world: World, given: dict[str, Any]) -> None:
    """Let nothing of a client through for longer than a session is kept."""
    world.excuse(*LOST, client=given["client"])
    world.network.cut(given["client"], SERVER)
    world.network.partition(given["client"], SERVER)
    await asyncio.sleep(KEPT_S + given["for_s"] * 10)
    world.network.heal()
    world.excuse(*LOST, client=given["client"])
    await asyncio.sleep(5)
    world.excuse(*LOST, client=given["client"])


async def restart(world: World, given: dict[str, Any]) -> None:
    """Kill the server, tell no client, and begin another one in its place: no session is taken up there."""
    async with world.one_at_a_time:
        world.excuse(*LOST, penstock.ActorStopped)
        world.network.silence()
        world.network.cut()
        await world.close_server()
        await asyncio.sleep(given["for_s"])
        await world.open_server()
        world.excuse(*LOST)
        await asyncio.sleep(2)
        world.excuse(*LOST)


async def drain(world: World, given: dict[str, Any]) -> None:
    """Drain the server with all its streams, close it after a grace time, and begin another one."""
    async with world.one_at_a_time:
        world.excuse(*LOST, penstock.ActorStopped)
        await world.close_server(grace_s=given["for_s"])
        world.excuse(*LOST, penstock.ActorStopped)
        await asyncio.sleep(given["for_s"] / 4)
        await world.open_server()
        world.excuse(*LOST)
        await asyncio.sleep(2)
        world.excuse(*LOST)


async def clock_jump(world: World, given: dict[str, Any]) -> None:
    """Let an hour pass at once, as after the sleep of a machine. A session without a link is given up by that."""
    world.excuse(*LOST)
    world.loop.advance(JUMP_S)  # type: ignore[attr-defined]


async def leave(world: World, given: dict[str, Any]) -> None:
    """Let a client close its connection in the middle of everything, and connect again."""
    async with world.one_at_a_time:
        name = given["client"]
        client = world.clients.pop(name)
        world.excuse(*LOST, RuntimeError, client=name)
        await client.close()
        world.excuse(*LOST, client=name)
        await world.open_client(name)


async def two_resumes(world: World, given: dict[str, Any]) -> None:
    """Let a second link race for the session of a client with the token of the first one."""
    session = world.clients[given["client"]].session
    sequence = session._connection._state.sequence
    if sequence is None or not sequence.token:
        return
    token, position = sequence.token, sequence.received
    world.network.cut(given["client"], SERVER)
    world.excuse(*LOST, client=given["client"])  # the thief may win: who has the token has the session
    await world.raw_hello("thief", token, position)


async def bad_token(world: World, given: dict[str, Any]) -> None:
    """Try guessed, foreign and old tokens, and positions that were never sent: none of them touches a session."""
    chance = random.Random(given["seed"])
    await world.raw_hello("guesser", chance.randbytes(16), chance.choice([0, 1, 2**40]))
    client = world.clients.get(given["client"])  # it may have left meanwhile
    sequence = None if client is None else client.session._connection._state.sequence
    if sequence is not None:
        await world.raw_hello("liar", sequence.token, 2**40)


async def crash(world: World, given: dict[str, Any]) -> None:
    """Crash the actor while it streams; it restarts."""
    world.excuse(
        penstock.ActorStopped,
        penstock.Internal,
        penstock.ChannelClosed,
        penstock.Cancelled,
        penstock.ResourceExhausted,
        kinds=OF_ACTORS,
    )
    with contextlib.suppress(Exception):  # this was meant
        await world.system.ref("clerk").ask("crash", timeout=5)


async def storm(world: World, given: dict[str, Any]) -> None:
    """Cut all connections at once, again and again."""
    for _ in range(min(given["times"], 5)):
        world.network.cut()
        await asyncio.sleep(given["for_s"] / 5)


async def newer_peer(world: World, given: dict[str, Any]) -> None:
    """Let a client speak as one of a later version does: frames that are not known here, and may be ignored."""
    client = world.clients[given["client"]]
    chance = random.Random(given["seed"])
    for _ in range(given["times"]):
        connection = client.session._connection
        if client.peer.state == "connected" and client.session.link is not None:
            frame = encode_frame(2, 0, chance.randint(0, 9), (chance.randint(0, 99),))
            unknown = frame[:4] + bytes([chance.randint(100, 255), IGNORABLE]) + frame[6:]
            connection._state.outbox.put(unknown)
            client.session.flush_soon()
        await asyncio.sleep(given["for_s"] / given["times"])


async def vandal(world: World, given: dict[str, Any]) -> None:
    """Break a rule in the middle of a session: that connection is over, and no other one."""
    client = world.clients[given["client"]]
    world.excuse(*LOST, client=given["client"])
    if client.session.link is not None:
        client.session.link.write([random.Random(given["seed"]).randbytes(50)])
        await asyncio.sleep(1)
        world.excuse(*LOST, client=given["client"])


def _connection(world: World, client: str) -> SimulatedConnection | None:
    found = [one for one in world.network._between((client, SERVER)) if not one.client.lost and not one.server.lost]
    return found[-1] if found else None


def _cut_after(world: World, client: str, more_bytes: int, *, down: bool) -> None:
    connection, target = _connection(world, client), client if down else SERVER
    if connection is None:
        world.network.cut_after(more_bytes, source=SERVER if down else client, target=target)
        return
    link = connection.client if down else connection.server
    link.cut_after_bytes = link.delivered_bytes + more_bytes


def _let_live(world: World, client: str) -> None:
    """Cut no further link of a client at a byte."""
    world.network._cuts = [one for one in world.network._cuts if client not in one.hosts]
    for connection in world.network._between((client, SERVER)):
        for link in connection.links:
            link.cut_after_bytes = None


FAULTS: Final = {
    "cut": cut,
    "cut byte": cut_byte,
    "bad line": bad_line,
    "silence": silence,
    "partition": partition,
    "hold": hold,
    "stall": stall,
    "weather": weather,
    "outage": outage,
    "restart": restart,
    "drain": drain,
    "clock jump": clock_jump,
    "leave": leave,
    "two resumes": two_resumes,
    "bad token": bad_token,
    "crash": crash,
    "storm": storm,
    "newer peer": newer_peer,
    "vandal": vandal,
}
