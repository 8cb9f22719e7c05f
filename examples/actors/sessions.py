"""The messages of a session, streamed by an actor: filtered, as events, by a callback, and left early.

python examples/actors/sessions.py
"""

import asyncio
from collections.abc import AsyncIterator

import penstock


class Entry(penstock.Struct):
    role: str
    text: str


class Session(penstock.Actor):
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def add(self, role: str, text: str) -> int:
        self.entries.append(Entry(role, text))
        return len(self.entries)

    async def query(self, role: str = "", containing: str = "") -> AsyncIterator[Entry]:
        read = 0
        try:
            for entry in self.entries:
                read += 1
                if role in {"", entry.role} and containing in entry.text:
                    yield entry
        finally:
            print(f"    [session] finally: {read} of {len(self.entries)} entries read")

    async def broken(self) -> AsyncIterator[Entry]:
        yield self.entries[0]
        raise penstock.DataLoss("the disk of this session is gone")


async def main() -> None:
    async with penstock.ActorSystem() as system:
        session = await system.spawn(Session, name="sessions/ann")  # a stub, typed as Session
        for number in range(1, 7):
            await session.add("user" if number % 2 else "model", f"message {number}")

        print("filtered, by the stub:", [entry.text async for entry in session.query(role="user")])
        print("filtered, by address, as events:")
        async for event in system.stream("sessions/ann", "query", {"containing": "2"}, events=True):
            print("   ", event.type, event.payload)
        async for event in system.stream("sessions/ann", "broken", events=True):
            print("   ", event.type, event.payload or event.error)
        print("by a callback, which is awaited:")
        await system.stream_ask("sessions/ann", "query", {"role": "model"}, on_chunk=lambda entry: print("   ", entry.text))
        async for entry in penstock.options(session, buffer_size=1).query():
            print("left early, after", entry.text)
            break


if __name__ == "__main__":
    asyncio.run(main())
