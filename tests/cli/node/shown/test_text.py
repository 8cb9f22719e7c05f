"""Tables, durations and values as people read them."""

from __future__ import annotations

import pytest

from penstock.cli._node._shown import duration, fitted, table, value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (90, "1.5 min"), (3_599, "60 min"), (7_200, "2.0 h"), (90_000, "1.0 d"), (9e6, "104 d")],
)
def test_a_duration_is_written_in_its_largest_unit(seconds, text):
    assert duration(seconds) == text


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    assert table(["A", "N"], [["x", "1"], ["yy", "1,000"]]).splitlines()[1:] == ["x       1", "yy  1,000"]


def test_what_a_cell_holds_cannot_break_its_line():
    assert len(table(["A"], [["a\nb\x1b[2J"]]).splitlines()) == 2


@pytest.mark.parametrize(
    ("held", "text"), [("word", "word"), ("two words", '"two words"'), ("", '""'), ({"a": [1]}, '{"a": [1]}'), (None, "null")]
)
def test_a_value_is_one_line_of_json(held, text):
    assert value(held) == text


def test_what_goes_to_a_program_is_whole():
    assert fitted("x" * 1000) == "x" * 1000
