"""A server whose durable streams outlive it: ``python -m tests.retention.real.program FILE PORT``."""

from __future__ import annotations

import asyncio
import signal
import sys

import penstock


async def numbers(offset: int):
    while True:
        for _ in range(10):
            yield offset
            offset += 1
        await asyncio.sleep(0.01)


class Sensor:
    def __init__(self, path: str) -> None:
        self._stream = penstock.retained("sensor", durable=path)

    async def record(self, value: int) -> int:
        """Return the offset of the value, once it is kept."""
        return await self._stream.append(value)


async def main(path: str, port: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while True:
        try:
            penstock.retained("numbers", numbers, durable=path, max_items=10_000_000, max_bytes=1 << 40)
            break
        except penstock.FailedPrecondition:  # the program before this one has the file until its end
            print("waiting", flush=True)
            await asyncio.sleep(0.02)
    async with penstock.serve(Sensor(path), listen=f"tcp://127.0.0.1:{port}") as server:
        print(server.urls[0], flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
