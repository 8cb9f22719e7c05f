"""Whatever happens to a family of actors, in whatever order: everybody gets one typed outcome, in time, and nothing is left."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import Actor, ActorSystem, Mailbox, PenstockError, Supervision, options, tell
from penstock.testing import run

#: What an outcome may be, but a result: an error of the library, or what a handler raises.
PATIENCE_S = 2000.0


class Mishap(Exception):
    """What goes wrong in an actor."""


class Member(Actor):
    """Does what it is told, well or badly, and has children down to some depth."""

    mailbox = Mailbox(2)

    def __init__(self, depth: int, seed: int, strategy: str) -> None:
        self.depth, self.seed, self.strategy = depth, seed, strategy
        self.random = random.Random(seed)
        self.handled: list[int] = []
        self.inside = False

    supervision = Supervision("one_for_all", max_restarts=3, within=5.0, backoff=0.2)

    async def on_start(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0.1]))
        if self.random.random() < 0.1:
            raise Mishap("start")
        for number in range(2 if self.depth else 0):
            await self.spawn(Member, self.depth - 1, self.seed + number + 1, self.strategy, name=str(number))
        self.schedule(0.3, "tick", every=0.7)

    async def on_stop(self) -> None:
        kind = self.random.random()
        if kind < 0.1:
            raise Mishap("stop")
        await asyncio.sleep(100 if kind > 0.95 else self.random.choice([0, 0.1]))

    async def on_child_failed(self, child, error: Exception) -> None:
        self.watch(child)

    async def on_terminated(self, actor, reason: str) -> None: ...

    async def tick(self) -> None:
        await self._alone(0.05)

    async def _alone(self, seconds: float) -> None:
        assert not self.inside, "two messages at a time"
        self.inside = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.inside = False

    async def quick(self, number: int) -> int:
        self.handled.append(number)
        return number

    async def slow(self, number: int) -> int:
        await self._alone(0.2)
        self.handled.append(number)
        return number

    async def fail(self, number: int) -> int:
        raise Mishap(str(number))

    async def fail_later(self, number: int) -> int:
        await self._alone(0.1)
        raise Mishap(str(number))

    async def hang(self, number: int) -> int:
        await self._alone(20)
        return number

    async def ask_around(self, number: int) -> int:
        others = [info.address for info in self.system.list()]
        how = self.random.choice(["quick", "slow", "ask_around", "tell_around", "read_around"])
        return await self.system.ask(self.random.choice(others), how, number, timeout=None)

    async def asking(self, number: int) -> AsyncIterator[int]:
        for _ in range(2):
            yield await self.ask_around(number)

    async def read_around(self, number: int) -> list[int]:
        others = [info.address for info in self.system.list()]
        stream = self.system.stream(self.random.choice(others), "asking", number, timeout=None)
        return [item async for item in stream]

    async def tell_around(self, number: int) -> int:
        others = [info.address for info in self.system.list()]
        for _ in range(4):
            await self.system.tell(self.random.choice(others), self.random.choice(["slow", "ask_around"]), number)
        return number

    async def stop_one(self, number: int) -> int:
        others = [info.address for info in self.system.list()]
        await self.system.stop(others[number % len(others)])
        return number

    async def restart_one(self, number: int) -> int:
        others = [info.address for info in self.system.list()]
        await self.system.restart(others[number % len(others)])
        return number

    async def numbers(self) -> AsyncIterator[int]:
        for number in range(10):
            yield number
            await asyncio.sleep(0.1)

    async def on_channel(self, channel) -> None:
        await channel.accept()
        async for message in channel:
            await channel.send(message)


METHODS = ["quick", "slow", "fail", "fail_later", "hang", "ask_around", "tell_around", "read_around", "stop_one", "restart_one"]
DEEDS = [*METHODS, "stop", "restart", "stream", "channel", "tell", "cancel", "pass", "short"]


async def read(stream: object) -> list[int]:
    found = [number async for number in stream]
    assert found == list(range(10)), "a stream that was cut has ended normally"
    return found


async def talk(system: ActorSystem, address: str) -> None:
    channel = await system.open_channel(address, timeout=20)
    for number in range(3):
        await channel.send(number)
        assert await channel.receive() == number
    await channel.close()


def deed(system: ActorSystem, what: str, address: str, number: int):
    special = {
        "stop": lambda: system.stop(address),
        "restart": lambda: system.restart(address),
        "stream": lambda: read(system.stream(address, "numbers", timeout=50)),
        "channel": lambda: talk(system, address),
        "tell": lambda: tell(stub).slow(number),
        "short": lambda: options(stub, timeout=0.05).slow(number),
    }
    stub = system.actor(Member, address)
    return special.get(what, lambda: getattr(stub, what)(number))()


async def storm(deeds: list[tuple[str, int, int]], seed: int, strategy: str, *, settles: bool) -> None:
    always = Supervision(strategy, max_restarts=5, within=5.0, backoff=0.1)
    tasks: list[asyncio.Task[object]] = []
    async with ActorSystem(supervision=always) as system:
        for number in range(2):
            try:
                await system.spawn(Member, 1, seed + 10 * number, strategy, name=f"top-{number}")
            except Mishap:
                continue
        for number, (what, which, pause) in enumerate(deeds):
            there = [info.address for info in system.list()]
            if what == "cancel" and tasks:
                tasks[which % len(tasks)].cancel()
            elif what not in ("cancel", "pass") and there:
                try:
                    tasks.append(asyncio.ensure_future(deed(system, what, there[which % len(there)], number)))
                except PenstockError:
                    continue
            await asyncio.sleep(pause / 20)
        async with asyncio.timeout(PATIENCE_S):
            if settles and tasks:
                await asyncio.wait(tasks)
            await system.aclose()
    if tasks:
        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            assert not isinstance(result, BaseException) or isinstance(
                result, PenstockError | Mishap | asyncio.CancelledError
            ), result
    await asyncio.sleep(20)
    assert len(system._host.registry) == 0
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 20), st.integers(0, 6)), max_size=40),
    st.integers(0, 1000),
    st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    st.booleans(),
)
def test_everybody_gets_an_outcome_and_nothing_is_left(deeds, seed, strategy, settles):
    """Whether all is waited for first, or cut short by the end of the system."""
    run(storm(deeds, seed, strategy, settles=settles))
