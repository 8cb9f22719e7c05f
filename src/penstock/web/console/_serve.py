"""The live console of a node: its control service over HTTP on this machine, with a page, for the person that has its token."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from penstock.calls import CallInfo
from penstock.errors import InvalidArgument, Unauthenticated
from penstock.peer import BUILT_IN, serve
from penstock.protocol import Settings

#: Random bytes of a token.
CONSOLE_TOKEN_BYTES: Final = 16
#: Where a console may listen: other machines would see the token in plain text.
_HERE: Final = ("127.0.0.1", "::1", "localhost")


@asynccontextmanager
async def serve_console(services: Sequence[object], url: str, settings: Settings | None) -> AsyncIterator[str]:
    """Serve the console at `url`, and return the address to open, which has a new token behind its ``#``.

    services: the node, and its control service. Each call needs the token, as ``Authorization: Bearer TOKEN``.

    Raises `InvalidArgument` for an address that other machines can reach, and `Unavailable` for one that cannot be used.
    """
    from penstock.web._app import WebFace
    from penstock.web._listener import HttpListener
    from penstock.web.console._pages import console_pages

    if urlsplit(url).scheme != "http" or urlsplit(url).hostname not in _HERE:
        raise InvalidArgument(f"a console at {url} would be open to other machines; write http://127.0.0.1:7780")
    token = secrets.token_urlsafe(CONSOLE_TOKEN_BYTES)
    chosen = settings or Settings()

    @asynccontextmanager
    async def with_token(call: CallInfo) -> AsyncIterator[None]:
        """Let a call pass that has the token, and the one that describes the methods."""
        given = call.metadata.get("authorization", "")
        if call.target != f"{BUILT_IN}/describe" and not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Unauthenticated("open the address of the console with its token, as the node has printed it", started=False)
        yield

    async with serve(*services, listen=[], settings=chosen, interceptors=[with_token], expose_errors=True) as server:
        listener = HttpListener(lambda url: WebFace(server._new_session, (), url, pages=console_pages()))
        await listener.start("http", url, None, chosen.handshake_timeout_s)
        try:
            yield f"{listener.url}/#{token}"
        finally:
            await listener.aclose()
            await server.aclose()
            await listener.wait_closed()
