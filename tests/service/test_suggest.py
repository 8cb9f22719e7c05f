"""A name that was not found comes with a hint."""

from __future__ import annotations

import pytest

from penstock.service import suggest, unknown_method
from penstock.service._suggest import COMPARED_NAMES_MAX, SUGGESTED_NAMES_MAX


def test_a_hint_is_a_similar_name_or_a_list_of_its_kind():
    assert suggest("quot", ["quote", "watch"]) == "did you mean 'quote'?"
    assert suggest("zzz", ["watch", "quote"]) == "known names: quote, watch"
    assert suggest("zzz", ["watch", "quote"], "methods") == "known methods: quote, watch"
    assert suggest("zzz", [], "ports") == "there are no ports"


@pytest.mark.parametrize(
    ("name", "names", "guess"),
    [
        ("Prices/zzz", ["Prices/watch", "Prices/quote"], None),
        ("add", ["read", "load"], None),
        ("shop/1", ["shop/till", "shop/22"], None),
        ("a.py", ["shop.py", "desk.py"], None),
        ("IPrices/watch", ["Prices/watch", "Prices/quote"], "Prices/watch"),
        ("Price/qoute", ["Prices/watch", "Prices/quote"], "Prices/quote"),
        ("quote", ["Prices/quote"], "Prices/quote"),
        ("sub", ["subscribe", "publish"], "subscribe"),
        ("shpo.py", ["shop.py", "desk.py"], "shop.py"),
    ],
)
def test_a_guess_is_made_only_where_the_names_are_alike(name, names, guess):
    """FAULTS E6: what two names share, a service or a suffix, says nothing of the rest."""
    listed = f"known names: {', '.join(sorted(names))}"
    assert suggest(name, names) == (f"did you mean {guess!r}?" if guess else listed)


def test_a_list_is_bounded():
    names = [f"name{number:03}" for number in range(10 * COMPARED_NAMES_MAX)]
    assert suggest("zzz", names).count(",") == SUGGESTED_NAMES_MAX - 1


def test_an_unknown_method_is_told_with_its_owner():
    assert unknown_method("quot", "Prices", ["quote"]) == "unknown method 'quot' of Prices; did you mean 'quote'?"


def test_a_guess_among_thousands_looks_at_a_few():
    """FAULTS H9: an unknown name among 5,000 actors cost 2.7 ms each time."""
    looked_at = 0

    class Names(dict[str, None]):
        def __iter__(self):
            nonlocal looked_at
            for name in super().__iter__():
                looked_at += 1
                yield name

    names = Names.fromkeys(f"sensor-{number:05}" for number in range(5000))
    assert suggest("sensor-0007", names, "names").startswith("did you mean 'sensor-0")
    assert suggest("zzz", names, "names").endswith(", and 4872 more")
    assert looked_at <= 300
