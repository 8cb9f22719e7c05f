"""Hints for the error about an unknown name: a similar name, or a list of the names that exist."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice
from typing import Final

#: Bounds of a guess, so that a peer's mistake costs a tenth of a millisecond: how many names are looked at, how many of those
#: are compared, and of what length.
SEEN_NAMES_MAX: Final = 128
COMPARED_NAMES_MAX: Final = 8
COMPARED_CHARACTERS_MAX: Final = 64
#: How many hints are kept, for those who ask again.
KEPT_HINTS_MAX: Final = 64
#: From which share of equal letters on a name is called similar: two of three.
LIKENESS_MIN: Final = 0.66
#: How many names are listed when none is similar.
SUGGESTED_NAMES_MAX: Final = 10


def suggest(name: str, names: Collection[str], noun: str = "names") -> str:
    """Return a hint for the end of an error: "did you mean 'quote'?", "known methods: quote, watch", or "there are no methods".

    names: those that exist, in any order; of more than 128 the others are not looked at. noun: the noun for them, a plural.
    """
    if not names:
        return f"there are no {noun}"
    seen = tuple(islice(names, SEEN_NAMES_MAX))
    guess = _hint_again if len(name) <= COMPARED_CHARACTERS_MAX else _hint
    return guess(name, seen, len(names) - len(seen), noun)


def _hint(name: str, seen: tuple[str, ...], more: int, noun: str) -> str:
    """Return the hint from the names that are looked at; `more` names are not."""
    if len(name) <= COMPARED_CHARACTERS_MAX:
        letters, first, size = _letters(name), name[:1], len(name)
        likely = sorted(seen, key=lambda one: (one[:1] != first, abs(len(one) - size)))[:COMPARED_NAMES_MAX]
        near = max(likely, key=lambda one: _same_letters(name, one, letters))
        if _likeness(name, near) >= LIKENESS_MIN:
            return f"did you mean {near!r}?"
    rest = f", and {more} more" if more else ""
    return f"known {noun}: {', '.join(sorted(seen)[:SUGGESTED_NAMES_MAX])}{rest}"


#: A program that asks for a name which does not exist often asks for it again and again.
_hint_again = lru_cache(maxsize=KEPT_HINTS_MAX)(_hint)


def unknown_method(name: str, owner: str, names: Collection[str]) -> str:
    """Return the text of the error for a method that does not exist: with its owner, and a hint from the `names` that do."""
    return f"unknown method {name!r} of {owner}; {suggest(name, names, 'methods')}"


def _same_letters(name: str, other: str, letters: Mapping[str, int]) -> int:
    """Return how many letters two names have in common, those at the start twice, less those that one of them has alone."""
    start = 0
    for one, two in zip(name, other, strict=False):
        if one != two:
            break
        start += 1
    return 2 * (start + _common(letters, other)) - len(name) - len(other)


def _letters(name: str) -> dict[str, int]:
    return {letter: name.count(letter) for letter in name}


def _common(letters: Mapping[str, int], other: str) -> int:
    """Return how many of these letters another name has, wherever they are."""
    common = 0
    for letter, number in letters.items():
        found = other.count(letter)
        common += found if found < number else number  # noqa: FURB136 - `min` takes twice as long
    return common


def _likeness(name: str, other: str) -> float:
    """Return how similar two names are, 0 to 1: by their least similar part, as equal parts say nothing of the rest.

    The parts of "Prices/quote" are its service and its method; names with another number of parts are compared by the last one.
    """
    import difflib  # only the text of an error needs it

    parts, others = (re.split(r"[/.]", one) for one in (name, other))
    if len(parts) != len(others):
        parts, others = parts[-1:], others[-1:]
    pairs = [pair for pair in zip(parts, others, strict=True) if pair[0] != pair[1]]
    if all(len(short) > 1 and long.startswith(short) for short, long in (sorted(pair, key=len) for pair in pairs)):
        return 1.0
    if any(2 * _common(_letters(one), two) < LIKENESS_MIN * (len(one) + len(two)) for one, two in pairs):
        return 0.0  # which is seen in a tenth of the time of the exact ratio
    return min(difflib.SequenceMatcher(a=one, b=two, autojunk=False).ratio() for one, two in pairs)
