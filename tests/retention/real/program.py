"""A server whose durable streams outlive it: ``python -m tests.retention.real.program FILE PORT [PERIOD_S [ITEMS]]``.

It adds ITEMS (10) numbers to the stream "numbers", all PERIOD_S (0.01).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial

import penstock


async def numbers(offset: int, period_s: float, items: int):
    while True:
        for _ in range(items):
            yield offset
            offset += 1
        await asyncio.sleep(period_s)


class Sensor:
    def __init__(self, path: str) -> None:
        self._stream = penstock.retained("sensor", durable=path)

    async def record(self, value: int) -> int:
        """Return the offset of the value, once it is kept."""
        return await self._stream.append(value)


async def main(path: str, port: str, period_s: str = "0.01", items: str = "10") -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    writer = partial(numbers, period_s=float(period_s), items=int(items))
    while True:
        try:
            penstock.retained("numbers", writer, durable=path, max_items=10_000_000, max_bytes=1 << 40)
            break
        except penstock.FailedPrecondition:  # the program before this one has the file until its end
            print("waiting", flush=True)
            await asyncio.sleep(0.02)
    async with penstock.serve(Sensor(path), listen=f"tcp://127.0.0.1:{port}") as server:
        print(server.urls[0], flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
