"""Texts of a peer: what they become before they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock._texts import TEXT_MAX, one_line, peer_text
from penstock.errors import NotFound, status_error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä 名 👋", "plain, ä 名 👋"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x07\x9b2J", r"\x1b[31mred\x07\x9b2J"),
        ("\u202eturned\u2028", r"\u202eturned\u2028"),
        ("\udc80", r"\udc80"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    """FAULTS H8."""
    assert one_line(text) == peer_text(text) == shown


@given(text=st.text(), characters=st.integers(1, 20))
def test_a_text_is_cut_after_it_is_escaped(text, characters):
    line = one_line(text, characters)
    whole = one_line(text)
    assert line.isprintable()
    assert line == (whole if len(whole) <= characters else whole[: characters - 1] + "…")
    assert one_line(line, characters) == line, "it can be applied twice"


def test_the_error_of_a_peer_is_one_line():
    """FAULTS H8: also where it does not arrive in a frame of its own, as the answer to an ask."""
    error = status_error(5, "not_found", "no\x1b[2J\n" + "x" * 60_000, {})
    assert isinstance(error, NotFound)
    assert error.message.startswith(r"no\x1b[2J\nxxx")
    assert len(error.message) == TEXT_MAX
