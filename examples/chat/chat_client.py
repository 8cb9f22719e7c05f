"""Bidirectional streaming: talk and hear at the same time. Type a message and press Enter; `quit` or Ctrl-D leaves.

python examples/chat/chat_client.py NAME [--room general] [--url URL]
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator

import keyboard
import penstock
from messages import Message
from service import Chat


async def said(user: str, room: str) -> AsyncIterator[Message]:
    yield Message(user=user, room=room)  # the first one says who joins which room
    async for line in keyboard.lines():
        if line.strip() == "quit":
            return
        if line.strip():
            yield Message(user=user, room=room, content=line)


async def main(args: argparse.Namespace) -> None:
    async with penstock.connect(args.url, tls=penstock.TLS.development()) as peer:
        async for response in peer.service(Chat).join_chat(said(args.name, args.room)):
            print(response, flush=True)
    print("you have left")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chat in a room.")
    parser.add_argument("name")
    parser.add_argument("--room", default="general")
    parser.add_argument("--url", default="tls://127.0.0.1:8443")
    try:
        asyncio.run(main(parser.parse_args()))
    except penstock.Unavailable as error:  # no server there, or it went away
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
