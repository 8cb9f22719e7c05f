"""A fair line for room loses no wake-up, lets no task overtake and takes back a place that was not used; a bell wakes all."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.streams import Bell, Waiters, mark_retrieved
from penstock.testing import run
from tests.streams.kit import ended, rest, started, stopped


class Room:
    """An owner of a line: some places, each taken by the task that waited longest."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.used: list[object] = []
        self.line = Waiters()

    def wake(self) -> None:
        self.line.wake(self.places - len(self.used) - self.line.reserved)

    def has_room(self) -> bool:
        return len(self.used) + self.line.reserved < self.places

    async def enter(self, name: object) -> None:
        if not self.has_room():
            await self.line.wait(self.wake)
        self.used.append(name)

    def leave(self, name: object) -> None:
        self.used.remove(name)
        self.wake()


async def waiting_in(room: Room, *names: object) -> list[asyncio.Task[None]]:
    return [await started(room.enter(name)) for name in names]


async def test_a_free_place_is_kept_for_the_task_that_waited_longest():
    room = Room(1)
    await room.enter("first")
    tasks = await waiting_in(room, "second", "third")
    assert (room.line.waiting, room.line.reserved) == (2, 0)
    room.leave("first")
    assert (room.line.waiting, room.line.reserved) == (2, 1)
    assert not room.has_room()  # though no task has taken it yet
    await rest()
    assert room.used == ["second"]
    room.leave("second")
    await asyncio.gather(*tasks)
    assert room.used == ["third"]
    assert (room.line.waiting, room.line.reserved) == (0, 0)


async def test_waking_takes_as_many_as_there_are_places_and_no_more():
    room = Room(2)
    await asyncio.gather(room.enter("a"), room.enter("b"))
    tasks = await waiting_in(room, 1, 2, 3)
    room.used.clear()
    room.wake()
    room.wake()
    assert (room.line.waiting, room.line.reserved) == (3, 2)
    await rest()
    room.used.clear()
    room.wake()
    await asyncio.gather(*tasks)


async def test_a_task_that_is_cancelled_in_the_line_leaves_it():
    room = Room(1)
    await room.enter("first")
    cancelled, next_one = await waiting_in(room, "cancelled", "next")
    assert isinstance(await stopped(cancelled), asyncio.CancelledError)
    assert room.line.waiting == 1
    room.leave("first")
    await next_one
    assert room.used == ["next"]


async def test_a_task_that_is_cancelled_with_a_place_kept_for_it_passes_the_place_on():
    room = Room(1)
    await room.enter("first")
    cancelled, next_one = await waiting_in(room, "cancelled", "next")
    room.leave("first")
    cancelled.cancel()  # in the same turn: the place is reserved, and the task has not run
    await next_one
    assert cancelled.cancelled()
    assert room.used == ["next"]
    assert (room.line.waiting, room.line.reserved) == (0, 0)


async def test_a_task_that_was_cancelled_and_has_not_run_gets_no_place():
    room = Room(1)
    await room.enter("first")
    cancelled, next_one = await waiting_in(room, "cancelled", "next")
    cancelled.cancel()
    room.leave("first")  # in the same turn
    await next_one
    assert cancelled.cancelled()
    assert room.used == ["next"]


async def test_an_error_that_is_set_on_the_future_ends_the_wait_and_keeps_the_line():
    room = Room(1)
    await room.enter("first")
    waiter = asyncio.get_running_loop().create_future()
    failing = await started(room.line.wait(room.wake, waiter))
    (next_one,) = await waiting_in(room, "next")
    waiter.set_exception(LookupError("no longer wanted"))
    assert isinstance(await ended(failing), LookupError)
    room.leave("first")
    await next_one
    assert room.used == ["next"]


async def test_a_task_may_go_back_to_the_head_of_the_line():
    line, order = Waiters(), []

    async def twice() -> None:
        await line.wait(lambda: None)
        await line.wait(lambda: None, None, True)
        order.append("twice")

    async def once() -> None:
        await line.wait(lambda: None)
        order.append("once")

    tasks = [await started(twice()), await started(once())]
    for _ in range(3):
        line.wake(1)
        await rest()
    await asyncio.gather(*tasks)
    assert order == ["twice", "once"]


async def test_waking_all_empties_the_line():
    line = Waiters()
    tasks = [await started(line.wait(lambda: None)) for _ in range(5)]
    line.wake_all()
    assert (line.waiting, line.reserved) == (5, 5)
    await asyncio.gather(*tasks)
    assert line.reserved == 0


async def test_waking_an_empty_line_does_nothing():
    line = Waiters()
    line.wake(3)
    line.wake_all()
    assert (line.waiting, line.reserved) == (0, 0)


