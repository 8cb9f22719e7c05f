"""The English of the source: a docstring names the thing (item, call, peer, waiter) instead of "what", "who" or "nobody"."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house._words import IS_NO, WORDS, by_room, count, places_of

# In docstrings, at most, per 1,000 words: what and whatever; who, whoever and whom; nobody, somebody, everybody and their like.
PER_THOUSAND = {"what": 3.0, "who": 0.5, "nobody": 0.3}
# "It is no stub" is "It is not a stub", and "there is no room" often a verb: "nothing fits". None is the limit.

# Rooms that are still being rewritten: how often each word stands there today. A ratchet: numbers go down; a room that keeps
# the limits leaves the list.
TODAY = {
    "actors": {"what": 22, "who": 0, "nobody": 0, "is no": 8},
    "service": {"what": 2, "who": 0, "nobody": 0, "is no": 6},
}
ROOMS = by_room()


def _allowed(word: str, room: str, words: int) -> float:
    """Return how often a word may stand in the docstrings of a room. Once is always allowed: a room can be small."""
    return TODAY[room][word] if room in TODAY else max(1.0, PER_THOUSAND[word] * words / 1000)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("word", WORDS)
def test_the_docstrings_of_a_room_name_things(room, word):
    counts = count(ROOMS[room])
    found = counts.places[word]
    assert len(found) <= _allowed(word, room, counts.words), f"{word!r} stands {len(found)} times: {' '.join(found)}"


@pytest.mark.parametrize("room", ROOMS)
def test_is_no_is_is_not_a(room):
    found = places_of(IS_NO, ROOMS[room])
    assert len(found) <= TODAY.get(room, {}).get("is no", 0), "\n".join(found)


@pytest.mark.parametrize("word", WORDS)
def test_the_docstrings_of_all_finished_rooms_together_name_things(word):
    counts = count(path for room, paths in ROOMS.items() if room not in TODAY for path in paths)
    assert counts.per_thousand(word) <= PER_THOUSAND[word]


def test_no_room_is_excused_that_needs_no_excuse():
    assert not [room for room in TODAY if not _needs_excuse(ROOMS[room])], "these rooms keep the limits: take them off the list"


def _needs_excuse(paths: list[Path]) -> bool:
    counts = count(paths)
    over = [word for word in WORDS if len(counts.places[word]) > max(1.0, PER_THOUSAND[word] * counts.words / 1000)]
    return bool(over or places_of(IS_NO, paths))
