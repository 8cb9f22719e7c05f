"""The pipe beside a reference that a reader can check by eye: Hypothesis chooses the steps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import penstock
from penstock.errors import Busy, EndOfStream, NotFound, StreamCancelled, StreamClosed, WouldBlock
from penstock.testing import VirtualClockLoop, run
from tests.streams.kit import ended, rest


class PipeModel(RuleBasedStateMachine):
    """One step at a time, with rest in between: then the reference is a list, a queue of senders and one receiver."""

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.loop = VirtualClockLoop()
        self.sink, self.source = penstock.pipe(size)
        self.size = size
        self.buffer: list[int] = []
        self.waiting: list[tuple[asyncio.Task[Any], int]] = []
        self.receiver: asyncio.Task[Any] | None = None
        self.state = "open"
        self.number = 0
        self.refused: list[asyncio.Task[Any]] = []

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for task in [*(task for task, _ in self.waiting), *([self.receiver] if self.receiver else [])]:
            task.cancel()
        self.loop.run_until_complete(rest())
        self.loop.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self.loop.run_until_complete(rest())
        return task

    def next(self) -> int:
        self.number += 1
        return self.number

    # ── the reference ─────────────────────────────────────────────────────────────────────────────────────────────────

    def flow(self) -> None:
        """Items move as far as they can: to the receiver that waits, and from the senders that wait into the buffer."""
        while self.waiting and len(self.buffer) < self.size and self.state == "open":
            task, item = self.waiting.pop(0)
            assert task.result() is None
            self.buffer.append(item)
        if self.receiver is not None and self.buffer:
            assert self.receiver.result() == self.buffer.pop(0)
            self.receiver = None
            self.flow()

    def finish(self, state: str) -> None:
        self.state = state
        for task, _ in self.waiting:
            assert isinstance(task.exception(), StreamCancelled if state == "cancelled" else StreamClosed)
        self.waiting.clear()
        if self.receiver is not None:
            assert isinstance(self.receiver.exception(), self.last_word())
            self.receiver = None

    def last_word(self) -> type[Exception]:
        return {"ended": EndOfStream, "failed": NotFound, "cancelled": StreamClosed}[self.state]

    # ── the steps ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def send(self) -> None:
        item = self.next()
        task = self.do(self.sink.send(item))
        if self.state != "open":
            assert isinstance(task.exception(), StreamCancelled if self.state == "cancelled" else StreamClosed)
            return
        assert task.done() == (len(self.buffer) < self.size)
        self.waiting.append((task, item))
        self.flow()

    @rule()
    def send_nowait(self) -> None:
        item = self.next()
        try:
            self.sink.send_nowait(item)
        except WouldBlock:
            assert len(self.buffer) == self.size
        except (StreamCancelled, StreamClosed):
            assert self.state != "open"
        else:
            assert self.state == "open"
            self.buffer.append(item)
            self.loop.run_until_complete(rest())
            self.flow()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel_a_send(self, data: st.DataObject) -> None:
        task, _ = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        task.cancel()
        self.loop.run_until_complete(rest())
        assert task.cancelled()

    @rule()
    def receive(self) -> None:
        task = self.do(self.source.receive())
        if self.receiver is not None:
            assert isinstance(task.exception(), Busy)
        elif self.buffer:
            assert task.result() == self.buffer.pop(0)
            self.flow()
        elif self.state == "open":
            self.receiver = task
        else:
            assert isinstance(task.exception(), self.last_word())

    @precondition(lambda self: self.receiver is not None)
    @rule()
    def cancel_the_receiver(self) -> None:
        self.receiver.cancel()
        self.loop.run_until_complete(rest())
        assert self.receiver.cancelled()
        self.receiver = None

    @precondition(lambda self: self.receiver is None and self.buffer)
    @rule(most=st.integers(1, 5))
    def take_a_batch(self, most: int) -> None:
        async def one() -> list[int]:
            batches = self.source.batches(most)
            try:
                return await anext(batches)
            finally:
                await batches.aclose()

        taken = self.do(one()).result()
        assert taken == self.buffer[:most]
        del self.buffer[:most]
        self.flow()

    @precondition(lambda self: self.state == "open" and self.number > 5)
    @rule(how=st.sampled_from(["ended", "failed"]))
    def end(self, how: str) -> None:
        self.sink.close() if how == "ended" else self.sink.fail(NotFound("x"))
        self.loop.run_until_complete(rest())
        self.finish(how)

    @precondition(lambda self: self.number > 8)
    @rule()
    def leave(self) -> None:
        self.do(self.source.aclose())
        if self.state == "open" or self.buffer:
            self.buffer.clear()
            self.finish("cancelled")

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "loop"):
            return
        now = self.source.statistics()
        assert (now.state, now.buffered, now.waiting_senders) == (self.state, len(self.buffer), len(self.waiting))
        assert now.sent - now.received == now.buffered <= self.size
        assert now.credit == (self.size - len(self.buffer) if self.state == "open" else 0)


PipeModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPipeModel = PipeModel.TestCase

STEPS = st.lists(
    st.one_of(
        st.just("send"),
        st.just("send_nowait"),
        st.just("receive"),
        st.just("receive_nowait"),
        st.just("turn"),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(size=st.integers(1, 3), steps=STEPS)
def test_steps_in_any_order_within_a_turn_lose_double_and_reorder_nothing(size, steps):
    assert run(_scenario(size, steps))


async def _scenario(size: int, steps: list[Any]) -> bool:
    sink, source = penstock.pipe(size)
    sends: list[tuple[asyncio.Task[Any] | None, int]] = []
    receives: list[asyncio.Task[Any] | int] = []
    for number, step in enumerate(steps):
        await _step(sink, source, number, step, sends, receives)
        now = source.statistics()
        assert now.buffered <= size
        assert now.credit >= 0
    await rest()
    now = source.statistics()
    assert not now.waiting_senders or now.buffered == size, "senders wait while there is room"
    sink.close()
    accepted = [number for task, number in sends if task is None or await ended(task) is None]
    outcomes = [taken if isinstance(taken, int) else await ended(taken) for taken in receives]
    received = [taken for taken in outcomes if isinstance(taken, int)] + [item async for item in source]
    assert received == accepted
    return True


async def _step(
    sink: Any, source: Any, number: int, step: Any, sends: list[tuple[asyncio.Task[Any] | None, int]], receives: list[Any]
) -> None:
    free = not receives or isinstance(receives[-1], int) or receives[-1].done()
    if step == "send":
        sends.append((asyncio.ensure_future(sink.send(number)), number))
        await asyncio.sleep(0)  # a send that has not begun has no place in the order
    elif step == "receive" and free:
        receives.append(asyncio.ensure_future(source.receive()))
        await asyncio.sleep(0)
    elif step == "turn":
        await asyncio.sleep(0)
    elif step == "send_nowait" or (step == "receive_nowait" and free):
        with contextlib.suppress(WouldBlock):
            _step_nowait(sink, source, number, step, sends, receives)
    elif isinstance(step, tuple):
        tasks = [task for task, _ in sends if task is not None] + [task for task in receives if not isinstance(task, int)]
        if tasks:
            tasks[step[1] % len(tasks)].cancel()


def _step_nowait(sink: Any, source: Any, number: int, step: str, sends: list[Any], receives: list[Any]) -> None:
    if step == "send_nowait":
        sink.send_nowait(number)
        sends.append((None, number))
    elif step == "receive_nowait":
        receives.append(source.receive_nowait())
