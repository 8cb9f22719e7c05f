"""A page that follows the tokens of a run, survives a reload, and stops the run: FastAPI, and Penstock mounted in it.

python examples/web/gateway.py        then open the address that it prints
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse

import penstock

WORDS = ["the", "water", "runs", "through", "the", "gate", "and", "the", "wheel", "turns", "slowly"]
PAGE = Path(__file__).with_name("page.html")


class Runs:
    """Runs of a model, each of which outlives the pages that read it."""

    async def start(self, run: str, prompt: str) -> None:
        """Begin a run, unless it has begun; its tokens are the retained stream of its name."""
        penstock.retained(run, self.generate(prompt), type=str)

    async def stop(self, run: str) -> None:
        """Stop the run: its generator is cancelled, and the readers are told."""
        await penstock.retained(run, type=str).stop()

    async def generate(self, prompt: str) -> AsyncIterator[str]:
        try:
            for word in itertools.chain(prompt.split(), itertools.cycle(WORDS)):
                yield word
                await asyncio.sleep(0.05)  # so long a token takes
        finally:
            print("[model] stopped", flush=True)


flow = penstock.asgi(Runs())
app = FastAPI(lifespan=flow.lifespan)
app.mount("/flow", flow)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    print(f"http://127.0.0.1:{port}", flush=True)
    uvicorn.run(app, port=port, log_level="warning")
