"""The web: this process over HTTP, for browsers, curl and other languages. `http://` is one more address to listen at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.web._asgi import WebApp, asgi

if TYPE_CHECKING:
    from penstock.web.durable_streams import DurableStreams, StreamsOverHttp

__all__ = ["DurableStreams", "StreamsOverHttp", "WebApp", "asgi"]


def __getattr__(name: str) -> Any:
    """Import the application of streams at its first use: `import penstock` imports nothing of HTTP."""
    if name in {"DurableStreams", "StreamsOverHttp"}:
        from penstock.web import durable_streams

        return getattr(durable_streams, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
