"""A server that knows its clients by tokens that hold for a second: for the tests of the TypeScript client."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import penstock
from penstock import auth

HOLDS_S = 1.0


class Desk:
    """Says which client asks."""

    async def name(self) -> str:
        return str(penstock.context().principal)

    async def ticks(self, n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number
            await asyncio.sleep(0.1)


async def check(credentials: auth.Credentials) -> auth.Principal | None:
    """Know tokens of the form NAME:NUMBER; those of "brief" hold for a second."""
    name, colon, _number = credentials.token.partition(":")
    if not colon:
        return None
    return auth.Principal(name, expires_at=time.time() + HOLDS_S if name == "brief" else None)


async def main() -> None:
    async with penstock.serve(Desk(), listen=sys.argv[1], authenticate=check) as server:
        print("at", *server.urls, flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
