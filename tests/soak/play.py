"""Play one program from begin to end, and return what was wrong in it, with the figures for the report."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NamedTuple

from penstock import Peer
from penstock.refs import offers
from penstock.testing import Deadlock, SimulatedNetwork, VirtualClockLoop
from penstock.testing._clock import _where as where
from tests.gates import COUNTED
from tests.session.kit import held_for_peer
from tests.soak.faults import FAULTS, JUMP_S
from tests.soak.flows import Player
from tests.soak.model import Flow
from tests.soak.program import Action, Program, program
from tests.soak.world import KEPT_S, World

#: Every flow has its outcome this long after the last fault of a program is over, in virtual seconds.
PATIENCE_S: Final = 900.0
#: What has ended is cleaned up in this time: as long as a ref is kept (30 s), which is longer than a session is, and a little.
CLEAN_UP_S: Final = 32.0


class Played(NamedTuple):
    """What became of one program. wrongs: what must not happen. The counters are for the report."""

    wrongs: list[str]
    cuts: int
    moments: Counter[str]
    outcomes: Counter[str]
    kinds: Counter[str]
    items: int
    virtual_s: float


def play(program: Program) -> Played:
    """Play a program on the virtual clock. The same program is played the same way again."""
    random.seed(program.seed)  # the back-off of clients
    collecting, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()  # it collects at its own times, and finalisers are a part of what happens
    gc.freeze()
    try:
        played = _played(program)
        gc.collect()
        alive = Counter(type(found).__name__ for found in gc.get_objects() if isinstance(found, COUNTED))
        return played if not alive else played._replace(wrongs=[*played.wrongs, f"left: alive are {dict(alive)}"])
    finally:
        if not frozen:  # else the gate of a test has put aside what there is
            gc.unfreeze()
        if collecting:
            gc.enable()


def play_some(first: int, end: int) -> list[tuple[int, Played]]:
    """Play the programs of some seeds, in a process of its own."""
    logging.disable(logging.CRITICAL)
    return [(seed, play(program(seed))) for seed in range(first, end)]


def _played(program: Program) -> Played:
    errors: list[str] = []
    try:
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, context: errors.append(_shown(context)))
            played = runner.run(_play(program))
    except Deadlock as deadlock:
        return _failed(f"hung: {deadlock}")
    except Exception as error:  # noqa: BLE001 - what the program did not expect is a finding, too
        error.__traceback__ = None
        return _failed(f"raised: {error!r}", *errors)
    return played._replace(wrongs=[*played.wrongs, *(f"left: to the event loop: {text}" for text in errors)])


def _failed(*wrongs: str) -> Played:
    return Played([*wrongs], 0, Counter(), Counter(), Counter(), 0, 0.0)


def _shown(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


async def _play(program: Program) -> Played:
    with SimulatedNetwork(program.seed, **program.sky) as network:
        world = World(program, network)
        with world.census.taken(), world.apart(), numbered_peers():
            await _go(world)
        try:
            return _figures(world)
        finally:
            world.forget()


@contextmanager
def numbered_peers() -> Iterator[None]:
    """Let sets of peers have the order in which the peers were made, and not that of their places in memory."""
    numbers = count()
    Peer.__hash__ = lambda peer: peer.__dict__.setdefault("_soak_number", next(numbers))  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Peer.__hash__


async def _go(world: World) -> None:
    program, loop = world.program, world.loop
    before = asyncio.all_tasks()
    await world.open_server()
    for name in sorted({action.given["client"] for action in program.actions} | {"ann"}):
        await world.open_client(name)
    begin_s = loop.time()
    faults = [asyncio.ensure_future(_fault(world, action, begin_s)) for action in program.actions if action.name != "flow"]
    flows = [asyncio.ensure_future(_flow(world, action, begin_s)) for action in program.actions if action.name == "flow"]
    await _all_done(world, "fault", faults)
    world.network.heal()
    await _all_done(world, "flow", flows)
    await asyncio.sleep(CLEAN_UP_S)
    _check_quiet(world)
    process = next(iter(world.clients.values())).session.budget.process
    for client in [*world.clients.values()]:
        await client.close()
    await world.close_server()
    await asyncio.sleep(KEPT_S + 1)
    for flow in world.flows.values():
        flow.judge_later()
    if len(offers()):
        world.wrong(f"left: {len(offers())} ends of streams on offer")
    if process.held_bytes or process.connections:
        world.wrong(f"left: the process counts {process.held_bytes} bytes of {process.connections} connections")
    if world.network._connections:
        world.wrong(f"left: the connections {world.network._connections}")
    if left := asyncio.all_tasks() - before:
        world.wrong(f"left: the tasks {sorted(repr(task.get_coro()) for task in left)}")


async def _all_done(world: World, what: str, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all of these tasks, for a bounded time."""
    if not tasks:
        return
    jumps = sum(action.name == "clock jump" for action in world.program.actions)
    done, late = await asyncio.wait(tasks, timeout=PATIENCE_S + jumps * JUMP_S)
    for task in late:
        world.wrong(f"hung: a {what}: {task.get_name()}: {where(task)}")
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=1)
    for task in done:
        if error := task.exception():
            world.wrong(f"raised: {task.get_name()}: {error!r}")


