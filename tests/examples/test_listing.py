"""Examples are short, and every one is on the list."""

from __future__ import annotations

import re

import pytest

from tests.examples._programs import EXAMPLES

LINES_MAX = 60
FILES = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py"))
LIST = (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_an_example_fits_on_a_screen(name):
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@pytest.mark.parametrize("name", FILES)
def test_an_example_is_on_the_list(name):
    assert f"`{name}`" in LIST


def test_what_is_on_the_list_is_there():
    named = set(re.findall(r"[\w/]+\.py", LIST))
    assert {name.removeprefix("examples/") for name in named} == set(FILES)
