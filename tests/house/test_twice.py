"""One name, one meaning: no two files define a class or a constant of one name."""

from __future__ import annotations

from tests.house._twice import classes_twice, constants_twice

# Constants with two homes, and why. A ratchet: names leave this list, none joins it.
TWO_HOMES = {
    "CLAIM": "the two targets by which the end of a stream is claimed: a source, a sink",
    "TURN_MESSAGES": "the messages that one turn of a cell handles, and those that one turn of a lane takes",
}


def test_no_class_name_stands_twice():
    assert not classes_twice()


def test_a_constant_has_one_home():
    assert not {name: places for name, places in constants_twice().items() if name not in TWO_HOMES}


def test_no_constant_is_allowed_two_homes_that_has_one():
    assert not TWO_HOMES.keys() - constants_twice().keys()
