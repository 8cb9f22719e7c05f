"""A process of its own that echoes channels: `python -m tests.channel.far`. It prints its URL when it is ready."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.channel import Channel, accept_channel
from penstock.protocol import Settings
from penstock.session import Session, StreamHandle
from penstock.transports import listen

TASKS: set[asyncio.Task[None]] = set()


async def echo(channel: Channel[Any]) -> None:
    await channel.accept(f"{channel.payload}, {channel.initiator}")
    async for message in channel:
        await channel.send(message)


def take(stream: StreamHandle) -> None:
    TASKS.add(asyncio.ensure_future(echo(accept_channel(stream))))


async def main() -> None:
    listener = await listen("tcp://127.0.0.1:0", lambda: Session("server", Settings(), take))
    print(listener.url, flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
