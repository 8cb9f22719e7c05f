"""The web: this process over HTTP, for browsers, curl and other languages. `http://` is one more address to listen at."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from penstock.web._asgi import WebApp, asgi

if TYPE_CHECKING:
    from penstock.web._app import admitted
    from penstock.web._listener import HttpListener
    from penstock.web.durable_streams import DurableStreams, StreamsOverHttp

__all__ = ["DurableStreams", "HttpListener", "StreamsOverHttp", "WebApp", "admitted", "asgi"]

#: Modules that are imported at the first use of a name: `import penstock` imports nothing of HTTP.
_LATER: Final = {
    "DurableStreams": "penstock.web.durable_streams",
    "HttpListener": "penstock.web._listener",
    "StreamsOverHttp": "penstock.web.durable_streams",
    "admitted": "penstock.web._app",
}


def __getattr__(name: str) -> Any:
    """Import a module at the first use of its name."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
