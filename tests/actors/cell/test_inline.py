"""Messages handled where they are sent: which, and that nobody can tell from the outside."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from penstock import Actor, Mailbox, ref, tell
from penstock.actors.cell import profile_of
from penstock.actors.cell._envelope import never_waits
from tests.actors.kit import Counter, Slow, outcome, rest, started

seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


class Kinds(Actor):
    async def plain(self) -> int:
        return 1

    async def raises(self) -> int:
        raise ValueError

    async def awaits(self) -> None:
        await asyncio.sleep(0)

    async def sometimes(self, really: bool = False) -> None:
        if really:
            await asyncio.sleep(0)

    async def iterates(self) -> None:
        async for _ in _nothing():
            pass

    async def comprehends(self) -> list[int]:
        return [item async for item in _nothing()]

    async def enters(self) -> None:
        async with asyncio.Lock():
            pass

    def returns_one(self):
        return asyncio.sleep(0)


async def _nothing():
    return
    yield


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("plain", True),
        ("raises", True),
        ("awaits", False),
        ("sometimes", False),
        ("iterates", False),
        ("comprehends", False),
        ("enters", False),
        ("returns_one", False),
    ],
)
def test_a_method_without_an_await_never_waits(method, expected):
    assert never_waits(getattr(Kinds, method)) is expected


def test_only_such_methods_are_instant():
    assert profile_of(Kinds).instant >= {"plain", "raises", "ping"}
    assert not profile_of(Kinds).instant & {"awaits", "sometimes", "iterates", "comprehends", "enters"}


async def test_a_busy_actor_is_never_entered(system):
    class Both(Actor):
        def __init__(self):
            self.inside = False

        async def slow(self) -> None:
            self.inside = True
            await asyncio.sleep(1)
            self.inside = False

        async def quick(self) -> bool:
            return self.inside

    both = await system.spawn(Both)
    slow = await started(both.slow())
    assert await both.quick() is False
    await slow


async def test_an_instant_message_overtakes_nobody_who_waits_for_room(system):
    class Notes(Slow):
        async def quick(self, what: object) -> None:
            self.log_.append(what)

    notes = await system.spawn(Notes, name="notes", mailbox=Mailbox(1))
    first = await started(notes.work("first", 1))
    tasks = [asyncio.ensure_future(tell(notes).work(number)) for number in range(3)]
    await first
    await tasks[0]
    await asyncio.gather(notes.quick("quick"), *tasks)
    await rest()
    assert system.state("notes")["log_"] == ["first", 0, 1, 2, "quick"]


async def test_what_a_handler_sets_in_its_context_is_not_seen_by_who_asks(system, path):
    class Sets(Actor):
        async def set_it(self) -> str:
            before = seen.get()
            seen.set("inside")
            return before

    seen.set("outside")
    sets = await system.spawn(Sets)
    assert await sets.set_it() != "outside"
    assert seen.get() == "outside"


async def test_an_actor_that_fails_at_once_is_restarted_before_its_next_message(system, path):
    counter = await system.spawn(Counter, 7)
    await counter.add(1)
    results = await asyncio.gather(outcome(counter.crash()), counter.get(), counter.get())
    assert results[1:] == [7, 7]


async def test_a_background_task_of_an_instant_handler_may_ask_its_actor(system, path):
    class Background(Actor):
        async def begin(self) -> None:
            self.task = asyncio.ensure_future(ref(self).ask("ping", timeout=None))

        async def result(self) -> str:
            return await self.task

    background = await system.spawn(Background)
    await background.begin()
    await rest()
    assert await background.result() == "pong"


async def test_senders_are_named_on_both_paths(system, path, tape):
    class Sender(Actor):
        async def send(self, whom: str) -> int:
            return await self.system.ask(whom, "add", 1)

    system.tap = tape
    await system.spawn(Counter, name="counter")
    sender = await system.spawn(Sender, name="sender")
    await sender.send("counter")
    assert [data.get("sender") for name, kind, data in tape if kind == "message"] == [None, "sender"]
