"""Client streaming: many messages there, one summary back.

python examples/chat/batch_client.py [URL]
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import penstock
from messages import Message
from service import Chat

SAID = [
    ("alice", "Hello everyone!"),
    ("alice", "How is everyone doing?"),
    ("bob", "Hi Alice! Good to see you"),
    ("alice", "Thanks Bob! Great to be here"),
    ("charlie", "The room is getting lively!"),
]


async def conversation(room: str) -> AsyncIterator[Message]:
    for user, content in SAID:
        print(f"-> {user}: {content}")
        yield Message(user=user, room=room, content=content)
        await asyncio.sleep(0.1)


async def main(url: str = "tls://127.0.0.1:8443") -> None:
    async with penstock.connect(url, tls=penstock.TLS.development()) as peer:
        summary = await peer.service(Chat).send_message_batch(conversation("general"))
    print(f"{summary.total_messages} messages, {summary.total_characters} characters, users: {', '.join(summary.users)}")


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except penstock.Unavailable as error:  # no server there, or it went away
        sys.exit(str(error))
