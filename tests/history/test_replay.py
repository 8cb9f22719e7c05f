"""A fresh actor that is told the same does the same; where it does not, the replay says so; what it cannot be told is named."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest

import penstock
from penstock.errors import FailedPrecondition, InvalidArgument, NotFound
from penstock.history import Divergence, History, replay


class Counter(penstock.Actor):
    def __init__(self, start: int = 0) -> None:
        self.n = start

    async def add(self, k: int, *, twice: bool = False) -> int:
        if k < 0:
            raise InvalidArgument(f"{k} is negative")
        if k > 1000:
            raise OverflowError(f"{k} is too much")
        self.n += k * (2 if twice else 1)
        return self.n

    async def slow(self, k: int) -> int:
        await asyncio.sleep(0)
        return await self.add(k)

    async def blob(self, data: bytes) -> int:
        self.n += len(data)
        return self.n

    async def receive(self, message: penstock.Message) -> object:
        self.n += 1
        return [message.type, message.payload, self.n]


class Late(Counter):
    """Counts otherwise from the third message on."""

    async def add(self, k: int, *, twice: bool = False) -> int:
        n = await super().add(k, twice=twice)
        return n if n < 10 else n + 1


class Strict(Counter):
    async def add(self, k: int, *, twice: bool = False) -> int:
        raise InvalidArgument("no")


async def recorded(history, *steps, cls=Counter, args=(5,), name="counter"):
    """Run an actor through `steps` while it is recorded."""
    async with penstock.ActorSystem(tap=history) as system:
        stub = await system.spawn(cls, *args, name=name)
        for step in steps:
            with contextlib.suppress(Exception):  # the history has it
                await step(system, stub)


def add(k, **options):
    return lambda system, stub: stub.add(k, **options)


async def test_the_same_class_replays_without_divergence(path):
    async with History(path) as history:
        await recorded(
            history,
            add(1),
            add(2, twice=True),
            add(-1),
            lambda system, stub: stub.slow(3),
            lambda system, stub: penstock.tell(stub).add(4),
            lambda system, stub: stub.blob(b"\x00\xff"),
            lambda system, stub: system.ask("counter", "anything", {"x": 1}),
        )
        found = await replay(history, "counter", Counter)
    assert (found.events, found.divergence, found.left_out, found.stopped) == (7, None, {}, None)


async def test_the_recorded_class_is_found_by_its_name(path):
    async with History(path) as history:
        await recorded(history, add(1))
        assert (await replay(history, "counter")).events == 1


async def test_another_answer_is_the_divergence_and_the_first_only(path):
    async with History(path) as history:
        await recorded(history, add(1), add(2), add(3), add(4))
        found = await replay(history, "counter", Late)
        (event,) = await history.events(since=found.divergence.offset, limit=1)
    assert found.divergence == Divergence(event.offset, {"kind": "reply", "result": 11}, {"kind": "reply", "result": 12})
    assert event.data["n"] == 3
    assert found.events == 3


async def test_an_error_instead_of_an_answer_is_a_divergence(path):
    async with History(path) as history:
        await recorded(history, add(1))
        found = await replay(history, "counter", Strict)
    assert found.divergence.expected == {"kind": "reply", "result": 6}
    assert found.divergence.got == {"kind": "error", "error": "InvalidArgument", "text": "no"}


async def test_a_crash_and_the_fresh_state_behind_it_are_replayed(path):
    async with History(path) as history:
        await recorded(history, add(1), add(5000), lambda system, stub: asyncio.sleep(1), add(2), add(6000))
        found = await replay(history, "counter", Counter)
        results = [event.data["result"] for event in await history.events("counter", kinds=["reply"])]
    assert results == [6, 7]
    assert (found.events, found.divergence, found.stopped) == (4, None, None)


async def test_a_restart_from_outside_is_replayed(path):
    async with History(path) as history:
        await recorded(history, add(1), lambda system, stub: system.restart("counter"), add(2))
        found = await replay(history, "counter", Counter)
    assert (found.events, found.divergence) == (2, None)


async def test_it_begins_with_the_last_spawn(path):
    async with History(path) as history:
        await recorded(history, add(1), args=(100,))
        await recorded(history, add(1), add(2), args=(1,))
        found = await replay(history, "counter", Counter)
    assert (found.events, found.divergence) == (2, None)


class Ticking(penstock.Actor):
    async def on_start(self) -> None:
        self.n = 0
        self.schedule(1.0, "tick", every=1.0)

    async def tick(self) -> int:
        self.n += 1
        return self.n

    async def read(self) -> int:
        return self.n


async def test_timers_tick_when_the_recorded_ones_did_and_never_by_themselves(path):
    async with History(path) as history:
        await recorded(
            history,
            lambda system, stub: asyncio.sleep(2.5),
            lambda system, stub: stub.read(),
            lambda system, stub: asyncio.sleep(1),
            lambda system, stub: stub.read(),
            cls=Ticking,
            args=(),
        )
        begun = asyncio.get_running_loop().time()
        found = await replay(history, "counter", Ticking)
        assert asyncio.get_running_loop().time() - begun < 1
    assert (found.events, found.divergence, found.stopped) == (5, None, None)


class Parent(penstock.Actor):
    async def on_start(self) -> None:
        self.child = await self.spawn(Counter, 1, name="child")

    async def add(self, k: int) -> int:
        return await self.child.add(k)

    async def far(self, k: int) -> int:
        return await self.system.ask("elsewhere", "add", k)


async def test_children_are_spawned_and_answer(path):
    async with History(path) as history:
        await recorded(history, add(1), add(2), cls=Parent, args=())
        found = await replay(history, "counter", Parent)
    assert (found.events, found.divergence, found.stopped) == (2, None, None)


async def test_an_ask_of_an_actor_that_is_not_its_child_ends_the_replay_and_names_it(path):
    async with History(path) as history:
        async with penstock.ActorSystem(tap=history) as system:
            await system.spawn(Counter, name="elsewhere")
            stub = await system.spawn(Parent, name="counter")
            await stub.add(1)
            await stub.far(1)
            await stub.add(1)
        found = await replay(history, "counter", Parent)
    assert (found.events, found.divergence) == (2, None)
    assert "needs 'elsewhere'" in found.stopped


class Streaming(Counter):
    async def numbers(self) -> AsyncIterator[int]:
        yield self.n


async def test_streams_are_counted_as_left_out(path):
    async def read(system, stub):
        assert [n async for n in stub.numbers()] == [6]

    async with History(path) as history:
        await recorded(history, add(1), read, add(1), cls=Streaming)
        found = await replay(history, "counter", Streaming)
    assert found.left_out == {"streams": 1}
    assert (found.events, found.divergence) == (2, None)


async def test_an_argument_that_was_not_kept_ends_the_replay(path):
    async with History(path) as history:
        await recorded(history, add(1), lambda system, stub: stub.blob(b"x" * 500_000), add(1))
        found = await replay(history, "counter", Counter)
    assert found.events == 1
    assert "too long for the history" in found.stopped


class Stuck(Counter):
    async def add(self, k: int, *, twice: bool = False) -> int:
        await asyncio.get_running_loop().create_future()
        return 0


async def test_a_message_that_never_ends_ends_the_replay(path):
    async with History(path) as history:
        await recorded(history, add(1))
        found = await replay(history, "counter", Stuck)
    assert "was not handled within 10 s" in found.stopped


async def test_an_actor_that_was_never_recorded_is_not_found(path):
    async with History(path) as history:
        with pytest.raises(NotFound, match="no `spawned` event of 'nobody'"):
            await replay(history, "nobody")


async def test_a_class_that_is_gone_is_named(path):
    async with History(path) as history:
        history.record("x", "spawned", {"actor": "no.such:Class", "args": [], "kwargs": {}})
        with pytest.raises(FailedPrecondition, match=r"no\.such:Class cannot be imported"):
            await replay(history, "x")


async def test_an_init_argument_that_was_not_kept_is_an_error(path):
    async with History(path) as history:
        history.record("x", "spawned", {"actor": "a:B", "args": [object()], "kwargs": {}})
        with pytest.raises(FailedPrecondition, match="could not be encoded"):
            await replay(history, "x", Counter)


class Refuses(Counter):
    def __init__(self, start: int = 0) -> None:
        raise RuntimeError("not today")


async def test_an_actor_that_cannot_start_is_the_divergence(path):
    async with History(path) as history:
        await recorded(history, add(1))
        found = await replay(history, "counter", Refuses)
    assert found.divergence.got == {"kind": "crashed", "error": "RuntimeError", "text": "not today"}


async def test_what_was_compared_is_counted_and_what_follows_a_difference_too(path):
    async with History(path) as history:
        await recorded(history, add(1), add(2), add(3), add(4))
        since = (await history.events("counter", kinds=["spawned"]))[0].offset
        same, late = await replay(history, "counter", Counter), await replay(history, "counter", Late)
    assert (same.since, same.recorded, same.compared) == (since, 4, 4)
    assert (late.recorded, late.compared) == (4, 3)


async def test_what_a_replayed_actor_logs_is_marked(path, caplog):
    class Talker(penstock.Actor):
        def __init__(self) -> None:
            self.log.warning("made")

        async def talk(self) -> None:
            self.log.warning("said %s", "so")

    async with History(path) as history:
        await recorded(history, lambda system, stub: stub.talk(), cls=Talker, args=(), name="talker")
        events = len(await history.events())
        await replay(history, "talker", Talker)
        assert len(await history.events()) == events
    said = ["talker: made", "talker: said so"]
    assert [record.getMessage() for record in caplog.records] == [*said, *(f"(replay) {text}" for text in said)]


# ── exactly what was sent ───────────────────────────────────────────────────────────────────────────────────────


class Pair(penstock.Struct):
    left: Any
    right: bytes = b""


class Base(penstock.Struct):
    x: int


class Wide(Base):
    y: int = 0


class Shows(penstock.Actor):
    """Answers with the reprs of what it got."""

    def __init__(self, first: Any = None) -> None:
        self.first = first

    async def show(self, value: Any, *, key: Any = None) -> str:
        return repr((self.first, value, key))

    async def boxed(self, box: Pair, more: dict[str, Any]) -> str:
        return repr((box, more))

    async def base(self, box: Base) -> str:
        return repr(box)

    async def number(self, x: float) -> str:
        return repr(x)

    async def maybe(self, x: float | None, more: list[float]) -> str:
        return repr((x, more))

    async def grid(self, cells: dict[tuple[int, int], float]) -> str:
        return repr(cells)

    async def marked(self, texts: dict[str, str]) -> str:
        return repr(texts)

    async def receive(self, message: penstock.Message) -> str:
        return repr(message)


ODD = [
    {1: "a", 2: "b"},
    b"bytes",
    dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
    Pair({None: (1, 2)}, b"x"),
    (1, [2]),
    {3},
    float("inf"),
    {"$bytes": "YQ=="},
    {"$repr": "no"},
]


@pytest.mark.parametrize("value", ODD, ids=repr)
async def test_untyped_values_are_replayed_as_they_were(path, value):
    """FAULTS F1: int keys, bytes, datetimes and Structs came as their JSON, which was a false difference."""
    async with History(path) as history:
        await recorded(
            history,
            lambda _system, shows: shows.show([value], key=value),
            lambda _system, shows: shows.boxed(Pair(value), {"in": value}),
            lambda system, _shows: system.ask("counter", "anything", value),
            cls=Shows,
            args=(value,),
        )
        found = await replay(history, "counter", Shows)
    assert (found.divergence, found.stopped) == (None, None)
    assert (found.recorded, found.compared) == (3, 3)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -0.0, None], ids=str)
async def test_typed_values_that_json_does_not_have_are_replayed_as_they_were(path, number):
    """FAULTS F1: a float that JSON does not have came as None, and a map with tuples as keys not at all."""
    async with History(path) as history:
        await recorded(
            history,
            lambda _system, shows: shows.number(number or 0.0),
            lambda _system, shows: shows.maybe(number, [1.0, number or 2.0]),
            lambda _system, shows: shows.grid({(1, 2): number or 0.5}),
            lambda _system, shows: shows.marked({"$bytes": "YQ=="}),
            cls=Shows,
            args=(),
        )
        found = await replay(history, "counter", Shows)
    assert (found.divergence, found.stopped, found.compared) == (None, None, 4)


class Answers(penstock.Actor):
    result: float | None = float("inf")

    async def get(self) -> float | None:
        return self.result


@pytest.mark.parametrize("result", [None, float("nan"), float("-inf"), 1.0], ids=str)
async def test_another_float_that_json_does_not_have_is_a_difference(path, monkeypatch, result):
    async with History(path) as history:
        await recorded(history, lambda _system, one: one.get(), cls=Answers, args=())
        assert (await replay(history, "counter", Answers)).divergence is None
        monkeypatch.setattr(Answers, "result", result)
        assert (await replay(history, "counter", Answers)).divergence is not None


@pytest.mark.parametrize("method", ["show", "anything"])
async def test_a_value_nested_too_deeply_ends_the_replay_with_a_word(path, method):
    deep: list[Any] = []
    for _ in range(700):
        deep = [deep]
    async with History(path) as history:
        await recorded(history, lambda system, _: system.ask("counter", method, [deep]), cls=Shows, args=())
        found = await replay(history, "counter", Shows)
    assert found.divergence is None
    assert "event 2" in (found.stopped or "")


async def test_untyped_values_from_elsewhere_are_replayed_as_they_were(path):
    """FAULTS F1."""
    async with History(path) as history:
        async with penstock.ActorSystem(tap=history) as system:
            await system.spawn(Shows, name="counter")
            async with penstock.serve(system, listen="memory://f1"), penstock.connect("memory://f1") as peer:
                await peer.ask("counter", "anything", {1: b"x", "at": dt.datetime(2026, 12, 1, tzinfo=dt.UTC)})
                await peer.actor(Shows, "counter").show({1: b"x"})
        found = await replay(history, "counter", Shows)
    assert (found.divergence, found.stopped, found.compared) == (None, None, 2)


async def test_a_value_that_cannot_be_made_again_ends_the_replay_with_a_word(path):
    """FAULTS F1: it is no difference."""

    class Local(penstock.Struct):
        x: int

    for value, why in ((Local(1), "only what JSON has of it"), (object(), "could not be encoded")):
        for step in (
            lambda _, shows, value=value: shows.show(value),
            lambda system, _, value=value: system.ask("c", "x", value),
        ):
            async with History(path) as history:
                await recorded(history, step, cls=Shows, args=(), name="c")
                found = await replay(history, "c", Shows)
            assert found.divergence is None
            assert why in (found.stopped or "")


async def test_an_instance_of_a_subclass_is_not_replayed_as_its_base(path):
    """FAULTS F1: the declared type has fewer fields than the value had."""
    async with History(path) as history:
        await recorded(history, lambda _system, shows: shows.base(Wide(1, 2)), cls=Shows, args=())
        found = await replay(history, "counter", Shows)
    assert found.divergence is None
    assert "it had a field 'y', which its declared type does not have" in (found.stopped or "")


class Sets(penstock.Actor):
    """Answers with sets, whose items come in another order each time."""

    turn = 0

    async def made(self) -> dict[str, Any]:
        Sets.turn += 1
        first, second = (0, 8) if Sets.turn % 2 else (8, 0)  # the one that is added first is the first: they collide
        return {"in": [{first, second}], "box": Pair(frozenset([first, second]))}


async def test_a_set_has_no_order_that_could_differ(path):
    """FAULTS F1, another member: each process has another order of the texts in a set."""
    assert list({0, 8}) != list({8, 0})
    async with History(path) as history:
        await recorded(history, lambda _, sets: sets.made(), cls=Sets, args=())
        found = await replay(history, "counter", Sets)
    assert (found.divergence, found.compared) == (None, 1)
