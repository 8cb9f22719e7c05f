"""What is forgotten in another thread, as the garbage collector may do, is told on the event loop, which sleeps meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import penstock
from penstock import Aborted, StreamCancelled
from tests.interop.kit import linked
from tests.interop.test_must_show import LOST_S, Streams

#: Long enough that the loop waits for the system by then.
PAUSE_S = 0.05


def forget_later(holder: list[object]) -> threading.Thread:
    """Drop what `holder` holds from a thread of its own."""

    def forget() -> None:
        time.sleep(PAUSE_S)
        holder.clear()

    thread = threading.Thread(target=forget)
    thread.start()
    return thread


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
async def test_a_stream_forgotten_in_another_thread_frees_its_producer(debug, tmp_path):
    asyncio.get_running_loop().set_debug(debug)
    service = Streams()
    async with linked(service, "tcp", tmp_path) as peer:
        holder = [peer.service(Streams).watch(8)]
        await holder[0].receive()
        thread = forget_later(holder)
        await asyncio.wait_for(service.closed.wait(), LOST_S)
        thread.join()


async def test_an_end_of_a_pipe_forgotten_in_another_thread_is_told_to_the_other_end():
    sink, source = penstock.pipe(1)
    sink.send_nowait(1)
    holder = [source]
    del source
    assert isinstance(await told(sink.send(2), holder), StreamCancelled)

    sink, source = penstock.pipe(1)
    holder = [sink]
    del sink
    assert isinstance(await told(source.receive(), holder), Aborted)


async def told(waiting, holder):
    """Forget what `holder` holds while somebody waits; return what that one is told, in time."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(waiting)
    thread = forget_later(holder)
    begun = loop.time()
    await asyncio.wait([task], timeout=LOST_S)
    thread.join()
    assert loop.time() - begun < LOST_S, "it was told only when the loop woke for another reason"
    return task.exception()
