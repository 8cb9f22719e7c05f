"""A token cancels what holds it, once."""

from __future__ import annotations

import pytest

from penstock import CancelToken
from penstock.errors import Cancelled


def test_a_token_cancels_what_was_given_it_with_the_first_reason():
    token, errors = CancelToken(), []
    token._add(errors.append)
    token.cancel("first")
    token.cancel("second")
    assert [error.message for error in errors] == ["first"]
    assert (token.cancelled, token.reason) == (True, "first")


def test_what_was_taken_back_is_not_cancelled():
    token, errors = CancelToken(), []
    token._add(errors.append)()
    token.cancel()
    assert not errors


def test_a_call_with_a_token_that_was_cancelled_never_begins():
    token = CancelToken()
    token.check()
    token.cancel("no")
    with pytest.raises(Cancelled, match="no") as raised:
        token.check()
    assert not raised.value.started


def test_one_action_may_be_given_to_a_token_twice():
    token, errors = CancelToken(), []
    first = token._add(errors.append)
    token._add(errors.append)
    first()
    token.cancel()
    assert len(errors) == 1


def test_it_shows_how_it_stands():
    token = CancelToken()
    assert repr(token) == "<CancelToken open>"
    token.cancel("no")
    assert repr(token) == "<CancelToken cancelled: no>"
