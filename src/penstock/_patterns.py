"""Patterns of addresses: ``*`` is any text within one part, ``?`` one character, ``**`` any number of parts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from penstock.errors import InvalidArgument

#: Characters of a pattern: as many as the address of an actor can have.
PATTERN_MAX: Final = 256
#: Steps of a pattern that are kept for the next address.
_STEPS_KEPT: Final = 1024
_PIECES: Final = re.compile(r"(/\*\*/|^\*\*/|/\*\*$|\*\*|.)", re.DOTALL)
_EVERY, _IN_PART = "any character", "any character but /"
#: The steps of each piece: what a character must be, and whether the step may be taken again, or never.
_MEANINGS: Final = {
    "/**/": (("/", ""), (_EVERY, "group"), (_EVERY, "repeated"), ("/", "")),
    "**/": ((_EVERY, "group"), (_EVERY, "repeated"), ("/", "")),
    "/**": (("/", ""), (_EVERY, ""), (_EVERY, "repeated")),
    "**": ((_EVERY, "repeated"),),
    "*": ((_IN_PART, "repeated"),),
    "?": ((_IN_PART, ""),),
}
#: The steps of a group, which is taken as a whole or not at all.
_GROUP: Final = 3


class Pattern:
    """A pattern as a list of steps. It looks at each character once, for all the steps that may come next: no text is slow."""

    def __init__(self, pattern: str) -> None:
        self._steps = [step for piece in _PIECES.findall(pattern) for step in _MEANINGS.get(piece, ((piece, ""),))]
        self._begun = self._places(0)
        self._known: dict[tuple[int, str], int] = {}

    def _places(self, at: int) -> int:
        """Return the steps that may come next at step `at`, as bits: a repeated step and a group may be left out."""
        bits = 1 << at
        form = self._steps[at][1] if at < len(self._steps) else ""
        return bits | self._places(at + (_GROUP if form == "group" else 1)) if form else bits

    def matches(self, address: str) -> bool:
        """Return whether an address matches."""
        places, known = self._begun, self._known
        for letter in address:
            after = known.get((places, letter))
            if after is None:
                if len(known) >= _STEPS_KEPT:
                    known.clear()
                after = known[places, letter] = self._after(places, letter)
            places = after
        return bool(places >> len(self._steps) & 1)

    def _after(self, places: int, letter: str) -> int:
        after = 0
        for at, (wanted, form) in enumerate(self._steps):
            if places >> at & 1 and (wanted in (letter, _EVERY) or (wanted == _IN_PART and letter != "/")):
                after |= self._places(at if form == "repeated" else at + 1)
        return after


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Pattern:
    """Return a pattern, ready for addresses. Raises `InvalidArgument` for one that is too long."""
    if len(pattern) > PATTERN_MAX:
        raise InvalidArgument(f"a pattern has up to {PATTERN_MAX} characters; this one has {len(pattern)}")
    return Pattern(pattern)
