"""What a message of an actor knows of its call, and which context it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from decimal import Decimal

import pytest

import penstock
from penstock import Actor, options
from tests.actors.kit import now

mark: ContextVar[str] = ContextVar("mark", default="clean")


class Sets(Actor):
    """Each method returns what it sees of the variable, and sets it; `how` says how it ends."""

    async def quick(self, value: str) -> str:
        seen = mark.get()
        mark.set(value)
        return seen

    async def late(self, value: str, how: str = "") -> str:
        seen = mark.get()
        mark.set(value)
        for _ in range(3):
            await asyncio.sleep(0.1)
            assert mark.get() == value
        if how == "raises":
            raise penstock.NotFound(seen)
        if how == "crashes":
            raise ValueError(seen)
        if how == "cancelled":
            task = asyncio.ensure_future(asyncio.sleep(1))
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return seen + mark.get().removeprefix(value)
        return seen

    async def half(self) -> Decimal:
        """Decimal keeps its settings in a context variable."""
        await asyncio.sleep(0)
        return Decimal(1) / 2


async def test_each_message_has_a_context_of_its_own(system, path):
    """FAULTS C1: one after the other, and while others wait in the mailbox."""
    sets = await system.spawn(Sets)
    assert [await sets.quick("one"), await sets.quick("two"), await sets.late("three"), await sets.quick("four")] == [
        "clean"
    ] * 4
    mixed = [sets.quick("a"), sets.late("b"), sets.late("c"), sets.quick("d"), sets.late("e", "cancelled"), sets.quick("f")]
    assert await asyncio.gather(*mixed) == ["clean"] * 6


@pytest.mark.parametrize("how", ["raises", "crashes", "cancelled"])
async def test_a_message_that_fails_leaves_no_variable_behind(system, how):
    """FAULTS C1."""
    sets = await system.spawn(Sets)
    found = await asyncio.gather(*(sets.late(str(number), how) for number in range(3)), return_exceptions=True)
    assert [str(one) for one in found if not isinstance(one, penstock.ActorStopped)] == ["clean"] * 3


async def test_a_library_that_keeps_its_settings_in_a_variable_is_no_trouble(system):
    sets = await system.spawn(Sets)
    assert await asyncio.gather(*(sets.half() for _ in range(200))) == [Decimal("0.5")] * 200


class Cancels(Actor):
    async def hang(self) -> str:
        mark.set("hangs")
        try:
            await asyncio.sleep(100)
        finally:
            seen.append(mark.get())
        return ""

    async def on_stop(self) -> None:
        seen.append(mark.get())


seen: list[str] = []


@pytest.mark.parametrize("messages", [1, 2])
async def test_a_handler_that_is_cancelled_cleans_up_in_its_own_context(system, messages):
    """FAULTS C1: also one whose context is not that of the task."""
    seen.clear()
    system._host.end_grace()
    actor = await system.spawn(Cancels)
    asked = [asyncio.ensure_future(actor.hang()) for _ in range(messages)]
    await asyncio.sleep(1)
    await penstock.ref(actor).stop()
    assert seen == ["hangs", "clean"]
    assert {type(one) for one in await asyncio.gather(*asked, return_exceptions=True)} == {penstock.ActorStopped}


# ── what penstock.context() says ──────────────────────────────────────────────────────────────────────────────────────


class Witness(Actor):
    """Says what its context says: the deadline, the metadata, the kind."""

    async def quick(self) -> tuple[float | None, dict[str, str], str]:
        return told()

    async def late(self) -> tuple[float | None, dict[str, str], str]:
        await asyncio.sleep(0)
        return told()

    async def numbers(self) -> AsyncIterator[tuple[float | None, dict[str, str], str]]:
        assert penstock.context().sink is not None
        yield told()

    async def collect(self, items: AsyncIterator[int]) -> tuple[float | None, dict[str, str], str]:
        assert penstock.context().sink is None
        return told()

    async def both(self, items: AsyncIterator[int]) -> AsyncIterator[tuple[float | None, dict[str, str], str]]:
        yield told()

    async def relayed(self, other: str) -> AsyncIterator[tuple[float | None, dict[str, str], str]]:
        """Of each kind of call that this stream makes."""
        stub = self.system.actor(Witness, other)
        for found in [await stub.quick(), await stub.late(), await stub.collect([1])]:
            yield found
        async for found in stub.numbers():
            yield found

    async def leave_a_task(self) -> AsyncIterator[int]:
        async def later() -> None:
            await asyncio.sleep(0.1)
            self.left = told()[0]

        self.task = asyncio.create_task(later())
        yield 1


def told() -> tuple[float | None, dict[str, str], str]:
    call = penstock.context()
    return call.time_remaining(), call.metadata, call.kind


async def every_kind(stub: Witness) -> list[tuple[float | None, dict[str, str], str]]:
    return [
        await stub.quick(),
        await stub.late(),
        *[found async for found in stub.numbers()],
        await stub.collect([1]),
        *[found async for found in stub.both([1])],
    ]


KINDS = ["unary", "unary", "server_streaming", "client_streaming", "bidirectional"]


async def test_a_handler_of_any_kind_knows_its_deadline_and_metadata(system, path):
    """FAULTS C5: streams and messages that are handled where they are sent, too."""
    stub = await system.spawn(Witness)
    assert await every_kind(stub) == [(None, {}, kind) for kind in KINDS]
    timed = await every_kind(options(stub, timeout=5, metadata={"user": "ann"}))
    assert timed == [(pytest.approx(5), {"user": "ann"}, kind) for kind in KINDS]


async def test_calls_of_a_stream_inherit_its_deadline(system, path):
    """FAULTS C5."""
    await system.spawn(Witness, name="other")
    stub = options(await system.spawn(Witness), timeout=5)
    assert [found[0] async for found in stub.relayed("other")] == [pytest.approx(5)] * 4


async def test_an_ask_by_address_has_the_deadline_of_its_time_out(system, path):
    """FAULTS C5."""
    await system.spawn(Witness, name="w")
    assert (await system.ask("w", "quick"))[0] == pytest.approx(30)
    assert (await system.ask("w", "quick", timeout=None))[0] is None
    assert [found[0] async for found in system.stream("w", "numbers", timeout=7)] == [pytest.approx(7)]


async def test_work_that_a_stream_leaves_running_has_no_deadline(system):
    """FAULTS C5: the call is over."""
    stub = await system.spawn(Witness, name="w")
    assert [item async for item in options(stub, timeout=5).leave_a_task()] == [1]
    await asyncio.sleep(1)
    assert penstock.ref(stub).cell.actor.left is None
    assert now() < 5
