"""A large data set under back-pressure: how far its producer is ahead, in numbers, and where it stands still.

python examples/actors/dataset.py [ROWS]
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import penstock

ROWS = int(sys.argv[1]) if sys.argv[1:] else 100_000


class DataSet(penstock.Actor):
    def __init__(self, rows: int) -> None:
        self.rows, self.pauses, self.made = rows, 0, 0

    async def read(self) -> AsyncIterator[int]:
        self.made = 0
        try:
            while self.made < self.rows:
                self.made += 1
                yield self.made
        finally:
            print(f"    [data set] finally: made {self.made:,} of {self.rows:,} rows")

    async def watched(self) -> AsyncIterator[int]:
        async for row in penstock.watch_backpressure(self.read(), self._on_pressure):
            yield row

    def _on_pressure(self, paused: bool) -> None:  # noqa: FBT001 - the name of the state
        self.pauses += paused  # called at the real edges: here a program would throttle what it reads from

    async def so_far(self) -> tuple[int, int]:
        return self.made, self.pauses


async def main() -> None:
    async with penstock.ActorSystem() as system:
        data = await system.spawn(DataSet, ROWS, name="data")
        limited = penstock.options(data, buffer_size=16)

        ahead = row = 0
        async for row in limited.read():
            if row % 1000 == 0:
                await asyncio.sleep(0)  # the producer has its chance
                ahead = max(ahead, (await data.so_far())[0] - row)
        print(f"all {row:,} received; the producer was at most {ahead} ahead, buffer_size is 16")

        async for row in limited.watched():
            if row == 10:
                await asyncio.sleep(0.2)
                made, paused = await data.so_far()
                print(f"a reader took 10 and thinks: {made} made; the producer had to wait {paused} times")
                break


if __name__ == "__main__":
    asyncio.run(main())
