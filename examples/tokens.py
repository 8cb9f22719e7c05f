"""Tokens of a language model, streamed, with a stop button: press Enter, or say when with --stop-after.

python examples/tokens.py [--stop-after 12]
"""

import argparse
import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator

import penstock

WORDS = ["water", "gate", "wheel", "lamp", "turns", "runs", "opens", "glows", "slowly", "and", "then", "the"]


class Model:
    async def generate(self, prompt: str) -> AsyncIterator[str]:
        chance, count = random.Random(prompt), 0
        try:
            while True:
                await asyncio.sleep(0.05)  # so long a token takes
                count += 1
                yield chance.choice(WORDS)
        finally:
            print(f"\n[model] finally: stopped at token {count}, its memory is free", flush=True)


def stop_on_enter(stream: penstock.Stream[str]) -> None:
    loop = asyncio.get_running_loop()

    def wait_for_enter() -> None:
        if open(0, closefd=False).readline():  # noqa: SIM115 - not sys.stdin, which Python locks when it exits
            loop.call_soon_threadsafe(stream.cancel)

    threading.Thread(target=wait_for_enter, name="stop button", daemon=True).start()


async def main(prompt: str, stop_after: int | None) -> None:
    received = 0
    async with penstock.serve(Model(), listen="tcp://127.0.0.1:0") as server, penstock.connect(server.urls[0]) as peer:
        tokens = penstock.Stream.of(peer.service(Model).generate(prompt))
        stop_on_enter(tokens)
        try:
            async for token in tokens:
                print(token, end=" ", flush=True)
                if (received := received + 1) == stop_after:
                    break
        except penstock.Cancelled:
            print(f"\n[you] pressed Enter after {received} tokens", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Stream tokens until you stop them.")
    parser.add_argument("prompt", nargs="?", default="Tell me about dams.")
    parser.add_argument("--stop-after", type=int, help="leave the loop after so many tokens")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(**vars(parser.parse_args())))
