"""The web: this process over HTTP, for browsers, curl and other languages."""

from __future__ import annotations

__all__: list[str] = []
