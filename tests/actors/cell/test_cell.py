"""Messages: one at a time and in order, what goes before them, how an ask ends, and that nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import (
    Actor,
    ActorStopped,
    Cancelled,
    CancelToken,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    Message,
    NotFound,
    ReentrancyError,
    StatusError,
    Unavailable,
    Unimplemented,
    ref,
    tell,
)
from penstock.testing import run
from tests.actors.kit import Broken, Counter, Slow, ended, now, outcome, rest, started, stopped

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


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_status_error_is_an_answer_and_the_actor_goes_on(system, path):
    counter = await system.spawn(Counter, 5)
    with pytest.raises(NotFound, match="no such thing"):
        await counter.missing()
    assert await counter.get() == 5
    assert system.info(ref(counter).address).restarts == 0


async def test_another_exception_reaches_the_asker_itself_and_crashes_the_actor(system, path):
    counter = await system.spawn(Counter, 5, name="counter")
    await counter.add(1)
    with pytest.raises(Broken, match="on purpose"):
        await counter.crash()
    assert await counter.get() == 5
    assert system.info("counter").restarts == 1
    assert "Broken" in system.info("counter").error


async def test_a_told_message_that_fails_is_logged_and_crashes_all_the_same(system, path, caplog):
    counter = await system.spawn(Counter, 5, name="counter")
    await tell(counter).missing()
    await tell(counter).add(1)
    await tell(counter).crash()
    assert await counter.get() == 5
    assert "'missing', which nobody waits for" in caplog.text
    assert "counter crashed" in caplog.text


class Odd(Actor):
    """Ends its messages in ways that could be taken for something else."""

    async def cancelled(self) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        future.result()

    async def cancelled_wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def timeout(self) -> None:
        raise TimeoutError("mine")

    async def lost(self) -> None:
        raise ConnectionLost("to the database")

    async def stop_iteration(self) -> None:
        raise StopAsyncIteration


@pytest.mark.parametrize("way", ["stub", "stub with timeout", "router"])
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("cancelled", Cancelled),
        ("cancelled_wait", Cancelled),
        ("timeout", TimeoutError),
        ("lost", Unavailable),
        ("stop_iteration", StopAsyncIteration),
    ],
)
async def test_what_a_handler_raises_is_never_taken_for_something_else(system, path, method, expected, way):
    odd = await system.spawn(Odd, name="odd")
    limited = penstock.options(odd, timeout=5)
    asks = {
        "stub": getattr(odd, method),
        "stub with timeout": getattr(limited, method),
        "router": lambda: system.ask("odd", method),
    }
    error = await ended(asyncio.ensure_future(asks[way]()))
    assert type(error) is expected
    assert await odd.ping() == "pong"


# ── deadlines, tokens, cancellation ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["stub", "router"])
async def test_an_ask_ends_at_its_deadline_and_its_message_is_finished(system, way):
    slow = await system.spawn(Slow, name="slow")
    asked = penstock.options(slow, timeout=1).work("x", 5) if way == "stub" else system.ask("slow", "work", ["x", 5], timeout=1)
    with pytest.raises(DeadlineExceeded, match="while it was being handled") as found:
        await asked
    assert now() == pytest.approx(1)
    assert found.value.started
    assert await slow.noted() == ["x"]
    assert now() == pytest.approx(5)


async def test_an_ask_by_address_has_a_deadline_when_nobody_sets_one(system):
    await system.spawn(Slow, name="slow")
    with pytest.raises(DeadlineExceeded):
        await system.ask("slow", "work", ["x", 60])
    assert now() == pytest.approx(30)


async def test_a_handler_s_own_asks_inherit_what_is_left_of_the_deadline(system):
    class Middle(Actor):
        async def through(self) -> object:
            await asyncio.sleep(1)
            return await outcome(self.system.ask("slow", "work", ["x", 60], timeout=50))

    await system.spawn(Slow, name="slow")
    await system.spawn(Middle, name="middle")
    with pytest.raises(DeadlineExceeded):
        await system.ask("middle", "through", timeout=3)
    assert now() == pytest.approx(3)
    await rest()
    assert system.info("middle").state == "running"


@pytest.mark.parametrize("when", ["waiting", "handled"])
async def test_a_token_ends_an_ask_at_once_with_its_reason(system, when):
    slow = await system.spawn(Slow, name="slow")
    if when == "waiting":
        await started(slow.work("first", 3))
    token = CancelToken()
    asked = await started(system.ask("slow", "work", ["x", 3], cancel=token))
    token.cancel("no longer wanted")
    token.cancel("twice")
    with pytest.raises(Cancelled, match="no longer wanted"):
        await asked
    assert now() < 1
    await asyncio.sleep(10)
    assert system.state("slow")["log_"] == (["first"] if when == "waiting" else ["x"])


async def test_a_token_that_was_cancelled_before_lets_nothing_begin(system, path):
    await system.spawn(Counter, name="counter")
    token = CancelToken()
    token.cancel("before")
    for type_ in ("get", "crash"):
        with pytest.raises(Cancelled, match="before") as found:
            await system.ask("counter", type_, cancel=token)
        assert not found.value.started
    with pytest.raises(Cancelled, match="before"):
        system.stream("counter", "ticks", cancel=token)
    assert await system.ask("counter", "get") == 0
    assert system.info("counter").streams == 0


async def test_a_token_is_given_back_by_an_ask_that_is_over(system):
    slow = await system.spawn(Slow, name="slow")
    token = CancelToken()
    for _ in range(5):
        await system.ask("slow", "work", ["x", 1], cancel=token)
    assert not token._actions
    assert slow is not None


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("how", ["ask", "tell", "router ask", "router tell", "with timeout"])
async def test_cancelled_at_any_await_a_message_is_handled_once_or_never_and_the_next_one_all_the_same(system, how, turns):
    slow = await system.spawn(Slow, name="slow", mailbox=penstock.Mailbox(1))
    works = {
        "ask": lambda: slow.work("x"),
        "tell": lambda: tell(slow).work("x"),
        "router ask": lambda: system.ask("slow", "work", "x"),
        "router tell": lambda: system.tell("slow", "work", "x"),
        "with timeout": lambda: penstock.options(slow, timeout=60).work("x"),
    }
    before = [asyncio.ensure_future(slow.work("before")) for _ in range(2)]
    task = asyncio.ensure_future(works[how]())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    result = await ended(task)
    await asyncio.gather(*before)
    await slow.work("after")
    log = system.state("slow")["log_"]
    assert log.count("x") == 1 or (log.count("x") == 0 and isinstance(result, asyncio.CancelledError))
    assert log[-1] == "after"
    assert system.info("slow").mailbox == 0


async def test_cancelling_an_asker_never_cancels_the_handler(system):
    slow = await system.spawn(Slow)
    asked = await started(slow.work("x", 5))
    assert isinstance(await stopped(asked), asyncio.CancelledError)
    assert await slow.work("y") == "y"
    assert now() == pytest.approx(5, abs=0.1)


# ── cycles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Ring(Actor):
    """Asks along a list of addresses."""

    async def along(self, rest: list[str]) -> str:
        if not rest:
            return self.address
        return await self.system.ask(rest[0], "along", rest[1:], timeout=None)

    async def in_a_group(self, whom: list[str]) -> list[object]:
        return await asyncio.gather(*(outcome(self.system.ask(one, "along", [], timeout=None)) for one in whom))

    async def in_the_background(self, whom: str) -> None:
        self.task = asyncio.ensure_future(self.system.ask(whom, "along", [], timeout=None))

    async def background(self) -> object:
        return await outcome(self.task)

    async def by_tell(self, whom: str) -> str:
        await self.system.tell(whom, "along", [self.address])
        return "told"


async def ring(system, *names):
    return [await system.spawn(Ring, name=name) for name in names]


@pytest.mark.parametrize("path_", [["a"], ["b", "a"], ["b", "c", "a"], ["b", "c", "b"], ["b", "b"]])
async def test_a_cycle_of_asks_is_an_error_and_names_the_way(system, path_):
    a, *_others = await ring(system, "a", "b", "c")
    way = ["a", *path_]
    way = way[way.index(way[-1]) :]
    with pytest.raises(ReentrancyError, match=" asks ".join(way)) as found:
        await a.along(path_)
    assert not found.value.started
    for name in "abc":
        assert await system.ask(name, "ping", timeout=1) == "pong"
        assert system.info(name).restarts == 0


async def test_a_cycle_through_typed_stubs_is_an_error_too(system):
    class Typed(Actor):
        async def meet(self, other: object) -> None:
            self.other = other

        async def go(self) -> str:
            return await self.other.go()

    one, two = await system.spawn(Typed), await system.spawn(Typed)
    await one.meet(two)
    await two.meet(one)
    with pytest.raises(ReentrancyError):
        await one.go()


async def test_a_cycle_in_a_group_is_an_error_for_that_one(system):
    a, *_others = await ring(system, "a", "b", "c")
    results = await a.in_a_group(["b", "a", "c"])
    assert [type(one) for one in results] == [str, ReentrancyError, str]


async def test_a_group_of_asks_to_others_is_no_cycle(system):
    a, *_others = await ring(system, "a", "b", "c")
    assert await a.in_a_group(["b", "c", "b"]) == ["b", "c", "b"]
    assert await a.along(["b", "c"]) == "c"


@pytest.mark.parametrize("whom", ["a", "b"])
async def test_what_a_handler_leaves_in_the_background_is_no_cycle(system, whom):
    a, *_others = await ring(system, "a", "b")
    await a.in_the_background(whom)
    await rest()
    assert await a.background() == whom


async def test_a_cycle_with_a_tell_in_it_is_none(system):
    a, *_others = await ring(system, "a", "b")
    assert await a.by_tell("b") == "told"
    await rest()
    assert system.info("b").error == ""


async def test_an_asker_that_gave_up_is_waited_for_by_nobody(system):
    class Patient(Actor):
        async def ask_back(self, whom: str) -> object:
            await asyncio.sleep(5)
            return await outcome(self.system.ask(whom, "along", [], timeout=None))

    class Front(Actor):
        async def begin(self) -> None:
            await outcome(self.system.ask("patient", "ask_back", self.address, timeout=1))

        async def along(self, rest: list[str]) -> str:
            return "front"

    front = await system.spawn(Front, name="front")
    patient = await system.spawn(Patient, name="patient")
    await front.begin()
    asked = await started(penstock.options(patient, timeout=None).ping())
    assert await asked == "pong"
    assert now() == pytest.approx(5, abs=0.1)
    assert await front.along([]) == "front"


async def test_asking_back_in_a_start_is_a_cycle(system):
    """The parent waits for its child's start, which asks the parent."""

    class Child(Actor):
        async def on_start(self) -> None:
            assert self.parent is not None
            await self.parent.ask("ping", timeout=None)

    class Parent(Actor):
        async def raise_one(self) -> None:
            await self.spawn(Child)

    parent = await system.spawn(Parent, name="parent")
    with pytest.raises(ReentrancyError, match="parent asks parent/child-"):
        await parent.raise_one()
    assert len(system.list()) == 1


