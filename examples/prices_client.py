"""The consumer of prices.py, in a process of its own: in `main`, the line with `connect` is the one that changed.

python examples/prices_client.py [URL]        while prices_server.py runs
"""

import asyncio
import sys

import penstock
from prices import Prices

URL = sys.argv[1] if sys.argv[1:] else "tcp://127.0.0.1:7700"


async def main() -> None:
    async with penstock.connect(URL) as peer:
        async for price in peer.service(Prices).watch("ACME"):
            print(price)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except penstock.Unavailable as error:  # no server there, or it went away
        sys.exit(str(error))
