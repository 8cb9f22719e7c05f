"""A relay on a real socket, peers of it, and a bare client that says anything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from penstock.signalrpc import Relay, RelayRules, RelaySettings


@asynccontextmanager
async def relayed(rules: RelayRules | None = None, **settings: Any) -> AsyncIterator[tuple[Relay, str]]:
    """Yield a relay, and the URL of the topic `room`."""
    relay = Relay(rules=rules, settings=RelaySettings(**settings))
    async with relay.listen("http://127.0.0.1:0") as url:
        yield relay, f"{url}/room"


class Bare:
    """A client by the package `websockets`; it knows nothing of the protocol but its welcome."""

    def __init__(self, socket: ClientConnection, welcome: dict[str, Any]) -> None:
        self.socket = socket
        self.welcome = welcome
        self.id: str = welcome["clientId"]

    async def say(self, message: dict[str, Any] | str) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        return json.loads(await self.socket.recv())


@asynccontextmanager
async def bare(url: str, **options: Any) -> AsyncIterator[Bare]:
    async with connect(url, close_timeout=0.2, **options) as socket:
        yield Bare(socket, json.loads(await socket.recv()))
