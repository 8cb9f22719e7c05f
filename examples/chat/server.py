"""The chat server: for terminals over TLS with a throw-away certificate, and for browsers with a page, in the same rooms.

python examples/chat/server.py [URL] [--web http://127.0.0.1:8000] [--away 10]        until Ctrl-C
"""

import argparse
import asyncio
import contextlib

import penstock
import web
from service import Chat


async def main(args: argparse.Namespace) -> None:
    settings = penstock.Settings(detach_ttl_s=args.away)
    chat = Chat()
    async with penstock.serve(chat, listen=args.url, tls=penstock.TLS.development(), settings=settings) as server:
        print("serving at", *server.urls, flush=True)
        if web.PAGE.exists():
            await web.serve(chat, args.web, settings)
        else:
            print("there is no page: `make chat` builds it", flush=True)
            await server.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the chat.")
    parser.add_argument("url", nargs="?", default="tls://127.0.0.1:8443")
    parser.add_argument("--web", default="http://127.0.0.1:8000", help="the address of the page")
    parser.add_argument("--away", type=float, default=10, help="a member who is lost for so many seconds has left the room")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args()))
