"""Tables, durations and values as people read them."""

from __future__ import annotations

import json
import re
import time

import click
import pytest

from penstock.cli._format import as_json, clock, counted, doing, duration, iso, put_beside, table, value


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


def test_a_value_that_json_does_not_have_is_shown_all_the_same():
    """FAULTS F6: the actor has acted already, so the command has to show its answer."""
    held = {None: 1, (1, (None, "a")): 2, 1: 3, "1": 4, 1.5: {True: [b"x", {"deep": {frozenset([1])}}]}}
    shown = {"null": 1, '[1,[null,"a"]]'.strip('"'): 2, "1": 3, "1 (str)": 4, "1.5": {"true": ["eA==", {"deep": [[1]]}]}}
    assert json.loads(as_json(held)) == shown
    assert json.loads(value(held)) == shown
    assert re.fullmatch(r'\{"it":"<object object at \w+>"\}', as_json({"it": object()}))


def test_a_value_whose_repr_fails_is_shown_by_its_class():
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert as_json([Broken()]) == '["<Broken without a repr>"]'


def test_a_value_that_is_nested_too_deeply_is_cut():
    """FAULTS F6."""
    held: object = "end"
    for _ in range(100_000):
        held = [held]
    assert json.loads(as_json({"deep": held, "fine": 1}))["fine"] == 1
    assert "…" in as_json(held)


def test_what_goes_to_a_program_is_whole():
    assert put_beside("head ", "x" * 1000, None, wrapped=True) == "head " + "x" * 1000


def test_what_a_terminal_has_no_room_for_is_cut_or_hangs_beside_its_head():
    assert put_beside("head ", "word " * 10, 40, wrapped=False) == "head word word word word word word word…"
    assert put_beside("head ", "word " * 10, 40, wrapped=True).splitlines() == ["head" + " word" * 7, "    " + " word" * 3]


def test_a_table_that_is_too_wide_goes_without_its_least_columns_and_folds_nothing():
    def heads(width):
        return table(
            ["NAME", "ID", "WHERE"], [["n" * 10, "i" * 10, "w" * 10]], width=width, optional=["WHERE", "ID"]
        ).splitlines()

    assert [len(click.unstyle(line)) for line in heads(34)] == [29, 34]
    assert list(map(click.unstyle, heads(33))) == ["NAME        ID", f"{'n' * 10}  {'i' * 10}"]
    assert list(map(click.unstyle, heads(8))) == ["NAME", "nnnnnnn…"]


def test_a_time_that_is_not_today_has_its_date():
    now = time.time()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", clock(now))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", clock(now - 172_800))
    assert iso(0.0015) == "1970-01-01T00:00:00.001Z"


@pytest.mark.parametrize(
    ("count", "what", "text"),
    [(1, "channels", "1 channel"), (2, "channels", "2 channels"), (1, "messages of channels", "1 message of channels")],
)
def test_one_is_no_plural(count, what, text):
    assert counted(count, what) == text


def test_what_an_actor_is_busy_with_says_since_when_if_that_is_known():
    assert doing("measure", 18.2) == "measure since 18 s"
    assert doing("measure", None) == "measure"


def test_nothing_in_json_can_steer_a_terminal():
    nasty = "\x7f\x9b\u202e\U000e0001 \u00e9"
    text = as_json({"a": nasty})
    assert text.isprintable()
    assert json.loads(text) == {"a": nasty}
