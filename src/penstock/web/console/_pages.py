"""The files of a page that is served beside the calls: plain HTML, style and script, which belong to the package."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from typing import Final

from penstock.web._response import HttpResponse

#: The content types of the files, by their endings.
_TYPES: Final = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}

#: A page runs its own scripts alone, shows in no frame of another page, and talks to its own server.
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
#: The page itself; each other file is beside it.
_FIRST: Final = "console.html"


def console_pages() -> dict[str, HttpResponse]:
    """Return the live console of a node, by the paths of its files."""
    files = {file.name: file.read_bytes() for file in (resources.files("penstock.web.console") / "pages").iterdir()}
    return {"/" if name == _FIRST else f"/pages/{name}": _page(content, name) for name, content in files.items()}


def _page(content: bytes, name: str) -> HttpResponse:
    headers: Mapping[str, str] = {"content-type": _TYPES[name.rpartition(".")[2]], **_HEADERS}
    return HttpResponse(HTTPStatus.OK, content, headers)