async def test_pressure_is_on_while_the_line_is_not_empty():
    room, edges = Room(1), []
    await room.enter("first")
    room.line.watch(edges.append)
    tasks = await waiting_in(room, "second", "third")
    assert edges == [True]
    room.leave("first")
    await rest()
    assert edges == [True]
    room.leave("second")
    assert edges == [True, False]
    await asyncio.gather(*tasks)


async def test_pressure_ends_when_the_last_task_is_cancelled_though_there_is_no_room():
    line, edges = Waiters(), []
    line.watch(edges.append)
    task = await started(line.wait(lambda: None))
    await stopped(task)
    assert edges == [True, False]


async def test_a_watcher_that_comes_while_a_task_waits_hears_of_the_end():
    line, edges = Waiters(), []
    task = await started(line.wait(lambda: None))
    line.watch(edges.append)
    line.wake(1)
    await task
    assert edges == [False]


async def test_a_watcher_that_raises_leaves_no_task_in_the_line():
    def wrong(_paused: bool) -> None:
        raise LookupError("a watcher must not raise")

    line = Waiters()
    line.watch(wrong)
    assert isinstance(await ended(asyncio.ensure_future(line.wait(lambda: None))), LookupError)
    assert line.waiting == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.just(0)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=60,
)


@given(places=st.integers(1, 3), steps=steps)
def test_no_wake_up_is_lost_no_task_overtakes_and_a_cancelled_task_gives_its_place_back(places, steps):
    async def scenario() -> None:
        room = Room(places)
        tasks: dict[int, asyncio.Task[None]] = {}
        entered: list[int] = []

        async def enter(number: int) -> None:
            await room.enter(number)
            entered.append(number)

        for number, (step, which) in enumerate(steps):
            if step == "enter":
                tasks[number] = asyncio.ensure_future(enter(number))
            elif step == "leave" and which < len(room.used):
                room.leave(room.used[which])
            elif step == "cancel" and tasks:
                list(tasks.values())[which % len(tasks)].cancel()
            elif step == "turn":
                await asyncio.sleep(0)
            assert len(room.used) + room.line.reserved <= places  # the bound holds at every moment
            assert not room.line.waiting or not room.has_room() or _has_cancelled(tasks)  # no lost wake-up
        await rest()
        while room.line.waiting:  # every task that was not cancelled gets in, as places become free
            assert len(room.used) == places
            room.leave(room.used[0])
            await rest()
        assert entered == sorted(entered)  # no task overtakes
        assert sorted(entered) == [number for number, task in tasks.items() if not task.cancelled()]
        assert all(task.done() for task in tasks.values())
        assert room.line.reserved == 0

    run(scenario())


def _has_cancelled(tasks: dict[int, asyncio.Task[None]]) -> bool:
    """Whether a task was cancelled and has not run since: it is still in the line, and gives its place back when it runs."""
    return any(task.cancelling() and not task.done() for task in tasks.values())


# ── the bell ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bell_wakes_all_tasks_that_wait_and_they_may_wait_again():
    bell, flags, passed = Bell(), {"a": False, "b": False}, []

    async def wait_for(name: str) -> None:
        while not flags[name]:
            await bell.wait()
        passed.append(name)

    tasks = [await started(wait_for(name)) for name in flags]
    flags["b"] = True
    bell.notify()
    await rest()
    assert passed == ["b"]
    flags["a"] = True
    bell.notify()
    bell.notify()
    await asyncio.gather(*tasks)
    assert passed == ["b", "a"]
    assert not bell.waiting


async def test_cancelling_one_task_leaves_the_others_waiting():
    bell = Bell()
    cancelled, other = [await started(bell.wait()) for _ in range(2)]
    assert isinstance(await stopped(cancelled), asyncio.CancelledError)
    assert not other.done()
    assert len(bell.waiting) == 1
    bell.notify()
    await other


async def test_a_notification_that_no_task_waits_for_is_not_kept():
    bell = Bell()
    bell.notify()
    task = await started(bell.wait())
    assert not task.done()
    bell.notify()
    await task


# ── an exception of no interest ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mark", [True, False])
async def test_the_loop_reports_an_exception_only_when_it_is_not_marked_as_retrieved(mark):
    reports: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reports.append(context))
    future = loop.create_future()
    future.set_exception(LookupError("not awaited"))
    if mark:
        mark_retrieved(future)
    del future
    loop.set_exception_handler(None)
    assert len(reports) == (not mark)


async def test_a_future_without_an_outcome_is_left_as_it_is():
    future = asyncio.get_running_loop().create_future()
    mark_retrieved(future)
    assert not future.done()
    future.cancel()
    mark_retrieved(future)
    assert future.cancelled()


async def test_a_task_that_was_woken_counts_as_waiting_until_it_takes_its_place():
    waiters = Waiters()
    task = await started(waiters.wait(lambda: None))
    waiters.wake(1)
    assert (len(waiters.line), waiters.waiting) == (0, 1)
    await task
    assert waiters.waiting == 0
