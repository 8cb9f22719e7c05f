"""Server streaming: hear a room, from a moment in the past on if you like.

python examples/chat/subscriber.py [--room general] [--since 0] [--count 10] [--url URL]
"""

import argparse
import asyncio
import sys

import penstock
from messages import SubscribeRequest
from service import Chat


async def main(args: argparse.Namespace) -> None:
    request = SubscribeRequest(args.room, args.user, args.since)
    heard = 0
    async with penstock.connect(args.url, tls=penstock.TLS.development()) as peer:
        async for response in peer.service(Chat).subscribe_to_room(request):
            when = f"{response.message.timestamp} " if response.message else ""
            print(f"{when}{response}", flush=True)
            heard += 1
            if heard == args.count:
                break  # the server's side of this stream ends here, too


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hear a room.")
    parser.add_argument("--url", default="tls://127.0.0.1:8443")
    parser.add_argument("--room", default="general")
    parser.add_argument("--user", default="subscriber")
    parser.add_argument("--since", type=int, help="timestamp after which to replay; 0 for all that is kept")
    parser.add_argument("--count", type=int, help="leave after so many (default: stay)")
    try:
        asyncio.run(main(parser.parse_args()))
    except penstock.Unavailable as error:  # no server there, or it went away
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
