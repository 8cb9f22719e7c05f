"""NATS JetStream doing the same work: `nats-server` keeps the stream, in memory or in a file.

A program publishes it, another one reads it as an ordered consumer. Publications are acknowledged, up to 1,000 in flight:
nats-py's faster way.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from itertools import count as numbers
from pathlib import Path
from time import perf_counter_ns
from typing import Any, ClassVar

import msgspec
import nats

from benchmarks.sides._clock import Answer, percentiles, rate
from benchmarks.sides._items import Stamped, Tick, check_total, tick

_IN_FLIGHT = 1000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_encode = msgspec.msgpack.Encoder().encode


class MemoryServer:
    """`nats-server -js`, and the program that publishes."""

    storage: ClassVar[str] = "memory"

    async def serve(self, transport: str, folder: str) -> str:
        """Start both, and answer where the first one listens."""
        del transport
        program = shutil.which("nats-server") or "/usr/sbin/nats-server"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._process = await asyncio.create_subprocess_exec(
            *(program, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(Path(folder) / "jetstream")),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._nats = await _connected(port)
        self._jetstream = self._nats.jetstream(publish_async_max_pending=_IN_FLIGHT)
        await self._nats.subscribe("begin", cb=self._begin)
        return str(port)

    async def _begin(self, message: Any) -> None:
        name, count, gap_s = msgspec.json.decode(message.data)
        await self._jetstream.add_stream(name=name, subjects=[f"{name}.items"], storage=self.storage)
        await message.respond(b"")
        self._publishing = asyncio.create_task(self._publish(f"{name}.items", count, gap_s))

    async def _publish(self, subject: str, count: int, gap_s: float) -> None:
        for sequence in range(count):
            if gap_s:
                await asyncio.sleep(gap_s)
                await self._jetstream.publish(subject, _encode(Stamped(perf_counter_ns())))
            else:
                await self._jetstream.publish_async(subject, _encode(tick(sequence)), wait_stall=30.0)
        await self._jetstream.publish_async_completed()

    def others_cpu_s(self) -> float:
        """Return the processor time of `nats-server`."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    async def close(self) -> None:
        """End `nats-server`."""
        self._process.kill()
        await self._process.wait()


class FileServer(MemoryServer):
    """The same with its streams in files."""

    storage = "file"


class MemoryDriver:
    """The program that reads."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to the port that `url` names."""
        del transport, folder
        self._nats = await _connected(int(url))
        self._jetstream = self._nats.jetstream()
        self._names = numbers()

    async def follow(self, count: int) -> Answer:
        """Have a new stream of `count` items published, and read it from its beginning to its last item."""
        decode = msgspec.msgpack.Decoder(Tick).decode
        total = 0
        started = perf_counter_ns()
        subscription, name = await self._begun(count, 0.0)
        for _ in range(count):
            total += decode((await subscription.next_msg(timeout=30.0)).data).sequence
        check_total(total, count)
        answer = rate(count, started)
        await self._end(subscription, name)
        return answer

    async def append_to_reader(self, count: int, gap_s: float) -> Answer:
        """Read a stream whose items come one by one: the time from each publication to its arrival here."""
        decode = msgspec.msgpack.Decoder(Stamped).decode
        latencies = []
        started = perf_counter_ns()
        subscription, name = await self._begun(count, gap_s)
        for _ in range(count):
            message = await subscription.next_msg(timeout=30.0)
            latencies.append(perf_counter_ns() - decode(message.data).at_ns)
        answer = rate(count, started) | percentiles(latencies)
        await self._end(subscription, name)
        return answer

    async def _begun(self, count: int, gap_s: float) -> tuple[Any, str]:
        name = f"run-{next(self._names)}"
        await self._nats.request("begin", msgspec.json.encode([name, count, gap_s]), timeout=10.0)
        return await self._jetstream.subscribe(f"{name}.items", ordered_consumer=True, pending_msgs_limit=-1), name

    async def _end(self, subscription: Any, name: str) -> None:
        await subscription.unsubscribe()
        await self._jetstream.delete_stream(name)


FileDriver = MemoryDriver


async def _connected(port: int) -> Any:
    """Connect to a server that may still be beginning."""
    for _attempt in range(50):
        try:
            return await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False)
        except (OSError, nats.errors.Error):
            await asyncio.sleep(0.1)
    raise ConnectionError("nats-server does not answer; Debian has it in a package of that name")
