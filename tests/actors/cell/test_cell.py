"""Messages: one at a time and in order, what goes before them, how an ask ends, and that nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import (
    Actor,
    ActorStopped,
    InvalidArgument,
    Message,
    ReentrancyError,
    StatusError,
    Unimplemented,
    ref,
    tell,
)
from penstock.testing import run
from tests.actors.kit import Counter, Slow, ended, now, outcome, rest, started

# ── one at a time, in order ───────────────────────────────────────────────────────────────────────────────────────────


async def test_one_message_at_a_time(system):
    class Busy(Actor):
        def __init__(self):
            self.inside = self.most = 0

        async def work(self) -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0.1)
            self.inside -= 1

        async def measured(self) -> int:
            return self.most

    busy = await system.spawn(Busy)
    await asyncio.gather(*(busy.work() for _ in range(20)), *(tell(busy).work() for _ in range(20)))
    assert await busy.measured() == 1


@pytest.mark.parametrize("count", [10, 3000])
async def test_messages_are_handled_in_the_order_they_were_sent_whoever_sends_and_however(system, path, count):
    class Notes(Actor):
        def __init__(self):
            self.seen = []

        async def note(self, number: int) -> int:
            self.seen.append(number)
            return number

        async def note_slowly(self, number: int) -> int:
            await asyncio.sleep(0)
            self.seen.append(number)
            return number

    notes = await system.spawn(Notes, name="notes")
    router = (lambda n: system.ask("notes", "note", n), lambda n: system.tell("notes", "note", n))
    ways = [notes.note, notes.note_slowly, tell(notes).note, tell(notes).note_slowly, *router]
    await asyncio.gather(*(asyncio.ensure_future(ways[number % len(ways)](number)) for number in range(count)))
    await rest()
    assert system.state("notes")["seen"] == list(range(count))


async def test_many_asks_at_once_are_answered_each_with_its_own(system, path):
    counter = await system.spawn(Counter)
    assert await asyncio.gather(*(counter.add() for _ in range(1000))) == list(range(1, 1001))


@pytest.mark.parametrize("way", ["stub", "router", "tell", "told by address"])
async def test_a_loop_that_sends_gives_others_a_turn(system, path, way):
    counter = await system.spawn(Counter, name="counter")
    send = {
        "stub": counter.add,
        "router": lambda: system.ask("counter", "add"),
        "tell": tell(counter).add,
        "told by address": lambda: system.tell("counter", "add"),
    }[way]
    over = False

    async def others():
        nonlocal over
        await asyncio.sleep(0)
        over = True

    task = asyncio.ensure_future(others())
    for _ in range(3000):
        if over:
            break
        await send()
    assert over
    await task


async def test_a_burst_gives_other_actors_a_turn(system):
    first, second = await system.spawn(Slow), await system.spawn(Slow)
    for number in range(1000):
        await tell(first).note(number)
    await second.note("mine")
    assert len(system.state(ref(first).address)["log_"]) < 1000


# ── messages that no method answers, and questions that every actor answers ───────────────────────────────────────────


class Catches(Actor):
    async def receive(self, message: Message) -> object:
        return message.type, message.payload, message.sender

    async def other(self, whom: str) -> object:
        return await self.system.ask(whom, "anything", 2)


async def test_what_no_method_answers_is_received_with_its_sender(system, path):
    await system.spawn(Catches, name="one")
    await system.spawn(Catches, name="two")
    assert await system.ask("one", "anything", {"x": 1}) == ("anything", {"x": 1}, None)
    assert await system.ask("one", "nothing") == ("nothing", None, None)
    assert await system.ask("two", "other", "one") == ("anything", 2, "two")
    assert system.info("one").messages == 3


@pytest.mark.parametrize(
    ("type_", "words"), [("ad", "did you mean 'add'"), ("on_start", "unknown method"), ("_cell", "unknown method")]
)
async def test_a_type_that_nobody_answers_is_refused_with_what_may_have_been_meant(system, type_, words):
    await system.spawn(Counter, name="counter")
    for work in (system.ask("counter", type_), system.tell("counter", type_)):
        with pytest.raises(Unimplemented, match=words):
            await work
    assert system.info("counter").restarts == 0


@pytest.mark.parametrize("payload", [[1, 2, 3], {"what": 1, "hours": 2}, {}])
async def test_a_payload_that_does_not_fit_is_refused_before_it_is_sent(system, payload):
    await system.spawn(Slow, name="slow")
    with pytest.raises(InvalidArgument):
        await system.ask("slow", "work", payload)
    assert system.info("slow").messages == 0
    assert system.info("slow").restarts == 0


async def test_arguments_that_do_not_fit_are_a_type_error_where_they_are_given(system, path):
    counter = await system.spawn(Counter, name="counter")
    for wrong in (lambda: counter.add(1, 2), lambda: counter.add(j=1), lambda: tell(counter).add(1, 2)):
        with pytest.raises(TypeError):
            await wrong()
    assert system.info("counter").restarts == 0


async def test_a_stub_says_what_may_have_been_meant(system):
    counter = await system.spawn(Counter)
    with pytest.raises(AttributeError, match="did you mean 'add'"):
        counter.ad(1)
    with pytest.raises(AttributeError, match="only a message can be told"):
        tell(counter).ticks()


# ── what goes before messages ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_system_says_goes_before_messages_that_wait(system):
    class Parent(Actor):
        def __init__(self):
            self.seen = []

        async def on_start(self) -> None:
            self.watch(await self.spawn(Counter, name="child"))

        async def block(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

        async def note(self, what: int) -> None:
            self.seen.append(what)

        async def on_terminated(self, actor, reason: str) -> None:
            self.seen.append(actor.address)

    parent = await system.spawn(Parent, name="parent")
    blocked = await started(parent.block(5))
    for number in range(10):
        await tell(parent).note(number)
    await system.stop("parent/child")
    await blocked
    await rest()
    assert system.state("parent")["seen"] == ["parent/child", *range(10)]


async def test_a_stop_goes_before_messages_that_wait(system):
    slow = await system.spawn(Slow, name="slow")
    first = await started(slow.work("first", 1))
    waiting = [await started(slow.work(number)) for number in range(5)]
    await system.stop("slow")
    assert await first == "first"
    for task in waiting:
        error = await ended(task)
        assert isinstance(error, ActorStopped)
        assert not error.started
    assert system.dead_letters.count == 5


# ── the tap ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_tap_is_told_the_same_on_both_paths(path):
    from tests.actors.kit import Tape

    tape = Tape()
    async with penstock.ActorSystem(tap=tape) as system:
        counter = await system.spawn(Counter, 1, name="counter")
        await counter.add(2)
        await outcome(counter.missing())
        await outcome(counter.crash())
        await counter.get()
        await system.ask("counter", "add", 3)
    kinds = ["spawned", "started", "message", "reply", "message", "error", "message", "crashed", "restarted", "started"]
    kinds += ["message", "reply", "message", "reply", "stopped"]
    assert tape.kinds("counter") == kinds
    assert [(data["type"], data["via"], data["args"]) for data in tape.data("message")] == [
        ("add", "ask", (2,)),
        ("missing", "ask", ()),
        ("crash", "ask", ()),
        ("get", "ask", ()),
        ("add", "ask", (3,)),
    ]
    assert [data["result"] for data in tape.data("reply")] == [3, 1, 4]
    assert [data["n"] for data in tape.data("message")] == [1, 2, 3, 4, 5]


async def test_a_tap_without_room_holds_messages_back_and_never_a_stop(path):
    from tests.actors.kit import Tape

    class Full(Tape):
        def __init__(self):
            super().__init__()
            self.opened = asyncio.Event()

        @property
        def full(self):
            return not self.opened.is_set()

        async def room(self):
            await self.opened.wait()

    tape = Full()
    system = penstock.ActorSystem(tap=tape)
    counter = await system.spawn(Counter)
    other = await system.spawn(Counter)
    asked = await started(counter.add())
    assert not asked.done()
    tape.opened.set()
    assert await asked == 1
    tape.opened.clear()
    asked = await started(other.add())
    await system.aclose()
    assert isinstance(await ended(asked), ActorStopped)
    assert now() < 20


# ── the end of the program ────────────────────────────────────────────────────────────────────────────────────────────


class Interrupted(Actor):
    async def leave(self) -> None:
        raise KeyboardInterrupt

    async def leave_later(self) -> None:
        await asyncio.sleep(1)
        raise KeyboardInterrupt

    async def on_stop(self) -> None:
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("method", ["leave", "leave_later"])
@pytest.mark.parametrize("how", ["ask", "tell"])
def test_a_handler_that_is_interrupted_from_the_keyboard_ends_the_program(method, how, path):
    def again(loop, context):
        """Pass over the interrupt itself, of which asyncio tells once more when its task is freed."""
        if not isinstance(context.get("exception"), KeyboardInterrupt):
            loop.default_exception_handler(context)

    async def main():
        asyncio.get_running_loop().set_exception_handler(again)
        async with penstock.ActorSystem() as system:
            actor = await system.spawn(Interrupted)
            await getattr(tell(actor) if how == "tell" else actor, method)()
            await asyncio.sleep(100)

    with pytest.raises(KeyboardInterrupt):
        run(main())


def test_every_error_of_an_actor_that_is_an_answer_has_a_code():
    assert {ActorStopped("").code, ReentrancyError("").code} <= set(range(1, 17))
    assert issubclass(penstock.MailboxFull, StatusError)
