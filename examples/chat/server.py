"""The chat server, over TLS with a throw-away certificate.

python examples/chat/server.py [URL]        until Ctrl-C
"""

import asyncio
import contextlib
import sys

import penstock
from service import Chat


async def main(url: str = "tls://127.0.0.1:8443") -> None:
    brief = penstock.Settings(detach_ttl_s=1.0)  # a member whose connection is lost for longer has left the room
    async with penstock.serve(Chat(), listen=url, tls=penstock.TLS.development(), settings=brief) as server:
        print("serving at", *server.urls, flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
