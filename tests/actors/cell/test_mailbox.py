"""The bounded queue: exact, fair, and each policy says what happens to the message that does not fit."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import (
    Actor,
    ActorStopped,
    ActorSystem,
    Cancelled,
    CancelToken,
    Channel,
    DeadlineExceeded,
    Mailbox,
    MailboxFull,
    ref,
    tell,
)
from penstock.actors.cell._envelope import Envelope
from penstock.actors.cell._mailbox import MailboxQueue
from penstock.testing import run
from tests.actors.kit import Slow, ended, now, outcome, rest, started, stopped


async def busy(system, size=2, overflow="wait", seconds=10.0):
    """An actor that handles "first" and whose mailbox is full of 0, 1, …"""
    actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(size, overflow))
    first = await started(actor.work("first", seconds))
    for number in range(size):
        await tell(actor).note(number)
    assert system.info("slow").mailbox == size
    return actor, first


def seen(system):
    return system.state("slow")["log_"]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -1}, {"overflow": "drop"}])
def test_a_mailbox_says_what_is_wrong_with_it(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is "):
        Mailbox(**wrong)


async def test_the_bound_is_exact_and_the_next_sender_waits(system):
    actor, first = await busy(system)
    waiting = [await started(tell(actor).note(number)) for number in (2, 3, 4)]
    assert system.info("slow").mailbox == 2
    assert not any(task.done() for task in waiting)
    await first
    await asyncio.gather(*waiting)
    await rest()
    assert seen(system) == ["first", 0, 1, 2, 3, 4]


async def test_the_bound_holds_at_every_moment_of_a_rush(system):
    most = 0

    class Looks(Actor):
        mailbox = Mailbox(3)

        async def look(self) -> None:
            nonlocal most
            most = max(most, system.info(self.address).mailbox)
            await asyncio.sleep(0)
            most = max(most, system.info(self.address).mailbox)

    actor = await system.spawn(Looks)
    await asyncio.gather(*(tell(actor).look() for _ in range(100)), *(actor.look() for _ in range(100)))
    assert most == 3


async def test_senders_that_wait_get_room_in_their_order_and_nobody_overtakes(system):
    actor, first = await busy(system, size=1)
    waiting = [asyncio.ensure_future(tell(actor).note(number)) for number in range(1, 20)]
    await rest()
    late = []

    async def push_in():
        await first  # room opens now; who comes now is last
        late.append(asyncio.ensure_future(tell(actor).note("late")))

    await push_in()
    await asyncio.gather(*waiting, *late)
    await rest()
    assert seen(system) == ["first", *range(20), "late"]


async def test_a_sender_that_is_cancelled_while_it_waits_sends_nothing_and_takes_no_room(system):
    actor, first = await busy(system, size=1)
    tasks = [await started(tell(actor).note(number)) for number in (1, 2, 3)]
    assert isinstance(await stopped(tasks[1]), asyncio.CancelledError)
    await first
    await asyncio.gather(tasks[0], tasks[2])
    await rest()
    assert seen(system) == ["first", 0, 1, 3]
    assert system.dead_letters.count == 0


@pytest.mark.parametrize("how", ["cancelled", "given up"])
async def test_a_sender_that_leaves_with_room_in_its_hand_gives_it_to_the_next(how):
    queue = MailboxQueue(Mailbox(1))
    envelope = Envelope(None, "x", (), {}, "tell")
    queue.envelopes.append(envelope)
    reply = asyncio.get_running_loop().create_future()
    waiting = [await started(queue.room(reply)), await started(queue.room())]
    assert queue.envelopes.popleft() is envelope
    queue.wake()
    assert queue.senders.reserved == 1
    if how == "cancelled":
        waiting[0].cancel()
    else:
        reply.set_exception(Cancelled("no longer wanted"))
        assert reply.exception()  # its asker has seen it
        waiting[0].cancel()
    await ended(waiting[0])
    assert await waiting[1] is None
    assert (queue.senders.reserved, list(queue.envelopes)) == (0, [])


async def test_reject_raises_at_once_and_says_what_to_do(system):
    actor, first = await busy(system, overflow="reject")
    for attempt in (tell(actor).note("x"), actor.note("x"), ref(actor).tell("note", "x"), system.ask("slow", "note", "x")):
        with pytest.raises(MailboxFull, match=r"slow: its mailbox holds 2 messages \(Mailbox.size\)") as found:
            await attempt
        assert not found.value.started
    await first
    await rest()
    assert seen(system) == ["first", 0, 1]


async def test_drop_oldest_lets_the_newest_in_and_tells_whom_it_concerns(system, tape):
    system._host.tap = tape
    actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(2, "drop_oldest"))
    first = await started(actor.work("first", 10))
    asked = await started(actor.note("oldest"))
    for number in (1, 2, 3):
        await tell(actor).note(number)
    error = await ended(asked)
    assert isinstance(error, MailboxFull)
    assert not error.started
    assert [(envelope.address, envelope.type) for envelope in system.dead_letters] == [("slow", "note")] * 2
    assert tape.kinds("slow").count("dropped") == 2
    await first
    await rest()
    assert seen(system) == ["first", 2, 3]


async def test_what_was_dropped_and_left_is_all_there_was(system):
    actor, first = await busy(system, size=5, overflow="drop_oldest")
    for number in range(5, 1000):
        await tell(actor).note(number)
    await first
    await rest()
    assert seen(system) == ["first", *range(995, 1000)]
    assert system.dead_letters.count == 995


@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_an_actor_that_sends_to_its_own_full_mailbox_is_told_instead_of_waiting_for_itself(system, how):
    class Loops(Actor):
        mailbox = Mailbox(2)

        async def fill(self) -> None:
            for _ in range(3):
                await tell_self(self)

        async def nothing(self) -> None: ...

    async def tell_self(actor):
        await ref(actor).tell("nothing")

    actor = await system.spawn(Loops, name="loops")
    with pytest.raises(MailboxFull, match="tells itself 'nothing'"):
        await actor.fill()
    assert await actor.ping() == "pong"


async def test_an_answer_that_would_wait_for_room_behind_its_own_asker_is_refused(system):
    """A asks B, B tells A, whose mailbox is full: A cannot make room before B has answered."""

    class Front(Actor):
        mailbox = Mailbox(1)

        async def begin(self, other: str) -> None:
            await self.system.tell(self.address, "ping")
            await self.system.ask(other, "back", self.address, timeout=None)

    class Back(Actor):
        async def back(self, whom: str) -> None:
            await self.system.tell(whom, "ping")

    front = await system.spawn(Front, name="front")
    await system.spawn(Back, name="back")
    with pytest.raises(MailboxFull, match="front"):
        await front.begin("back")


@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_senders_that_wait_when_the_actor_stops_are_told_and_their_messages_are_dead_letters(system, how):
    actor, first = await busy(system, size=1)
    work = tell(actor).note("waits") if how == "tell" else actor.note("waits")
    waiting = await started(work)
    await ref(actor).stop()
    error = await ended(waiting)
    assert isinstance(error, ActorStopped)
    assert not error.started
    assert isinstance(await ended(first), ActorStopped)
    assert system.dead_letters.count == 2  # the one in the mailbox, and the one that waited


async def test_an_ask_that_waits_for_room_ends_at_its_deadline(system, caplog):
    _actor, first = await busy(system, size=1)
    begun = now()
    with pytest.raises(DeadlineExceeded, match="slow: no answer to 'note' in time"):
        await system.ask("slow", "note", "late", timeout=2)
    assert now() - begun == pytest.approx(2)
    await first
    await rest()
    gc.collect()
    assert seen(system) == ["first", 0]
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_an_ask_that_waits_for_room_is_cancelled_by_its_token_at_once(system, caplog):
    _actor, first = await busy(system, size=1)
    token = CancelToken()
    waiting = await started(system.ask("slow", "note", "x", cancel=token))
    token.cancel("changed my mind")
    await rest()
    assert waiting.done()
    assert isinstance(waiting.exception(), Cancelled)
    await first
    await rest()
    gc.collect()
    assert seen(system) == ["first", 0]
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_an_ask_given_up_before_its_turn_is_never_handled(system):
    actor, first = await busy(system, size=3)
    asked = await started(actor.note("never"))
    asked.cancel()
    with pytest.raises(DeadlineExceeded, match=r"while .* messages waited"):
        await system.ask("slow", "note", "too late", timeout=1)
    await first
    await rest()
    assert seen(system) == ["first", 0, 1, 2]


async def test_many_senders_that_wait_and_leave_cost_no_more_than_their_number(system):
    actor, first = await busy(system, size=1)
    tasks = [asyncio.ensure_future(tell(actor).note(number)) for number in range(3000)]
    await rest()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await first
    await rest()
    assert seen(system) == ["first", 0]


async def cancelled(asks):
    for ask in asks:
        ask.cancel()
    await asyncio.wait(asks)


class Asker(Actor):
    async def ask(self, address: str) -> None:
        await self.system.ask(address, "note", "never", timeout=0.5)


WAYS_TO_GIVE_UP = ["cancel", "deadline", "token", "inside an actor"]


async def given_up(system, actor, how, count):
    """Ask `count` times, and give up each ask before its turn."""
    token = CancelToken()
    if how == "inside an actor":
        asker = await system.spawn(Asker)
        for _ in range(count):
            with pytest.raises(DeadlineExceeded):
                await asker.ask("slow")
    elif how == "cancel":
        await cancelled([await started(actor.note("never")) for _ in range(count)])
    else:
        limits = {"timeout": 0.5} if how == "deadline" else {"cancel": token}
        asks = [await started(system.ask("slow", "note", "never", **limits)) for _ in range(count)]
        await asyncio.sleep(0.25)
        token.cancel("changed my mind")
        await asyncio.gather(*asks, return_exceptions=True)


@pytest.mark.parametrize("how", WAYS_TO_GIVE_UP)
@pytest.mark.parametrize("overflow", ["wait", "reject", "drop_oldest"])
async def test_an_ask_that_is_given_up_leaves_its_place_at_once(system, overflow, how):
    actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(4, overflow))
    first = await started(actor.work("first", 100))
    live = await started(actor.note("live"))
    for _ in range(3):
        await given_up(system, actor, how, 3)
        assert system.info("slow").mailbox == 1
    async with asyncio.timeout(1):
        for number in range(3):
            await tell(actor).note(number)
    assert system.info("slow").mailbox == 4
    await first
    assert await live == "live"
    await rest()
    assert seen(system) == ["first", "live", 0, 1, 2]
    assert system.dead_letters.count == 0


async def test_a_sender_that_waits_gets_the_room_of_an_ask_that_is_given_up(system):
    actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(1))
    first = await started(actor.work("first", 10))
    asked = await started(actor.note("never"))
    waiting = [await started(tell(actor).note(number)) for number in range(3)]
    await cancelled([asked])
    await rest()
    assert [task.done() for task in waiting] == [True, False, False]
    await asyncio.gather(first, *waiting)
    await rest()
    assert seen(system) == ["first", 0, 1, 2]


async def test_an_ask_that_is_given_up_with_room_in_its_hand_takes_no_place(system):
    actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(1))
    first = await started(actor.work("first", 10))
    token = CancelToken()
    asked = await started(actor.note("never"))
    waiting = await started(system.ask("slow", "note", "never", cancel=token))
    asked.cancel()
    asyncio.get_running_loop().call_soon(token.cancel)  # in the turn in which the other ask has made room
    await asyncio.wait([asked])
    assert isinstance(await ended(waiting), Cancelled)
    await rest()
    assert system.info("slow").mailbox == 0
    assert system._host.cell("slow").queue.bound == 1
    await tell(actor).note(0)
    assert system.info("slow").mailbox == 1
    await first
    await rest()
    assert seen(system) == ["first", 0]


class Load:
    """A large argument."""


async def test_the_arguments_of_an_ask_that_is_given_up_are_freed_at_once(system):
    actor, first = await busy(system, size=3)
    load = Load()
    freed = weakref.ref(load)
    asked = await started(actor.note(load))
    await cancelled([asked])
    del load, asked
    gc.collect()
    assert freed() is None
    await first


async def test_an_ask_that_is_given_up_while_it_is_handled_frees_no_place_twice(system):
    actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(2, "reject"))
    first = await started(actor.work("first", 10))
    await cancelled([first])
    await tell(actor).note(0)
    await tell(actor).note(1)
    with pytest.raises(MailboxFull):
        await tell(actor).note(2)


async def test_what_was_withdrawn_is_no_dead_letter_when_the_actor_stops(system):
    actor = await system.spawn(Slow, name="slow")
    first = await started(actor.work("first", 10))
    asks = [await started(actor.note(number)) for number in range(10)]
    await cancelled(asks[1:5])
    await system.stop("slow")
    assert system.dead_letters.count == 6
    assert {type(await ended(ask)) for ask in (first, asks[0], *asks[5:])} == {ActorStopped}


async def test_openings_that_are_withdrawn_leave_the_mailbox(system):
    class Host(Actor):
        mailbox = Mailbox(5, "reject")

        async def busy(self) -> None:
            await asyncio.sleep(10)

        async def on_channel_open(self, channel: Channel[int]) -> None: ...

        async def on_channel_message(self, channel: Channel[int], message: int) -> None: ...

    actor = await system.spawn(Host, name="host")
    first = await started(actor.busy())
    for _ in range(3):
        await cancelled([await started(system.open_channel("host")) for _ in range(5)])
        await rest()
        assert system.info("host").mailbox == 0
    await first


def put(queue, waiting):
    waiting.append(Envelope(None, "x", (), {}, "ask"))
    queue.envelopes.append(waiting[-1])


def pop(queue):
    while queue.skip(envelope := queue.envelopes.popleft()):
        pass
    return envelope


async def one_step(step, which, queue, waiting, senders):
    if step == "post" and queue.has_room():
        put(queue, waiting)
    elif step == "withdraw" and waiting:
        queue.withdraw(waiting.pop(which % len(waiting)))
    elif step == "pop" and waiting:
        assert pop(queue) is waiting.pop(0)
    elif step == "wait" and not queue.has_room():
        senders.append(await started(queue.room()))


queue_steps = st.lists(st.tuples(st.sampled_from(["post", "post", "withdraw", "pop", "wait"]), st.integers(0, 9)), max_size=60)


@given(queue_steps, st.integers(1, 6))
def test_a_mailbox_counts_the_messages_that_wait_and_none_that_was_withdrawn(todo, size):
    """A model: the waiting messages in their order. After each step there are as many places as the model has."""

    async def main():
        queue, waiting, senders = MailboxQueue(Mailbox(size)), [], []
        for step, which in todo:
            await one_step(step, which, queue, waiting, senders)
            assert len(queue) == len(waiting)
            assert len(queue.envelopes) <= 2 * len(waiting)
            woken = queue.senders.reserved
            assert woken == min(queue.senders.waiting, size - len(waiting))
            assert queue.has_room() == (len(waiting) + woken < size)
            await rest()
            for _ in range(woken):
                put(queue, waiting)
        for sender in senders:
            await stopped(sender)

    run(main())


steps = st.lists(st.tuples(st.sampled_from(["tell", "ask", "cancel", "pass", "deadline"]), st.integers(0, 7)), max_size=40)


@given(steps, st.integers(1, 3))
def test_whatever_senders_do_messages_keep_their_order_and_the_bound(todo, size):
    """Delivered is what was sent and not given up, in order; nobody waits for ever; the bound is never passed."""

    async def main():
        async with ActorSystem() as system:
            actor = await system.spawn(Slow, name="slow", mailbox=Mailbox(size))
            tasks = []
            for number, (what, which) in enumerate(todo):
                if what in ("tell", "ask"):
                    send = tell(actor).work if what == "tell" else actor.work
                    tasks.append((number, asyncio.ensure_future(send(number, which % 2))))
                elif what == "deadline":
                    tasks.append(
                        (number, asyncio.ensure_future(outcome(system.ask("slow", "work", [number, 1], timeout=which))))
                    )
                elif what == "cancel" and tasks:
                    tasks[which % len(tasks)][1].cancel()
                await asyncio.sleep(0 if what != "pass" else which / 4)
                assert system.info("slow").mailbox <= size
            await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
            await asyncio.sleep(100)
            log = system.state("slow")["log_"]
            assert log == sorted(log)
            assert len(set(log)) == len(log)
            quiet = {number for number, task in tasks if not task.cancelled() and not isinstance(task.result(), Exception)}
            assert quiet <= set(log)
            assert system.info("slow").mailbox == 0

    run(main())
