"""A run of a language model that outlives the tab that began it: two others read on, and a fourth stops it.

python examples/retained/runs.py
"""

import asyncio
from collections.abc import AsyncIterator

import penstock

WORDS = ["the", "water", "runs", "through", "the", "gate", "and", "the", "wheel", "turns", "slowly"]


class Model:
    async def start(self, run: str, prompt: str) -> AsyncIterator[str]:
        return penstock.retained(run, self.generate(prompt))

    async def generate(self, prompt: str) -> AsyncIterator[str]:
        count = 0
        try:
            while True:
                yield WORDS[count % len(WORDS)]
                count += 1
                await asyncio.sleep(0.02)  # so long a token takes
        finally:
            print(f"[model] stopped after {count} tokens, its memory is free")


async def tab(url: str) -> None:
    async with penstock.connect(url) as peer:
        async for token in await peer.service(Model).start("run-7", "Tell me about dams."):
            print("[tab]", token)
            if token == "runs":
                print("[tab] closed")
                return


async def reader(url: str, since: int, name: str) -> None:
    read: list[str] = []
    async with penstock.connect(url) as peer:
        try:
            async for tokens in peer.follow("run-7", since=since, type=str).batches():
                read += tokens
        except penstock.Cancelled as error:
            print(f"[{name}] {' '.join(read[:8])} ... ({error.message})")


async def main() -> None:
    async with penstock.serve(Model(), listen="tcp://127.0.0.1:0") as server, penstock.connect(server.urls[0]) as peer:
        url = server.urls[0]
        await tab(url)
        readers = asyncio.gather(reader(url, 0, "from the first token"), reader(url, 2, "from the third"))
        await asyncio.sleep(0.3)
        await peer.follow("run-7").stop()
        await readers


if __name__ == "__main__":
    asyncio.run(main())
