"""The program of the README: a producer and a consumer in one process.

python examples/prices.py
"""

import asyncio
from collections.abc import AsyncIterator

import penstock


class Prices:
    async def watch(self, symbol: str) -> AsyncIterator[str]:
        for value in (101.5, 102.25, 101.75):
            yield f"{symbol} {value}"


async def main() -> None:
    async with penstock.serve(Prices(), listen="memory://prices"), penstock.connect("memory://prices") as peer:
        async for price in peer.service(Prices).watch("ACME"):
            print(price)


if __name__ == "__main__":
    asyncio.run(main())
