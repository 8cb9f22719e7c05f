"""The public names of a channel are those that its reference page and its docstring explain."""

from __future__ import annotations

import inspect
import re

import penstock
from penstock.channel import local_channel
from tests.house._source import ROOT


def _listed() -> set[str]:
    """The members that the reference page shows, and the attributes that the docstring of the class explains."""
    page = (ROOT / "docs/reference/actors.md").read_text(encoding="utf-8")
    block = page.partition("::: penstock.Channel\n")[2].partition("\n::: ")[0]
    attributes = inspect.getdoc(penstock.Channel).partition("Attributes:\n")[2]
    return set(re.findall(r"^ +- (\w+)$", block, re.MULTILINE)) | set(re.findall(r"^ {4}(\w+): ", attributes, re.MULTILINE))


def test_the_public_names_of_a_channel_are_the_explained_ones():
    assert {name for name in dir(penstock.Channel) if not name.startswith("_")} == _listed()


async def test_an_end_of_a_channel_has_no_other_public_name_than_its_class():
    for end in local_channel("producer", "consumer"):
        assert {name for name in dir(end) if not name.startswith("_")} == _listed()
