"""A process of its own: `python -m tests.interop.far serve URL FOLDER`, or `consume URL METHOD`. It prints when it is ready."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import penstock


class Far:
    """Streams that never end by themselves; what happens to them is written to files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.produced = 0

    async def endless(self, size: int) -> AsyncIterator[bytes]:
        self.produced = 0
        try:
            while True:
                self.produced += 1
                yield bytes(size)
        finally:
            (self.folder / "endless").write_text("closed")

    async def ticks(self) -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0.001)
        finally:
            (self.folder / "ticks").write_text("closed")

    async def wait(self) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            (self.folder / "wait").write_text("closed")

    async def swallow(self, items: AsyncIterator[bytes]) -> int:
        try:
            return len([item async for item in items])
        finally:
            (self.folder / "swallow").write_text("closed")

    async def mirror(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for item in items:
                yield item
        finally:
            (self.folder / "mirror").write_text("closed")

    async def how_many(self) -> int:
        return self.produced

    async def process_id(self, seconds: float) -> int:
        (self.folder / "process_id").write_text("begun")
        await asyncio.sleep(seconds)
        return os.getpid()


async def requests() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0.001)


async def serve(url: str, folder: str, tls: penstock.TLS | None) -> None:
    async with penstock.serve(Far(Path(folder)), listen=url, tls=tls) as server:
        print(server.urls[0], flush=True)
        await server.wait_closed()


async def consume(url: str, method: str, tls: penstock.TLS | None) -> None:
    async with penstock.connect(url, tls=tls, reconnect=None) as peer:
        first = await begin(peer.service(Far), method)
        print("consuming", flush=True)
        await first


async def begin(stub: Any, method: str) -> asyncio.Future[Any]:
    """Start a call that never ends, and return what never comes."""
    if method in {"wait", "swallow"}:
        return asyncio.ensure_future(stub.wait() if method == "wait" else stub.swallow(requests()))
    stream = stub.mirror(requests()) if method == "mirror" else stub.ticks()
    await stream.receive()

    async def read() -> None:
        async for _ in stream:
            pass

    return asyncio.ensure_future(read())


def main() -> None:
    role, url, what, *rest = sys.argv[1:]
    tls = penstock.TLS.development(Path(rest[0])) if rest else None
    asyncio.run(serve(url, what, tls) if role == "serve" else consume(url, what, tls))


if __name__ == "__main__":
    main()
