"""Bidirectional streaming: talk and hear at the same time. Type a message and press Enter; `quit` or Ctrl-D leaves.

python examples/chat/chat_client.py [NAME] [--room general] [--since 0] [--url URL]        without a name it asks
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator

import keyboard
import penstock
from messages import ChatJoinRequest, Message
from service import Chat


async def said(lines: AsyncIterator[str], join: ChatJoinRequest) -> AsyncIterator[Message]:
    async for line in lines:
        if line.strip() == "quit":
            return
        if line.strip():
            yield Message(user=join.user, room=join.room, content=line)


async def asked(question: str, lines: AsyncIterator[str]) -> str:
    print(question, end=" ", flush=True)
    return (await anext(lines, "")).strip()


async def main(args: argparse.Namespace) -> None:
    lines = keyboard.lines()
    user = args.name or await asked("Enter your username:", lines)
    room = args.room or (not args.name and await asked("Enter room name:", lines)) or "general"
    join = ChatJoinRequest(room, user, args.since)
    async with penstock.connect(args.url, tls=penstock.TLS.development()) as peer:
        async for response in peer.service(Chat).join_chat(said(lines, join), join):
            if response.type != "ack" or response.users is not None:  # what was said comes as a message, too
                print(response, flush=True)
    print("you have left")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chat in a room.")
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--room", default="")
    parser.add_argument("--since", type=int, help="timestamp after which to replay; 0 for all that is kept")
    parser.add_argument("--url", default="tls://127.0.0.1:8443")
    try:
        asyncio.run(main(parser.parse_args()))
    except (penstock.Unavailable, penstock.InvalidArgument) as error:  # the server is not there; a name is not one
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
