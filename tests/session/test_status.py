"""An error as it travels: whatever a program has put into it, what leaves keeps the rules of the wire."""

from __future__ import annotations

import msgspec
import pytest

from penstock.errors import FailedPrecondition, NotFound, StatusError
from penstock.protocol import Status
from penstock.session import status_of
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
