"""Messages handled where they are sent (`Cell.handle_now`): no difference can be seen from outside."""

from __future__ import annotations

import asyncio
import contextvars

from penstock import Actor, Mailbox, ref, tell
from tests.actors.kit import Counter, Slow, outcome, rest, started

seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


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


async def test_a_message_handled_inline_overtakes_no_sender_that_waits_for_room(system):
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


async def test_what_a_handler_sets_in_its_context_is_not_seen_by_the_asker(system, path):
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


async def test_a_background_task_of_an_inline_handler_may_ask_its_actor(system, path):
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

    system._host.tap = tape
    await system.spawn(Counter, name="counter")
    sender = await system.spawn(Sender, name="sender")
    await sender.send("counter")
    assert [data.get("sender") for name, kind, data in tape if kind == "message"] == [None, "sender"]