async def _at(world: World, action: Action, begin_s: float) -> None:
    await asyncio.sleep(max(0.0, begin_s + action.at_s - world.loop.time()))


async def _fault(world: World, action: Action, begin_s: float) -> None:
    await _at(world, action, begin_s)
    if action.given["client"] in world.clients:  # else it is away just now
        await FAULTS[action.name](world, action.given)


async def _flow(world: World, action: Action, begin_s: float) -> None:
    flow = world.flows[action.given["number"]] = Flow(world, **{k: v for k, v in action.given.items() if k != "to"})
    await _at(world, action, begin_s)
    asyncio.current_task().set_name(repr(flow))  # type: ignore[union-attr]
    while not world.clients:  # noqa: ASYNC110 - of the virtual clock; the only one has just left, and comes back
        await asyncio.sleep(0.01)
    names = [flow.client, action.given["to"]]
    near, far = (world.clients.get(name) or next(iter(world.clients.values())) for name in names)
    with world.as_client(near.name):
        await Player(flow, near.peer, far.peer).go()


def _check_quiet(world: World) -> None:
    """Check that no session holds anything, now that all flows are over."""
    peers = {f"client {name}": client.peer for name, client in world.clients.items()}
    peers |= {f"server of {peer.remote}": peer for peer in world.server.peers}
    for name, peer in peers.items():
        session = peer._scope.session
        if not session.ready.done():  # it comes back just now
            continue
        held = {
            "streams": [one for one in session._connection.streams.all() if not one.opened.target.endswith("!lane")],
            "bytes": held_for_peer(session) - _of_lanes(session),
            "bytes unsent": session._connection._state.unsent.bytes,
            "sinks": list(session.waiting_sinks),
            "tasks": [task for task in peer._scope.tasks if "LaneServer" not in repr(task)],
            "calls": session.unary_calls,
        }
        if found := {what: value for what, value in held.items() if value}:
            world.wrong(f"left: {name} has {found}")


def _of_lanes(session: Any) -> int:
    """Return the bytes that the lanes hold, which stay open for the next message."""
    return sum(one.held_bytes for one in session._connection.streams.all() if one.opened.target.endswith("!lane"))


def _figures(world: World) -> Played:
    outcomes = Counter(type(flow.outcome).__name__ if flow.outcome is not None else "ended" for flow in world.flows.values())
    kinds = Counter(flow.kind for flow in world.flows.values())
    items = sum(flow.up.taken.count + flow.down.taken.count + len(flow.handled) for flow in world.flows.values())
    census = world.census
    return Played(world.wrongs, census.cuts, census.moments, outcomes, kinds, items, world.loop.time())
