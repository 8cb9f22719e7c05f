"""The producer of prices.py, in a process of its own: `penstock serve` does the same without a program.

python examples/prices_server.py [URL]        until Ctrl-C
"""

import asyncio
import contextlib
import sys

import penstock
from prices import Prices


async def main(url: str = "tcp://127.0.0.1:7700") -> None:
    async with penstock.serve(Prices(), listen=url) as server:
        print("serving at", *server.urls, flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
