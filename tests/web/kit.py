"""A real server on a real socket, in the event loop of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def served(app: Any, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an ASGI application; yield its URL, ``http://127.0.0.1:port``. The end cuts connections that are open."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=0)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])  # `serve` takes the signals of the test run, and looks for its end ten times a second
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await server.shutdown([listening])


class Wire:
    """A bare connection, for requests that no client library would send, and for clients that read nothing or leave."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, url: str) -> Wire:
        host, _, port = url.removeprefix("http://").partition(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # a client that reads nothing takes little
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        return cls(*await asyncio.open_connection(sock=sock, limit=1024))

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        fields = {"host": "test", **({"content-length": str(len(body))} if body else {}), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def until(self, text: bytes) -> bytes:
        """Read until `text` has come."""
        read = b""
        while text not in read:
            piece = await self.reader.read(1024)
            assert piece, f"the connection ended before {text!r}: {read!r}"
            read += piece
        return read

    async def leave(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
