"""How an ask ends: its answer, a deadline, a token, a cancellation, at any await."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import (
    Actor,
    Cancelled,
    CancelToken,
    ConnectionLost,
    DeadlineExceeded,
    NotFound,
    Unavailable,
    ref,
    tell,
)
from tests.actors.kit import Broken, Counter, Slow, ended, now, outcome, rest, started, stopped

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
    assert "'missing', to which no answer is awaited" in caplog.text
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
