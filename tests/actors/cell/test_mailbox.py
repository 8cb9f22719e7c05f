"""The bounded queue: exact, fair, and each policy says what happens to the message that does not fit."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import Actor, ActorStopped, ActorSystem, Cancelled, CancelToken, DeadlineExceeded, Mailbox, MailboxFull, ref, tell
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
    assert queue.take() is envelope
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
