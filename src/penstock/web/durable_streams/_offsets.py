"""Offsets as they travel: opaque tokens for a client, which sort as the places that they stand for. Pure.

A token is two numbers of 16 digits, ``lineage_place``. The place counts items, as `Follower.offset` does. The lineage is that
of the stream and of its forks, which have their offsets in common. A stream that was made anew under the same name has another
one: a client that comes back is told so, and never gets the items of one stream as those of another.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: Where a reader begins that names no offset: the oldest item.
START: Final = "-1"
NOW: Final = "now"
#: The lineage of a token that stands for any stream: the beginning, ``000…_000…``, and a place as Python counts it, "12".
ANY_LINEAGE: Final = 0
#: Lineages have 48 bits: 15 digits.
LINEAGE_BYTES: Final = 6

_TOKEN: Final = re.compile(r"(?:([0-9]{16})_)?([0-9]{1,16})", re.ASCII)


class Position(NamedTuple):
    """An offset that a client named. at: an item, "oldest", or "now"."""

    lineage: int
    at: int | str


def token(lineage: int, place: int) -> str:
    """Return the token of a place in a stream."""
    return f"{lineage:016d}_{place:016d}"


def parsed(text: str) -> Position:
    """Return the place that a client named. Raises `ValueError`."""
    if text == START:
        return Position(ANY_LINEAGE, "oldest")
    if text == NOW:
        return Position(ANY_LINEAGE, NOW)
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.100} is not an offset: those that this server gave are, {START}, {NOW} and numbers")
    return Position(int(found[1] or ANY_LINEAGE), int(found[2]))


def lineage_of(stream_id: bytes) -> int:
    """Return the lineage of a stream that is not a fork: a part of its id, which is random."""
    return int.from_bytes(stream_id[:LINEAGE_BYTES]) or 1
