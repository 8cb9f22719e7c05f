"""The same actors here and in another process: one stub, asks, tells, streams, a channel, and a bridge by prefix.

python examples/actors/rooms.py
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import penstock


class Room(penstock.Actor):
    def __init__(self, topic: str) -> None:
        self.topic, self.said = topic, list[str]()

    async def say(self, who: str, text: str) -> int:
        self.said.append(f"{who}: {text}")
        return len(self.said)

    async def history(self, last: int = 10) -> AsyncIterator[str]:
        for line in self.said[-last:]:
            yield line

    async def on_channel(self, channel: penstock.Channel[str]) -> None:
        await channel.accept(f"welcome to {self.topic}, {channel.payload}")
        async for text in channel:
            await channel.send(f"{len(text)} letters")


async def use(where: str, room: Room) -> None:
    print(where)
    await penstock.tell(room).say("ann", "is anybody here?")  # waits for nothing but room in the mailbox
    print(f"  {await room.say('bob', 'I am')} lines, the last two:", [line async for line in room.history(last=2)])
    async with await penstock.ref(room).open_channel("ann") as channel:
        await channel.send("hello")
        print(f"  {channel.accepted!r}, then {await channel.receive()!r}")


async def other_process() -> None:
    async with penstock.ActorSystem("far") as system, penstock.serve(system, listen="tcp://127.0.0.1:0") as server:
        await system.spawn(Room, "the sea", name="chat/rooms/sea")
        print(*server.urls, flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # until the first process is gone


async def main() -> None:
    far = await asyncio.create_subprocess_exec(sys.executable, __file__, "far", stdin=-1, stdout=-1)
    url = (await far.stdout.readline()).decode().strip() if far.stdout else ""
    async with penstock.ActorSystem("near") as system, penstock.connect(url) as peer:
        await use("a room of this process:", await system.spawn(Room, "dams", name="chat/rooms/dams"))
        await use("a room of the other process:", peer.actor(Room, "chat/rooms/sea"))
        system.bridge("far", peer)
        await use("the same one, by a prefix:", system.actor(Room, "far/chat/rooms/sea"))
    await far.communicate(b"")  # its input is at its end: it stops


if __name__ == "__main__":
    asyncio.run(other_process() if sys.argv[1:] else main())