async def test_asking_oneself_in_a_start_is_a_cycle(system):
    class Narcissus(Actor):
        async def on_start(self) -> None:
            await ref(self).ask("ping", timeout=None)

    with pytest.raises(ReentrancyError):
        await system.spawn(Narcissus)
    assert system.list() == []


async def test_asking_oneself_in_a_stop_ends(system):
    class Narcissus(Actor):
        async def on_stop(self) -> None:
            self.found = await outcome(ref(self).ask("ping", timeout=None))

    actor = await system.spawn(Narcissus, name="n")
    cell = ref(actor).cell
    await system.stop("n")
    assert isinstance(cell.actor.found, ReentrancyError)


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


@pytest.mark.parametrize(("type_", "words"), [("ad", "did you mean 'add'"), ("on_start", "no method"), ("_cell", "no method")])
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


class Exits(Actor):
    async def leave(self) -> None:
        raise SystemExit(3)

    async def leave_later(self) -> None:
        await asyncio.sleep(1)
        raise SystemExit(3)

    async def on_stop(self) -> None:
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("method", ["leave", "leave_later"])
@pytest.mark.parametrize("how", ["ask", "tell"])
def test_a_handler_that_ends_the_program_ends_it(method, how, path):
    async def main():
        async with penstock.ActorSystem() as system:
            actor = await system.spawn(Exits)
            await getattr(tell(actor) if how == "tell" else actor, method)()
            await asyncio.sleep(100)

    with pytest.raises(SystemExit):
        run(main())


def test_every_error_of_an_actor_that_is_an_answer_has_a_code():
    assert {ActorStopped("").code, ReentrancyError("").code} <= set(range(1, 17))
    assert issubclass(penstock.MailboxFull, StatusError)
