"""The tree of errors: what they carry, how they are copied, and how a peer's status becomes one of them."""

from __future__ import annotations

import pytest

from penstock._outcomes import as_answer, sole_error
from penstock.errors import (
    Cause,
    ConnectionLost,
    IdleTimeout,
    Internal,
    NotFound,
    OutOfRange,
    StatusError,
    Unavailable,
    Unknown,
    status_error,
)


def test_a_cause_is_read_from_the_details_and_travels_as_a_string():
    error = Unavailable("nothing listens", {"port": 7700}, cause=Cause.NOTHING_LISTENS, started=False)
    assert error.cause is Cause.NOTHING_LISTENS
    assert error.details == {"port": 7700, "cause": "nothing_listens"}
    assert type(error.details["cause"]) is str
    assert not error.started


@pytest.mark.parametrize("details", [None, {}, {"cause": "of a later version"}, {"cause": 7}, {"cause": []}])
def test_a_cause_that_is_missing_or_unknown_is_none(details):
    assert Unavailable("", details).cause is None


def test_a_cause_survives_the_wire_and_a_copy():
    error = ConnectionLost("gone", cause=Cause.LOST)
    arrived = status_error(error.code, error.reason, error.message, lambda: error.details, started=error.started)
    assert type(arrived) is ConnectionLost
    assert arrived.cause is error.fresh_copy().cause is Cause.LOST


def test_a_fresh_copy_is_equal_and_has_no_traceback():
    with pytest.raises(NotFound) as caught:
        raise NotFound("no such thing", {"name": "x"}, started=False) from KeyError("x")
    error = caught.value
    copy = error.fresh_copy()
    assert (type(copy), copy.message, copy.details, copy.started) == (NotFound, "no such thing", {"name": "x"}, False)
    assert copy.__cause__ is error.__cause__
    assert error.__traceback__ is not None
    assert copy.__traceback__ is None


def test_a_connection_that_a_handler_lost_is_not_the_callers():
    lost = ConnectionLost("the database has gone", {"host": "db"}, cause=Cause.LOST)
    answer = as_answer(lost)
    assert (type(answer), answer.message, answer.details) == (Unavailable, lost.message, lost.details)
    other = NotFound("x")
    assert as_answer(other) is other


def test_a_group_that_holds_one_kind_of_status_error_is_that_answer():
    """FAULTS A6"""
    first, second = NotFound("a", {"n": 1}), NotFound("b")
    for group in (
        ExceptionGroup("", [first]),
        ExceptionGroup("", [first, second]),
        ExceptionGroup("", [ExceptionGroup("", [first, second]), second]),
        BaseExceptionGroup("", [first]),
    ):
        assert as_answer(group) is first
        assert sole_error(group) is first
    lost = as_answer(ExceptionGroup("", [ConnectionLost("gone")]))
    assert type(lost) is Unavailable


def test_a_group_of_several_kinds_is_not_an_answer():
    """FAULTS A6"""
    for errors in ([NotFound(), OutOfRange()], [NotFound(), ValueError()], [ValueError()], [NotFound(), KeyboardInterrupt()]):
        group = BaseExceptionGroup("", errors)
        assert as_answer(group) is None
        assert sole_error(group) is group
    assert as_answer(ValueError()) is None


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (4, "idle_timeout", IdleTimeout),
        (13, "idle_timeout", Internal),  # a reason counts only with its code
        (5, "of a later version", NotFound),
        (99, "", Unknown),
    ],
)
def test_a_status_becomes_the_class_of_its_reason_or_else_of_its_code(code, reason, kind):
    assert type(status_error(code, reason, "", None)) is kind


@pytest.mark.parametrize("code", [0, 17, -1])
def test_a_class_of_errors_has_one_of_the_sixteen_codes(code):
    with pytest.raises(TypeError, match="one of the sixteen codes of gRPC"):
        type("Wrong", (StatusError,), {"code": code})
