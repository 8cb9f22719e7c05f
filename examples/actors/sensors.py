"""A sensor hub: one port, four subscribers, each with its own buffer and its own way to be too slow; one in another process.

python examples/actors/sensors.py
"""

import asyncio
import sys

import penstock

READINGS = 30


class Hub(penstock.Actor):
    def __init__(self) -> None:
        self.last = 0
        self.readings = self.port("readings", buffer_size=4)  # its subscribers say what is to happen when they are too slow

    async def start(self) -> None:
        self.timer = self.schedule(0, self.measure, every=0.01)  # each tick is a message to this actor

    async def measure(self) -> None:
        self.last += 1
        await self.readings.send(self.last)
        if self.last == READINGS:
            self.timer.cancel()
            self.readings.close()


async def listen(name: str, readings: penstock.Source[int | penstock.Dropped], seconds: float) -> None:
    seen, lost = list[str](), 0
    async for reading in readings:
        if isinstance(reading, penstock.Dropped):  # told at its place in the stream: here `count` are missing
            lost += reading.count
            seen.append("...")
        else:
            seen.append(str(reading))
            await asyncio.sleep(seconds)  # so long it works on each
    print(f"{name}: {READINGS - lost} received, {lost} lost:", *seen, flush=True)


async def elsewhere(url: str) -> None:
    async with penstock.connect(url) as peer:
        readings = peer.subscribe("hub", "readings", overflow="drop_oldest", buffer_size=4)
        await peer.actor(Hub, "hub").start()  # now that all have subscribed
        await listen("another process", readings, 0.05)


async def main() -> None:
    async with penstock.ActorSystem() as system, penstock.serve(system, listen="tcp://127.0.0.1:0") as server:
        hub = penstock.ref(await system.spawn(Hub, name="hub"))
        async with asyncio.TaskGroup() as group:
            group.create_task(listen("wait", hub.subscribe("readings"), 0.0))
            group.create_task(listen("drop_oldest", hub.subscribe("readings", overflow="drop_oldest"), 0.05))
            group.create_task(listen("latest", hub.subscribe("readings", overflow="latest"), 0.05))
            await (await asyncio.create_subprocess_exec(sys.executable, __file__, *server.urls)).wait()


if __name__ == "__main__":
    asyncio.run(elsewhere(sys.argv[1]) if sys.argv[1:] else main())
