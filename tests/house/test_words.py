"""The English of the source: a docstring names the thing (item, call, peer, waiter) instead of "what", "who" or "nobody"."""

from __future__ import annotations

import pytest

from tests.house._words import IS_NO, WORDS, by_room, count, places_of

# In docstrings, at most, per 1,000 words: what and whatever; who, whoever and whom; nobody, somebody, everybody and their like.
PER_THOUSAND = {"what": 3.0, "who": 0.5, "nobody": 0.3}
# "It is no stub" is "It is not a stub", and "there is no room" often a verb: "nothing fits". None is the limit.

ROOMS = by_room()


def _allowed(word: str, words: int) -> float:
    """Return how often a word may stand in docstrings of so many words. Once is always allowed: a room can be small."""
    return max(1.0, PER_THOUSAND[word] * words / 1000)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("word", WORDS)
def test_the_docstrings_of_a_room_name_things(room, word):
    counts = count(ROOMS[room])
    found = counts.places[word]
    assert len(found) <= _allowed(word, counts.words), f"{word!r} stands {len(found)} times: {' '.join(found)}"


@pytest.mark.parametrize("room", ROOMS)
def test_is_no_is_is_not_a(room):
    found = places_of(IS_NO, ROOMS[room])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("word", WORDS)
def test_the_docstrings_of_all_rooms_together_name_things(word):
    counts = count(path for paths in ROOMS.values() for path in paths)
    assert counts.per_thousand(word) <= PER_THOUSAND[word]
