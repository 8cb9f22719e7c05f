"""What is known about a call while it runs, on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from tests.calls.kit import linked, now


class Witness:
    """A service that tells what its context says."""

    async def look(self) -> dict[str, str | float | bool | None]:
        call = penstock.context()
        return {
            "target": call.target,
            "kind": call.kind,
            "side": call.side,
            "deadline": call.deadline,
            "remaining": call.time_remaining(),
            "principal": call.principal,
            "draining": call.draining,
        }

    async def watch(self) -> AsyncIterator[str]:
        yield penstock.context().target
        await asyncio.sleep(0.01)
        yield penstock.context().kind

    async def record(self, items: AsyncIterator[int]) -> list[str]:
        kinds = [penstock.context().kind async for _ in items]
        return [*kinds, penstock.context().target]

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[str]:
        async for _ in items:
            yield penstock.context().kind

    async def metadata(self) -> dict[str, str]:
        return penstock.context().metadata

    async def metadata_watch(self) -> AsyncIterator[dict[str, str]]:
        yield penstock.context().metadata

    async def in_a_task(self) -> str:
        async def inner():
            await asyncio.sleep(0)
            return penstock.context().target

        return await asyncio.create_task(inner())

    async def text(self) -> str:
        return repr(penstock.context())

    async def in_a_thread(self) -> tuple[str, float | None]:
        return await asyncio.to_thread(lambda: (repr(penstock.context()), penstock.context().time_remaining()))


async def test_a_handler_knows_its_call():
    async with linked(Witness()) as pair:
        assert await pair.stub(Witness).look() == {
            "target": "Witness/look",
            "kind": "unary",
            "side": "callee",
            "deadline": None,
            "remaining": None,
            "principal": None,
            "draining": False,
        }
        seen = await pair.stub(Witness, timeout=5).look()
        assert seen["deadline"] == pytest.approx(now() + 5, abs=0.01)
        assert seen["remaining"] == pytest.approx(5, abs=0.01)


async def test_every_kind_of_handler_has_its_context_at_every_step():
    async with linked(Witness()) as pair:
        stub = pair.stub(Witness)
        assert [item async for item in stub.watch()] == ["Witness/watch", "server_streaming"]
        assert await stub.record([1, 2]) == ["client_streaming", "client_streaming", "Witness/record"]
        assert [item async for item in stub.trade([1, 2])] == ["bidirectional", "bidirectional"]
        assert await stub.in_a_task() == "Witness/in_a_task"


async def test_calls_at_the_same_time_do_not_see_each_other():
    async with linked(Witness()) as pair:
        stubs = [pair.stub(Witness, metadata={"n": str(number)}) for number in range(20)]
        assert await asyncio.gather(*(stub.metadata() for stub in stubs)) == [{"n": str(number)} for number in range(20)]


async def test_metadata_travel_as_they_are():
    metadata = {"trace": "abc", "ключ": "✓", "": "", "cr\r\nlf": "a\0b"}
    async with linked(Witness()) as pair:
        stub = pair.stub(Witness, metadata=metadata)
        assert await stub.metadata() == metadata
        assert [item async for item in stub.metadata_watch()] == [metadata]
        assert await pair.stub(Witness).metadata() == {}


async def test_metadata_over_the_limit_are_refused_and_harm_nobody():
    async with linked(Witness()) as pair:
        stub = pair.stub(Witness, metadata={"large": "x" * 1_000_000})
        with pytest.raises(penstock.ResourceExhausted, match="metadata") as raised:
            await stub.metadata()
        assert raised.value.started is False
        with pytest.raises(penstock.ResourceExhausted):
            await anext(aiter(stub.metadata_watch()))
        assert await pair.stub(Witness).metadata() == {}


async def test_there_is_no_context_outside_a_handler():
    with pytest.raises(penstock.FailedPrecondition, match="inside a handler"):
        penstock.context()
    async with linked(Witness()) as pair:
        await pair.stub(Witness).look()
        with pytest.raises(penstock.FailedPrecondition):
            penstock.context()


async def test_a_context_says_in_one_line_what_it_is():
    async with linked(Witness()) as pair:
        assert await pair.stub(Witness).text() == "<CallInfo callee Witness/text unary, no deadline>"
        assert "s left>" in await pair.stub(Witness, timeout=5).text()


async def test_a_context_says_in_a_thread_what_it_is():
    """FAULTS G8: a thread has no event loop, and the call has a clock of its own."""
    async with linked(Witness()) as pair:
        assert await pair.stub(Witness).in_a_thread() == ("<CallInfo callee Witness/in_a_thread unary, no deadline>", None)
        text, remaining = await pair.stub(Witness, timeout=5).in_a_thread()
        assert text.endswith(" s left>")
        assert 0 < remaining <= 5


# ── calls in the other direction ──────────────────────────────────────────────────────────────────────────────────────


class Asks:
    """A service whose handlers call the caller back on the same session."""

    async def ask(self, depth: int) -> int:
        if depth == 0:
            return 0
        return 1 + await penstock.context().peer.call("Answers/answer", depth - 1)

    async def echo_stream(self, count: int) -> AsyncIterator[int]:
        async for item in penstock.context().peer.service(Answers).numbers(count):
            yield item

    async def sum_up(self) -> int:
        async def requests():
            for number in range(5):
                yield number

        return await penstock.context().peer.service(Answers).total(requests())


class Answers:
    async def answer(self, depth: int) -> int:
        return 1 + await penstock.context().peer.call("Asks/ask", depth)

    async def numbers(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def total(self, items: AsyncIterator[int]) -> int:
        return sum([item async for item in items])

    async def meet(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield -item


async def test_a_handler_can_call_its_caller_back_to_any_depth():
    async with linked(Asks(), client_services=[Answers()]) as pair:
        assert await pair.stub(Asks).ask(20) == 40


async def test_a_handler_can_stream_from_and_to_its_caller():
    async with linked(Asks(), client_services=[Answers()]) as pair:
        assert [item async for item in pair.stub(Asks).echo_stream(1000)] == list(range(1000))
        assert await pair.stub(Asks).sum_up() == 10


async def test_both_sides_call_at_once_with_every_kind():
    async def work(peer):
        stub = peer.service(Answers)
        for count in (1, 300, 1000):
            numbers, total, meeting = await asyncio.gather(
                _all(stub.numbers(count)), stub.total(range(count)), _all(stub.meet(range(count)))
            )
            assert numbers == list(range(count))
            assert total == sum(range(count))
            assert meeting == [-number for number in range(count)]

    async with linked(Answers(), client_services=[Answers()]) as pair:
        await asyncio.gather(*(work(peer) for peer in [pair.peer, pair.served] * 3))


async def _all(stream):
    return [item async for item in stream]
