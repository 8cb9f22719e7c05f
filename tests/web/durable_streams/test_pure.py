"""The pure rules against models: offsets sort as their places, a batch is kept once, no acknowledgement goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.web.durable_streams._offsets import ANY_LINEAGE, LINEAGE_BYTES, Position, lineage_of, parsed, token
from penstock.web.durable_streams._producers import (
    PRODUCERS_MAX,
    Again,
    BadStart,
    Gap,
    Numbered,
    Stale,
    note,
    verdict_on,
)
from penstock.web.durable_streams.subscriptions._record import BEFORE_ALL, is_behind, matches

places = st.integers(0, 10**15)
lineages = st.integers(1, 256**LINEAGE_BYTES - 1)


@given(lineages, places, places)
def test_offsets_sort_as_their_places(lineage, one, other):
    assert (token(lineage, one) < token(lineage, other)) == (one < other)


@given(lineages, places)
def test_an_offset_comes_back_as_it_went(lineage, place):
    assert parsed(token(lineage, place)) == Position(lineage, place)


@given(st.binary(min_size=16, max_size=16), places)
def test_each_stream_has_a_lineage_that_an_offset_has_room_for(stream_id, place):
    lineage = lineage_of(stream_id)
    assert lineage != ANY_LINEAGE
    assert len(token(lineage, place)) == len(BEFORE_ALL)


@given(st.text())
def test_any_other_text_is_not_an_offset(text):
    try:
        place = parsed(text)
    except ValueError:
        return
    assert place.at in {"oldest", "now"} or text.replace("_", "").isascii()


@pytest.mark.parametrize("text", ["", "+1", "1_2", "-2", "\u0661", "1" * 17, "0" * 16 + "_", " 1", "1\n"])
def test_a_text_that_is_nearly_an_offset_is_refused(text):
    with pytest.raises(ValueError, match="is not an offset"):
        parsed(text)


class Model:
    """All batches that were kept of each producer, in order."""

    def __init__(self) -> None:
        self.kept: dict[str, list[tuple[int, int]]] = {}

    def expected(self, batch: Numbered) -> object:
        kept = self.kept.get(batch.producer)
        if not kept:
            return None if batch.seq == 0 else Gap(0)
        epoch = max(epoch for epoch, _ in kept)
        last = max(seq for of, seq in kept if of == epoch)
        if batch.epoch != epoch:
            return Stale(epoch) if batch.epoch < epoch else None if batch.seq == 0 else BadStart()
        if (batch.epoch, batch.seq) in kept:
            return Again(last)
        return None if batch.seq == last + 1 else Gap(last + 1)


batches = st.builds(Numbered, st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 4))


@given(st.lists(batches, max_size=40))
def test_a_batch_is_kept_once_and_in_order_whatever_is_sent_again(sent):
    producers: dict[str, tuple[int, int]] = {}
    model = Model()
    for batch in sent:
        expected = model.expected(batch)
        assert verdict_on(producers, batch) == expected
        if expected is None:
            note(producers, batch)
            model.kept.setdefault(batch.producer, []).append((batch.epoch, batch.seq))
    for kept in model.kept.values():
        assert kept == sorted(set(kept))
        assert all(seq == 0 for (of, seq), before in zip(kept, [(-1, 0), *kept], strict=False) if of != before[0])


def test_the_producers_that_are_kept_have_a_limit():
    producers: dict[str, tuple[int, int]] = {}
    for at in range(PRODUCERS_MAX + 5):
        note(producers, Numbered(f"p{at}", 0, 0))
    assert len(producers) == PRODUCERS_MAX
    assert verdict_on(producers, Numbered("p0", 0, 0)) is None


@given(lineages, lineages, places, places)
def test_items_follow_an_offset_of_their_stream_and_all_items_follow_one_of_an_earlier_stream(one, other, acked, tail):
    assert is_behind(token(one, acked), token(one, tail)) == (acked < tail)
    assert is_behind(BEFORE_ALL, token(one, tail)) == (tail > 0)
    if one != other:
        assert is_behind(token(other, acked), token(one, tail)) == (tail > 0)


parts = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5)
patterns = st.lists(st.sampled_from(["a", "b", "*", "**"]), max_size=5)


def _matched(pattern: list[str], name: list[str]) -> bool:
    if not pattern:
        return not name
    first, *others = pattern
    if first == "**":
        return any(_matched(others, name[at:]) for at in range(len(name) + 1))
    return bool(name) and first in {name[0], "*"} and _matched(others, name[1:])


@given(patterns, parts)
def test_a_pattern_matches_parts_of_a_name(pattern, name):
    assert matches("/".join(pattern), "/".join(name)) == _matched(pattern, name)


def test_a_pattern_of_many_stars_takes_no_long_time():
    assert not matches("/".join(["**"] * 100 + ["z"]), "/".join(["a"] * 100))
