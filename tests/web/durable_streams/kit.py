"""The application at its path, and short ways to use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}
MOUNT = "/v1/stream"


def mounted(app: Any) -> Any:
    """Return an application with `app` at `MOUNT`, as a framework mounts it."""

    async def site(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].startswith(f"{MOUNT}/")
        await app({**scope, "root_path": MOUNT}, receive, send)

    return site


class Events:
    """The events of a live reader, one after the other, as a browser would get them."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    def __aiter__(self) -> AsyncIterator[tuple[str, str, str]]:
        return self._events()

    async def _events(self) -> AsyncIterator[tuple[str, str, str]]:
        event, data, last = "message", [], ""
        async for line in self._lines:
            name, _, value = line.partition(":")
            if line == "" and data:
                yield event, "\n".join(data), last
                event, data = "message", []
            elif name == "event":
                event = value.strip()
            elif name == "data":
                data.append(value.removeprefix(" "))
            elif name == "id":
                last = value.strip()

    async def items(self, count: int) -> tuple[list[Any], str]:
        """Return so many items of JSON, and the last id."""
        items: list[Any] = []
        async for event, data, last in self:
            if event == "data":
                items += json.loads(data)
            if len(items) >= count:
                return items, last
        raise AssertionError(f"the response ended behind {items}")


@asynccontextmanager
async def live(site: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Events]:
    """Follow a stream live."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with site.stream("GET", path, headers=fields) as response:
        yield Events(response)
