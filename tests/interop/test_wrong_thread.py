"""Objects belong to the thread of their event loop: another use is an error, and `from_thread` leads back (FAULTS C7)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

import penstock
from penstock import Actor, ActorSystem, CancelToken, Channel, Sink, Source, Stream, from_thread
from penstock.errors import FailedPrecondition, Unavailable, WrongThread


class Adder(Actor):
    async def add(self, k: int) -> int:
        return k + 1

    async def late(self, k: int) -> int:
        await asyncio.sleep(0)
        return k + 1

    async def numbers(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def on_channel(self, channel: Channel[int]) -> None:
        await channel.accept()
        async for message in channel:
            await channel.send(message)


class Service:
    async def add(self, k: int) -> int:
        return k + 1

    async def numbers(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def mirror(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item

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


Uses = dict[str, Callable[[], Any]]


def uses_of_ends(sink: Sink[Any], source: Source[Any]) -> Uses:
    return {
        "send_nowait": lambda: sink.send_nowait(2),
        "send": lambda: sink.send(2),
        "send_many": lambda: sink.send_many([2]),
        "close": sink.close,
        "aclose of the sink": sink.aclose,
        "fail": lambda: sink.fail(ValueError()),
        "receive_nowait": source.receive_nowait,
        "receive": source.receive,
        "anext": lambda: anext(source),
        "anext of a batch": lambda: anext_of(source.batches()),
        "aclose": source.aclose,
    }


async def anext_of(items: AsyncIterator[Any]) -> Any:
    return await anext(items)


def uses_of_a_stream(stream: Stream[Any]) -> Uses:
    return {
        "cancel": stream.cancel,
        "aclose": stream.aclose,
        "receive": stream.receive,
        "receive_nowait": stream.receive_nowait,
    }


def uses_of_a_channel(channel: Channel[Any]) -> Uses:
    return {
        "send": lambda: channel.send(1),
        "send_nowait": lambda: channel.send_nowait(1),
        "send_many": lambda: channel.send_many([1]),
        "receive": channel.receive,
        "close_send": channel.close_send,
        "close": lambda: channel.close("why"),
        "fail": lambda: channel.fail(ValueError()),
        "accept": channel.accept,
        "reject": channel.reject,
    }


async def refused(uses: Uses) -> None:
    """Check that each use is refused in another thread."""
    found = {name: await elsewhere(use) for name, use in uses.items()}
    assert {name: error for name, error in found.items() if not isinstance(error, WrongThread)} == {}


async def test_the_ends_of_a_pipe_and_a_port_are_refused_in_another_thread():
    """FAULTS C7: each call, and not by chance."""
    sink, source = penstock.pipe(4)
    sink.send_nowait(1)
    port = penstock.Port(name="p")
    subscription = port.subscribe()
    port.send_nowait(1)
    await refused(uses_of_ends(sink, source))
    await refused(uses_of_ends(port, subscription) | {"subscribe": port.subscribe})
    assert (source.receive_nowait(), subscription.receive_nowait()) == (1, 1)
    sink.close()
    port.close()


@asynccontextmanager
async def place(url: str) -> AsyncIterator[Place]:
    async with (
        ActorSystem() as system,
        penstock.serve(Service(), system, listen=url) as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        yield Place(system, server, peer, await system.spawn(Adder, name="adder"))


class Place(NamedTuple):
    system: ActorSystem
    server: penstock.Server
    peer: penstock.Peer
    adder: Adder


@pytest.mark.parametrize("url", ["memory://threads", "tcp://127.0.0.1:0"])
async def test_actors_and_stubs_are_refused_in_another_thread(url):
    """FAULTS C7."""
    async with place(url) as (system, server, peer, adder):
        stub, far = peer.service(Service), peer.actor(Adder, "adder")
        assert await far.add(1) == 2
        await refused(
            {
                "ask at once": lambda: adder.add(1),
                "ask": lambda: adder.late(1),
                "stream": adder.numbers,
                "tell": lambda: penstock.tell(adder).add(1),
                "ask by address": lambda: system.ask("adder", "add", 1),
                "spawn": lambda: system.spawn(Adder),
                "open_channel": lambda: system.open_channel("adder"),
                "open_channel far": lambda: peer.open_channel("adder"),
                "stop": lambda: penstock.ref(adder).stop(),
                "bridge": lambda: system.bridge("there", peer),
                "aclose of the system": system.aclose,
                "unary": lambda: stub.add(1),
                "server streaming": stub.numbers,
                "client streaming": lambda: stub.total([1]),
                "call": lambda: peer.call("Service/add", 1),
                "ask far": lambda: far.add(1),
                "tell far": lambda: penstock.tell(far).add(1),
                "stream far": far.numbers,
                "aclose of the peer": peer.aclose,
                "begin_drain": server.begin_drain,
                "aclose of the server": server.aclose,
            }
        )
        assert (await adder.add(1), await stub.add(1), await far.late(1)) == (2, 2, 2)
        assert not peer.draining


@pytest.mark.parametrize("url", ["memory://threads", "tcp://127.0.0.1:0"])
async def test_streams_and_channels_are_refused_in_another_thread_at_their_end_too(url):
    """FAULTS C7: the end was told late, when something else woke the loop."""
    async with place(url) as (system, _server, peer, adder):
        token = CancelToken()
        streams = [
            peer.service(Service).numbers(),
            peer.actor(Adder, "adder").numbers(),
            adder.numbers(),
            peer.open("Service/numbers", kind="bidirectional"),
            *(router.stream("adder", "numbers", cancel=token, events=True) for router in (system, peer)),
        ]
        call = peer.open("Service/mirror")
        await call.send(1)
        channels = [await router.open_channel("adder") for router in (system, peer)]
        await refused(
            {f"{name} of {stream}": use for stream in streams for name, use in uses_of_a_stream(stream).items()}
            | {f"{name} of {channel}": use for channel in channels for name, use in uses_of_a_channel(channel).items()}
            | {f"{name} of {call}": use for name, use in uses_of_ends(call.sink, call).items()}
            | {"cancel of a token": token.cancel, "close_send": call.close_send, "cancel": call.cancel}
        )
        assert not token.cancelled
        assert {channel.state for channel in channels} == {"open"}
        for channel in channels:
            await channel.send(5)
            assert await channel.receive() == 5
        assert await call.close_and_receive() == 1


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
