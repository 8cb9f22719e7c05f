"""A name that was not found comes with a hint."""

from __future__ import annotations

from penstock.service import suggest, unknown_method
from penstock.service._suggest import COMPARED_NAMES_MAX, SUGGESTED_NAMES_MAX


def test_a_hint_is_a_similar_name_or_a_list_of_its_kind():
    assert suggest("quot", ["quote", "watch"]) == "did you mean 'quote'?"
    assert suggest("zzz", ["watch", "quote"]) == "known names: quote, watch"
    assert suggest("zzz", ["watch", "quote"], "methods") == "known methods: quote, watch"
    assert suggest("zzz", [], "ports") == "there are no ports"


def test_a_list_is_bounded():
    names = [f"name{number:03}" for number in range(10 * COMPARED_NAMES_MAX)]
    assert suggest("zzz", names).count(",") == SUGGESTED_NAMES_MAX - 1


def test_an_unknown_method_is_told_with_its_owner():
    assert unknown_method("quot", "Prices", ["quote"]) == "unknown method 'quot' of Prices; did you mean 'quote'?"
