"""Collects what sensors keep: it follows the stream of each, and has every reading once, also after it was killed.

python examples/retained/collector.py tcp://127.0.0.1:7713 collected.db
"""

import argparse
import asyncio
import contextlib

import penstock


class Collector:
    def __init__(self, file: str) -> None:
        self.file = file

    async def collect(self, sensor: str) -> int:
        """Take the readings of the caller to their end, and return how many there are. It can be called again at any time."""
        kept: penstock.Retained[float] = penstock.retained(sensor, durable=self.file, max_items=1_000_000)
        readings = penstock.context().peer.follow("outbox", since=kept.next_offset, type=float)
        async for reading in readings:
            if readings.offset > kept.next_offset:  # else another call of the same sensor has it already
                await kept.send(reading)
        return kept.next_offset


async def main(url: str, file: str) -> None:
    async with penstock.serve(Collector(file), listen=url) as server:
        print("serving at", *server.urls, flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Collect the readings of sensors.")
    parser.add_argument("url", nargs="?", default="tcp://127.0.0.1:7713")
    parser.add_argument("file", nargs="?", default="collected.db")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(**vars(parser.parse_args())))
