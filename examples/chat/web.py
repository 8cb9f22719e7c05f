"""The page of the chat, and the same service for browsers: a WebSocket at `/flow`, by `penstock.asgi`.

Its sources are in `page/`; `make chat` builds it.
"""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import penstock
from service import Chat

PAGE = Path(__file__).with_name("page") / "dist"


async def serve(chat: Chat, url: str, settings: penstock.Settings) -> None:
    """Serve the page and the chat at an address, until Ctrl-C."""
    flow = penstock.asgi(chat, settings=settings)
    app = FastAPI(lifespan=flow.lifespan)
    app.mount("/flow", flow)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    at = urlsplit(url)
    with socket.create_server((at.hostname or "127.0.0.1", at.port or 0)) as listening:
        print(f"the page is at http://{at.hostname}:{listening.getsockname()[1]}/", flush=True)
        config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1)
        await uvicorn.Server(config).serve([listening])
