"""Hints for the error about an unknown name: a similar name, or a list of the names that exist."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from typing import Final

#: Bounds of a guess, so that a peer's mistake costs less than a millisecond: how many names are compared, and of what length.
COMPARED_NAMES_MAX: Final = 64
COMPARED_CHARACTERS_MAX: Final = 64
#: How many names are listed when none is similar.
SUGGESTED_NAMES_MAX: Final = 10


def suggest(name: str, names: Collection[str], kind: str = "names") -> str:
    """Return a hint for the end of an error: "did you mean 'quote'?", "known methods: quote, watch", or "there are no methods".

    names: those that exist, in any order. kind: the noun for them, in the plural.
    """
    if not names:
        return f"there are no {kind}"
    likely = heapq.nsmallest(COMPARED_NAMES_MAX, names, key=lambda one: (one[:1] != name[:1], abs(len(one) - len(name))))
    import difflib  # only the text of an error needs it

    near = difflib.get_close_matches(name, likely, n=1, cutoff=0.5) if len(name) <= COMPARED_CHARACTERS_MAX else []
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known {kind}: {', '.join(heapq.nsmallest(SUGGESTED_NAMES_MAX, names))}"


def unknown_method(name: str, owner: str, names: Collection[str]) -> str:
    """Return the text of the error for a method that does not exist: with its owner, and a hint from the `names` that do."""
    return f"unknown method {name!r} of {owner}; {suggest(name, names, 'methods')}"
