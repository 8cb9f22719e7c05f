"""Server-sent events to many readers at once: a gateway of Penstock, or of FastAPI with sse-starlette, in a process of its own.

Each event is made for itself, some milliseconds after the one before, as tokens come. The driver reads the bytes of both alike.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import perf_counter_ns
from typing import Any

from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._items import Tick, tick

_END = b"event: end"
_PATH = "/call/Tokens/many"
#: Events of a stream, at least: its connection costs as much as a few of them.
_LEAST = 100


class Tokens:
    """The service that both gateways stand for."""

    async def many(self, count: int, gap_s: float) -> AsyncIterator[Tick]:
        """Yield `count` ticks, each `gap_s` after the one before."""
        for sequence in range(count):
            await asyncio.sleep(gap_s)
            yield tick(sequence)


class PenstockServer:
    """`penstock.serve(Tokens(), listen="http://…")`."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        import penstock

        del transport, folder
        self._stack = AsyncExitStack()
        server = await self._stack.enter_async_context(penstock.serve(Tokens(), listen="http://127.0.0.1:0"))
        return str(server.urls[0])


class FastApiServer:
    """A route of FastAPI that answers with the `EventSourceResponse` of sse-starlette, and uvicorn."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        import msgspec
        import uvicorn
        from fastapi import FastAPI
        from sse_starlette import EventSourceResponse

        del transport, folder
        app = FastAPI()

        @app.post(_PATH)
        async def many(asked: dict[str, Any]) -> EventSourceResponse:
            async def events() -> AsyncIterator[dict[str, str]]:
                async for one in Tokens().many(asked["count"], asked["gap_s"]):
                    yield {"data": msgspec.json.encode(one).decode()}
                yield {"event": "end", "data": ""}

            return EventSourceResponse(events())

        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        self._serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
            await asyncio.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


class Driver:
    """Bare connections that count the events."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Keep the address."""
        del transport, folder
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = host, int(port)

    async def follow(self, count: int, readers: int, gap_s: float) -> Answer:
        """Have `readers` streams sent at the same time, of `count` events together, and never fewer than `_LEAST` each."""
        each = max(_LEAST, count // readers)
        started = perf_counter_ns()
        seen = await asyncio.gather(*(self._read(each, gap_s) for _ in range(readers)))
        if sum(seen) != each * readers:
            raise RuntimeError(f"{sum(seen)} events of {each * readers}")
        return rate(each * readers, started)

    async def _read(self, count: int, gap_s: float) -> int:
        reader, writer = await asyncio.open_connection(*self._address)
        body = json.dumps({"count": count, "gap_s": gap_s}).encode()
        head = f"POST {_PATH} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        seen, rest = 0, b""
        while _END not in rest:
            piece = await reader.read(65_536)
            if not piece:
                break
            seen += piece.count(b'"sequence":')
            rest = rest[-len(_END) :] + piece
        writer.close()
        return seen


PenstockDriver = FastApiDriver = Driver
