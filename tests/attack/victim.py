"""A process under attack: a server, or a program that dials. It takes commands as lines of JSON, and answers each with a line.

`python -m tests.attack.victim`; the first line it writes has the URL of its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import math
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import penstock
from penstock.calls import _server_call
from penstock.protocol import Connection
from penstock.session import Session

#: Characters of an error that quotes a peer.
TEXT_MAX = 5000
KEPT = (penstock.Peer, Session, Connection)
#: How long the handler of a lost connection may take to ask for its next request. It is 5 s elsewhere, as
#: `tests/calls/test_lost_requests.py` shows on the virtual clock; here every look at what is left would wait for it.
NEXT_REQUEST_S = 0.2


class Desk:
    """What an attacker can call."""

    async def echo(self, value: bytes) -> bytes:
        return value

    async def anything(self, value: Any) -> int:
        return len(value)

    async def wait(self, value: Any = None) -> None:
        await asyncio.Event().wait()

    async def leave(self) -> None:
        sys.exit(3)

    async def large(self) -> bytes:
        return bytes(16 * 1024 * 1024 - 64)

    async def numbers(self) -> AsyncIterator[int]:
        number = 0
        while True:
            number += 1
            yield number

    async def blocks(self) -> AsyncIterator[bytes]:
        while True:
            yield bytes(32 * 1024)

    async def total(self, values: AsyncIterator[Any]) -> int:
        return sum([1 async for _ in values])

    async def ignore(self, values: AsyncIterator[bytes]) -> None:
        await asyncio.Event().wait()

    async def lend(self) -> penstock.SourceRef[int]:
        sink, source = penstock.pipe(1)
        sink.close()
        return penstock.SourceRef(source)

    async def use(self, source: penstock.SourceRef[int]) -> int:
        return sum([item async for item in source])

    async def mirror(self, values: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for value in values:
            yield value


class Clerk(penstock.Actor):
    """An actor that is done at once, and accepts channels."""

    async def take(self, value: Any) -> int:
        return 1

    async def on_channel_open(self, channel: penstock.Channel[Any]) -> None:
        await channel.accept()


class Busy(penstock.Actor):
    """An actor that is never done."""

    async def take(self, value: Any) -> None:
        await asyncio.Event().wait()


class MeteredLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, which keeps the seconds of the processor that each of its turns took."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []

    def _run_once(self) -> None:
        begun = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self.turns.append(time.thread_time() - begun)

    def slowest_ms(self) -> float:
        """Return the turn that one of a hundred was longer than, since the last question."""
        turns, self.turns = sorted(self.turns), []
        return turns[int(len(turns) * 0.99)] * 1e3 if turns else 0.0


def rss_bytes() -> int:
    """Return the resident memory, after freed memory was given back to the system."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def figures() -> dict[str, Any]:
    """Collect the garbage, and say what is left: objects that a connection is made of, memory, time of the processor."""
    gc.collect()
    left = Counter(type(found).__name__ for found in gc.get_objects() if isinstance(found, KEPT))
    return {"left": dict(left), "rss_bytes": rss_bytes(), "cpu_s": time.process_time(), "tasks": len(asyncio.all_tasks())}


async def dial(url: str, times: int, size: int = 1) -> dict[str, int]:
    """Dial what answers at `url`, again and again, and call it with so many bytes; return how often each outcome came."""
    seen: Counter[str] = Counter()
    for _ in range(times):
        try:
            async with penstock.connect(url, timeout=5.0) as peer:
                await peer.call("Desk/echo", bytes(size), options=penstock.CallOptions(timeout=5.0))
                seen["answered"] += 1
        except penstock.PenstockError as error:
            seen[type(error).__name__] += 1
            if not str(error).isprintable() or len(str(error)) > TEXT_MAX:
                seen["a text that is not harmless"] += 1
    return dict(seen)


async def honest(url: str, seconds: float) -> dict[str, float]:
    """Call `echo` with a pause of a millisecond between calls; return the percentiles of the round trips in milliseconds."""
    took: list[float] = []
    end = time.perf_counter() + seconds
    with contextlib.suppress(penstock.Unavailable):  # a server that does not answer any more has no percentiles
        async with penstock.connect(url, timeout=seconds) as peer:
            while (begun := time.perf_counter()) < end:
                await peer.call("Desk/echo", b"honest")
                took.append(time.perf_counter() - begun)
                await asyncio.sleep(0.001)
    if not took:
        return {"calls": 0, "p50_ms": math.inf, "p99_ms": math.inf}
    took.sort()
    return {"calls": len(took), "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[int(len(took) * 0.99)] * 1e3}


async def _main() -> None:
    loop = asyncio.get_running_loop()
    async with penstock.ActorSystem() as system, penstock.serve(Desk(), system, listen="tcp://127.0.0.1:0") as server:
        await system.spawn(Busy, name="busy")
        await system.spawn(Clerk, name="clerk")
        _say({"url": server.urls[0]})
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            given = json.loads(line)
            what = given.pop("do")
            if what == "peers":
                _say(len(server.peers))
            elif what == "turns":
                _say(loop.slowest_ms() if isinstance(loop, MeteredLoop) else 0.0)
            elif what == "figures":
                _say(figures() | {"peers": len(server.peers)})
            else:
                _say(await {"dial": dial, "honest": honest}[what](**given))


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL if os.environ.get("ATTACK_LOG") is None else logging.NOTSET)
    if os.environ.get("ATTACK_FILES"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["ATTACK_FILES"]),) * 2)
    if os.environ.get("ATTACK_LOOP") == "uvloop":
        import uvloop

        make_loop = uvloop.new_event_loop
    else:
        make_loop = MeteredLoop
    _server_call.CLEANUP_S = NEXT_REQUEST_S
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(_main())
