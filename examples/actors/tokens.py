"""Tokens of a language model, streamed by an actor: ended by `break`, by a CancelToken, by two kinds of time-out.

python examples/actors/tokens.py
"""

import asyncio
import itertools
from collections.abc import AsyncIterator

import penstock

WORDS = ["the", "water", "runs", "slowly", "and", "then", "the", "wheel", "turns"]


class Model(penstock.Actor):
    async def generate(self, prompt: str, thinks_after: int | None = None) -> AsyncIterator[str]:
        try:
            for number, word in enumerate(itertools.cycle(WORDS)):
                await asyncio.sleep(3600 if number == thinks_after else 0.02)  # so long a token takes
                yield word
        finally:
            print(f"    [model] finally: done with {prompt!r}")


async def show(title: str, tokens: AsyncIterator[str], until: str = "") -> None:
    print(title)
    received: list[str] = []
    async with penstock.Stream.of(tokens) as stream:  # the end of this block waits until the model has cleaned up
        try:
            async for token in stream:
                received += [token]
                if token == until:
                    break
        except penstock.StatusError as error:
            print(f"    {type(error).__name__}: {error}")
        print("   ", *received)


async def main() -> None:
    async with penstock.ActorSystem() as system:
        model = await system.spawn(Model, name="model")
        await show("until a word is there:", model.generate("tell me of dams"), until="runs")

        stop_button = penstock.CancelToken()  # whoever holds it can stop all that was started with it
        asyncio.get_running_loop().call_later(0.15, stop_button.cancel, "the user pressed stop")
        await show("a stop button:", system.stream("model", "generate", ["tell me of rivers"], cancel=stop_button))
        try:
            system.stream("model", "generate", ["tell me of lakes"], cancel=stop_button)
        except penstock.Cancelled as error:
            print(f"a button that was pressed before: {error}, and the model was not asked")

        await show("0.2 s for all of it:", penstock.options(model, timeout=0.2).generate("tell me of seas"))
        await show("0.1 s for each token:", penstock.options(model, idle_timeout=0.1).generate("tell me of ice", 3))


if __name__ == "__main__":
    asyncio.run(main())
