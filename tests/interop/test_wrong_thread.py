"""Objects belong to the thread of their event loop: another use is an error, and `from_thread` leads back (FAULTS C7)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

import penstock
from penstock import Actor, ActorSystem, from_thread
from penstock.errors import FailedPrecondition, Unavailable, WrongThread


class Adder(Actor):
    async def add(self, k: int) -> int:
        return k + 1

    async def late(self, k: int) -> int:
        await asyncio.sleep(0)
        return k + 1

    async def numbers(self) -> AsyncIterator[int]:
        yield 1


class Service:
    async def add(self, k: int) -> int:
        return k + 1

    async def numbers(self) -> AsyncIterator[int]:
        yield 1

    async def total(self, items: AsyncIterator[int]) -> int:
        return sum([item async for item in items])

    async def from_a_thread(self) -> int:
        return await asyncio.to_thread(lambda: from_thread.run(self.add, 1))


async def elsewhere(use: Callable[[], Any]) -> BaseException | None:
    """Use something in another thread, on a loop of its own if it is a coroutine; return the error."""

    def work() -> None:
        found = use()
        if asyncio.iscoroutine(found):
            asyncio.run(found)

    try:
        await asyncio.to_thread(work)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error
    return None


async def test_the_ends_of_a_pipe_and_a_port_are_refused_in_another_thread():
    """FAULTS C7: each call, and not by chance."""
    sink, source = penstock.pipe(4)
    sink.send_nowait(1)
    port = penstock.Port(name="p")
    subscription = port.subscribe()
    port.send_nowait(1)
    uses: list[Callable[[], Any]] = [
        lambda: sink.send_nowait(2),
        lambda: sink.send(2),
        lambda: sink.send_many([2]),
        sink.close,
        lambda: sink.fail(ValueError()),
        source.receive_nowait,
        source.receive,
        source.aclose,
        lambda: port.send_nowait(2),
        lambda: port.send(2),
        port.close,
        port.subscribe,
        subscription.receive_nowait,
    ]
    for use in uses:
        assert isinstance(await elsewhere(use), WrongThread)
    assert (source.receive_nowait(), subscription.receive_nowait()) == (1, 1)
    sink.close()
    port.close()


async def test_actors_and_stubs_are_refused_in_another_thread():
    """FAULTS C7."""
    async with (
        ActorSystem() as system,
        penstock.serve(Service(), system, listen="memory://threads") as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        adder, stub = await system.spawn(Adder, name="adder"), peer.service(Service)
        far = peer.actor(Adder, "adder")
        assert await far.add(1) == 2
        uses: list[Callable[[], Any]] = [
            lambda: adder.add(1),
            lambda: adder.late(1),
            adder.numbers,
            lambda: penstock.tell(adder).add(1),
            lambda: system.ask("adder", "add", 1),
            lambda: system.spawn(Adder),
            lambda: system.open_channel("adder"),
            lambda: penstock.ref(adder).stop(),
            lambda: stub.add(1),
            stub.numbers,
            lambda: stub.total([1]),
            lambda: peer.call("Service/add", 1),
            lambda: far.add(1),
            lambda: penstock.tell(far).add(1),
            far.numbers,
        ]
        for use in uses:
            assert isinstance(await elsewhere(use), WrongThread), use
        assert (await adder.add(1), await stub.add(1), await far.late(1)) == (2, 2, 2)


# ── back to the loop ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_thread_sends_into_a_pipe_and_feels_its_bound():
    """FAULTS C7."""
    sink, source = penstock.pipe(2)
    loop = asyncio.get_running_loop()

    def produce() -> None:
        for number in range(20):
            from_thread.run(sink.send, number, loop=loop)
        from_thread.run_sync(sink.close, loop=loop)

    thread = threading.Thread(target=produce)
    thread.start()
    assert [item async for item in source] == list(range(20))
    await asyncio.to_thread(thread.join)


async def test_a_thread_of_a_handler_knows_the_loop():
    """FAULTS C7: as in anyio and trio, the loop need not be named there."""
    async with penstock.serve(Service(), listen="memory://handler"), penstock.connect("memory://handler") as peer:
        assert await peer.service(Service).from_a_thread() == 2


async def test_an_error_reaches_the_thread_and_a_loop_is_needed():
    """FAULTS C7."""
    loop = asyncio.get_running_loop()

    async def fails() -> None:
        raise TimeoutError("mine")

    assert isinstance(await elsewhere(lambda: from_thread.run(fails, loop=loop)), TimeoutError)
    assert isinstance(await elsewhere(lambda: from_thread.run_sync(int, "x", loop=loop)), ValueError)
    assert isinstance(await elsewhere(lambda: from_thread.run(fails)), FailedPrecondition)
    with pytest.raises(WrongThread):
        from_thread.run(fails, loop=loop)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("way", ["run", "run_sync"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_each_way_to_end_reaches_the_thread_that_waits(error, way):
    """FAULTS C7: what ends the loop ends the wait, too."""

    def fails() -> None:
        raise error

    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise error

    with from_thread.start_loop() as loop, pytest.raises((error, CancelledError)):
        getattr(from_thread, way)(fails_later if way == "run" else fails, loop=loop)


def test_a_program_without_asyncio_has_a_loop_in_a_thread():
    """FAULTS C7."""

    async def call() -> int:
        async with penstock.serve(Service(), listen="memory://plain"), penstock.connect("memory://plain") as peer:
            return await peer.service(Service).add(1)

    with from_thread.start_loop() as loop:
        assert from_thread.run(call, loop=loop) == 2
    with pytest.raises(Unavailable):
        from_thread.run(call, loop=loop)
