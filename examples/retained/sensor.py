"""A sensor that stores its readings, and forwards them when the collector can be reached: none is lost, none comes twice.

python examples/retained/sensor.py tcp://127.0.0.1:7713 outbox.db --readings 100
"""

import argparse
import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import penstock


class Collector:
    @penstock.idempotent
    async def collect(self, sensor: str) -> int: ...


async def forward(url: str) -> None:
    """Let the collector take what is kept here; begin again whenever it was away for long."""
    while True:
        try:
            async with penstock.connect(url) as peer:
                taken = await peer.service(Collector).collect("roof")
                print(f"the collector has {taken} readings")
                return
        except penstock.Unavailable as error:
            print("waiting:", error.message, flush=True)
            await asyncio.sleep(0.5)


async def main(url: str, file: str, readings: int) -> None:
    async def measure(offset: int) -> AsyncIterator[float]:
        for number in range(offset, readings):
            yield round(20 + 5 * math.sin(number / 10), 2)
            await asyncio.sleep(0.02)

    outbox = penstock.retained("outbox", measure, durable=file, ttl_s=86_400, max_items=1_000_000)
    await forward(url)
    print(f"the sensor has measured {outbox.next_offset}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure, store and forward.")
    parser.add_argument("url", nargs="?", default="tcp://127.0.0.1:7713")
    parser.add_argument("file", nargs="?", default="outbox.db")
    parser.add_argument("--readings", type=int, default=500)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(**vars(parser.parse_args())))
