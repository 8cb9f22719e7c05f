"""The virtual clock jumps, stands still for threads, and names who waits for ever."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from typing import Any

import pytest

import penstock
from penstock.testing import Deadlock, SimulatedNetwork, VirtualClockLoop, run


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_an_hour_passes_in_no_time() -> None:
    await asyncio.sleep(3600)
    assert now() == 3600


async def test_deadlines_come_in_their_order_each_at_its_time() -> None:
    seen: list[tuple[str, float]] = []

    async def wait(name: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        seen.append((name, now()))

    await asyncio.gather(wait("late", 86_400.25), wait("soon", 0.001), wait("middle", 59.5))
    assert seen == [("soon", 0.001), ("middle", 59.5), ("late", 86_400.25)]


async def test_work_that_is_ready_takes_no_time() -> None:
    for _ in range(10_000):
        await asyncio.sleep(0)
    assert now() == 0


async def test_a_timeout_expires_at_its_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(12.5):
            await asyncio.Event().wait()
    assert now() == 12.5


async def test_a_cancelled_deadline_does_not_move_the_clock() -> None:
    asyncio.get_running_loop().call_later(1000, lambda: None).cancel()
    await asyncio.sleep(1)
    assert now() == 1


async def test_a_callback_that_rearms_itself_makes_progress() -> None:
    loop = asyncio.get_running_loop()
    calls: list[float] = []
    done = asyncio.Event()

    def tick() -> None:
        calls.append(loop.time())
        if len(calls) == 1000:
            done.set()
        else:
            loop.call_later(0.1, tick)

    tick()
    await done.wait()
    assert loop.time() == pytest.approx(99.9)


def test_the_clock_may_start_anywhere_also_far_away() -> None:
    async def main() -> float:
        await asyncio.sleep(0.001)
        return now()

    assert run(main(), start=2.0**33) == pytest.approx(2.0**33 + 0.001, abs=1e-5)
    assert run(main(), start=5.0) == 5.001


def test_run_returns_what_main_returns_and_raises_what_it_raises() -> None:
    async def main(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    assert run(main(7)) == 7
    with pytest.raises(KeyError):
        run(main(KeyError("x")))


def test_waiting_for_ever_is_an_error_that_names_the_tasks_and_where_they_wait() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await never()

    async def main() -> None:
        helper = asyncio.create_task(outer(), name="helper")
        await asyncio.sleep(60)
        await helper

    with pytest.raises(Deadlock) as caught:
        run(main())
    message = str(caught.value)
    assert "at 60 s nothing is ready" in message
    assert "helper: " in message
    assert "outer (test_clock.py:" in message
    assert "never (test_clock.py:" in message
    assert "Event.wait (locks.py:" in message


def test_a_deadlock_of_many_tasks_names_some_and_counts_the_rest() -> None:
    async def main() -> None:
        await asyncio.gather(*(asyncio.Event().wait() for _ in range(50)))

    with pytest.raises(Deadlock, match="and 31 more"):
        run(main())


def test_clean_up_still_runs_after_a_deadlock() -> None:
    cleaned: list[float] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            cleaned.append(now())

    with pytest.raises(Deadlock):
        run(main())
    assert cleaned == [5]


async def test_the_clock_stands_still_while_a_thread_works() -> None:
    release = threading.Event()
    asyncio.get_running_loop().call_soon(release.set)
    async with asyncio.timeout(1):
        assert await asyncio.to_thread(release.wait, 10)
    assert now() == 0


async def test_a_name_is_looked_up_in_a_thread_without_a_deadlock() -> None:
    assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)


async def test_real_sockets_work() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(100)
        theirs.send(b"x")
        assert await waiting == b"x"
        assert loop.time() == 100


async def test_a_task_that_waits_for_a_signal_is_not_a_deadlock() -> None:
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, arrived.set)
    timer = threading.Timer(0.01, signal.raise_signal, [signal.SIGUSR1])
    timer.start()
    await arrived.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    timer.join()


async def test_time_can_pass_in_which_nothing_runs() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    seen: list[float] = []
    loop.call_later(1, lambda: seen.append(loop.time()))
    loop.advance(5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == [5]
    with pytest.raises(ValueError, match="cannot go back"):
        loop.advance(-1)


async def test_a_loop_says_what_time_it_is() -> None:
    await asyncio.sleep(1.5)
    assert repr(asyncio.get_running_loop()) == "<VirtualClockLoop at 1.5 s>"


async def test_debug_mode_works(caplog) -> None:
    asyncio.get_running_loop().set_debug(True)
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        await asyncio.sleep(1)
    assert not caplog.records


class Silent(penstock.Actor):
    async def never(self) -> int:
        await asyncio.Event().wait()
        return 1

    async def ask_in_a_task(self, other: penstock.ActorRef) -> int:
        return await asyncio.create_task(self.system.actor(Silent, other).never())

    async def on_channel(self, channel: penstock.Channel) -> None:
        await channel.accept()
        async for _message in channel:
            """It says nothing."""


class Quiet:
    async def never(self) -> int:
        await asyncio.Event().wait()
        return 1


async def one_process(url: str) -> None:
    async with penstock.ActorSystem() as system:
        first, second = await system.spawn(Silent), await system.spawn(Silent)
        await first.ask_in_a_task(penstock.ref(second))


async def a_call(url: str) -> None:
    async with penstock.serve(Quiet(), listen=url), penstock.connect(url) as peer:
        await peer.service(Quiet).never()


async def a_channel(url: str) -> None:
    async with penstock.ActorSystem() as system:
        await system.spawn(Silent, name="a")
        async with penstock.serve(system, listen=url), penstock.connect(url) as peer:
            await (await peer.open_channel("a")).receive()


async def over_a_network(url: str) -> None:
    with SimulatedNetwork(1):
        await a_call("sim://far:1")


@pytest.mark.parametrize("program", [one_process, a_call, a_channel, over_a_network], ids=lambda one: one.__name__)
def test_what_the_library_does_for_ever_by_itself_is_not_a_deadline(program: Any) -> None:
    """The keep-alive of a connection answers itself: a test that would wait for ever did."""
    with pytest.raises(Deadlock, match="these tasks wait"):
        run(program("memory://deadlock"))


def test_a_program_that_waits_longer_than_any_keep_alive_goes_on() -> None:
    async def main() -> float:
        async with penstock.serve(Quiet(), listen="memory://patient"), penstock.connect("memory://patient"):
            asyncio.get_running_loop().call_later(100_000, (done := asyncio.Event()).set)
            await done.wait()
            await asyncio.sleep(100_000)
        return now()

    assert run(main()) >= 200_000


def test_a_peer_that_is_silent_is_lost_before_the_program_counts_as_one_that_waits_for_ever() -> None:
    async def main() -> None:
        with SimulatedNetwork(1) as network:
            async with (
                penstock.serve(Quiet(), listen="sim://far:1"),
                penstock.connect("sim://far:1", reconnect=None) as peer,
            ):
                call = asyncio.ensure_future(peer.service(Quiet).never())
                await asyncio.sleep(1)
                network.silence()
                await call

    with pytest.raises(penstock.ConnectionLost):
        run(main())
