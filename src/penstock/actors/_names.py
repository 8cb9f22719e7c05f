"""The names of actors: which are allowed, and which fit a pattern. It knows no actor."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from penstock.errors import InvalidArgument

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_OTHERS: Final = re.compile(r"[^a-z0-9_.-]")
#: Characters of a whole address: it travels with every call.
ADDRESS_MAX: Final = 256


def check_name(name: str) -> None:
    """Raise `InvalidArgument` for a name that no actor can have."""
    if len(name) > ADDRESS_MAX or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r:.300} is no name for an actor: up to {ADDRESS_MAX} letters, digits and _ . - in parts joined by /"
        )


@lru_cache(maxsize=256)
def word_of(name: str) -> str:
    """Return the name of a class as a part of the name of an actor."""
    return _OTHERS.sub("_", name.lower())


def matches(pattern: str, address: str) -> bool:
    """Whether an address fits: ``*`` is anything within one part, ``?`` one character, ``**`` any number of parts."""
    return _compiled(pattern).fullmatch(address) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(/\*\*/|^\*\*/|/\*\*$|\*\*|\*|\?)", pattern)
    meanings = {"/**/": "/(?:.+/)?", "**/": "(?:.+/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces))
