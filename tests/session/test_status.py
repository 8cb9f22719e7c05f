"""An error as it travels: whatever a program has put into it, what leaves keeps the rules of the wire."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from penstock import _values
from penstock.errors import FailedPrecondition, NotFound, StatusError
from penstock.protocol import NO_DETAILS, Status
from penstock.session import error_of, status_of
from penstock.session._status import cancel_of

ODD = [None, True, 5, 300, -1, 2**70, 1.5, "x", b"x", [], {}, {1: 2}, object, "\ud800"]


class Odd(NotFound):
    reason = 5  # type: ignore[assignment]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
@pytest.mark.parametrize("field", ["code", "reason", "message", "details", "started"])
def test_an_error_whose_fields_have_a_wrong_type_travels(field, odd):
    """FAULTS G3: a `STATUS` that breaks a rule would close the connection, and end all calls of the peer."""
    error = NotFound("not here", {"a": 1})
    setattr(error, field, odd)
    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(status_of(error)), type=Status)
    assert travelled.code in range(1, 17)
    msgspec.msgpack.encode(cancel_of(error))


@pytest.mark.parametrize(
    ("error", "code"), [(NotFound("x"), 5), (Odd("x"), 5), (FailedPrecondition("x"), 9), (StatusError(), 2)]
)
def test_the_code_of_an_error_travels(error, code):
    assert status_of(error).code == code


ALIKE = dict.fromkeys(itertools.islice(itertools.product((-1, -2), repeat=12), 400), 1)


def test_an_error_travels_with_its_details():
    error = error_of(status_of(NotFound("gone", {"symbol": "ACME", "tried": [1, b"x", None]}, started=False)), "there")
    assert (type(error), error.message, error.started) == (NotFound, "gone", False)
    assert error.details == {"symbol": "ACME", "tried": [1, b"x", None]}
    assert error.details is error.details
    assert error.fresh_copy().details == error.details


def test_an_error_without_details_has_an_empty_map_of_its_own():
    first, second = error_of(status_of(NotFound("gone")), "there"), error_of(status_of(NotFound("gone")), "there")
    first.details["more"] = 1
    assert second.details == {}


@pytest.mark.parametrize(
    "encoded",
    [
        msgspec.msgpack.encode({"map": ALIKE}),
        msgspec.msgpack.encode({1: 2}),
        b"\x81\xa1a\xa2\xff\xfe",
        b"\x81\xa1a" + b"\x91" * 10_000 + b"\xc0",
    ],
    ids=["keys that hash alike", "a key that is no text", "no UTF-8", "nested too deep"],
)
def test_details_stay_encoded_until_they_are_read_and_bad_ones_are_empty(encoded, monkeypatch):
    """FAULTS H4: a STATUS of 64 KB on a stream that was over took 300 ms, and needed no method."""
    looked = []
    monkeypatch.setattr(_values, "bad_key", looked.append)
    error = error_of(Status(5, "not_found", "gone", msgspec.Raw(encoded)), "there")
    assert looked == []
    assert str(error) == "gone"
    monkeypatch.undo()
    assert error.details == {}


def test_details_that_cannot_travel_become_texts():
    status = status_of(NotFound("gone", {"map": ALIKE}))
    assert set(error_of(status, "there").details) == {"map"}
    assert error_of(status, "there").details["map"] == ascii(ALIKE)
    assert status_of(NotFound("gone")).details == NO_DETAILS
