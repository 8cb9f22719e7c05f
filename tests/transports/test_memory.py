"""The particulars of memory: names of one process and one event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import transports
from penstock.errors import Unavailable
from penstock.transports import DIAL_TIMEOUT_S, memory_links
from penstock.transports._memory import MemoryTransport
from tests.transports.kit import Recorder, linked


async def test_nothing_is_delivered_from_inside_write() -> None:
    async with linked("memory://x") as pair:
        pair.client.link.write([b"later"])
        assert pair.server.received == b""
        await pair.server.until_received(5)


async def test_small_segments_are_fed_together() -> None:
    async with linked("memory://x") as pair:
        calls: list[int] = []
        pair.server.on_data = lambda: calls.append(pair.server.received_bytes)
        for _ in range(100):
            pair.client.link.write([b"0123456789"] * 10)
        await pair.server.until_received(10_000)
        assert calls == [10_000]


async def test_a_dial_of_an_unknown_name_lists_the_names_there_are() -> None:
    with pytest.raises(Unavailable, match="nothing listens on memory:// at all"):
        await transports.dial("memory://x", Recorder())
    listener = await transports.listen("memory://y", Recorder)
    with pytest.raises(Unavailable, match="listening here: memory://y"):
        await transports.dial("memory://x", Recorder())
    await listener.aclose()


def test_a_name_whose_loop_was_closed_is_free() -> None:
    asyncio.run(transports.listen("memory://abandoned", Recorder))

    async def main() -> None:
        listener = await transports.listen("memory://abandoned", Recorder)
        await listener.aclose()

    asyncio.run(main())


async def test_a_listener_on_another_loop_is_refused_in_words() -> None:
    transport = MemoryTransport()
    await transport.listen("memory://x", Recorder, tls=None)
    seen: list[BaseException] = []

    def other_loop() -> None:
        try:
            asyncio.run(transport.dial("memory://x", Recorder(), tls=None, timeout_s=DIAL_TIMEOUT_S))
        except Unavailable as error:
            seen.append(error)

    thread = threading.Thread(target=other_loop)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "another event loop" in str(seen[0])


async def test_two_receivers_can_be_joined_directly() -> None:
    first, second = Recorder(), Recorder()
    link, other = memory_links(first, second)
    assert (first.link, second.link) == (link, other)
    link.write([b"there"])
    other.write([b"back"])
    await second.until_received(5)
    await first.until_received(4)
    link.close()
    assert await second.until_lost() is None


async def test_a_receiver_that_raises_breaks_its_connection_only() -> None:
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["exception"]))
    first, second = Recorder(), Recorder()
    memory_links(first, second)
    broken = RuntimeError("broken")

    def fail() -> None:
        raise broken

    second.on_data = fail
    first.link.write([b"x"])
    assert await second.until_lost() is broken
    assert isinstance(await first.until_lost(), ConnectionResetError)
    assert said == [broken]


async def test_one_busy_link_leaves_room_for_others() -> None:
    async with linked("memory://busy", keep=False) as busy, linked("memory://other") as other:
        busy.client.link.write([bytes(65_536)] * 1000)
        other.client.link.write([b"x"])
        await other.server.until_received(1)
        assert busy.server.received_bytes < 65_536 * 100
