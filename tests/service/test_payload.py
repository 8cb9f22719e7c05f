"""From one payload to the arguments of a method: the same rule as for one that travels encoded."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import InvalidArgument
from penstock.service import arguments_of, service_of
from tests.remote.test_wire import Desk


@pytest.mark.parametrize(
    ("method", "payload", "expected"),
    [
        ("none", None, ((), {})),
        ("maybe", None, ((), {})),
        ("maybe", 5, ((5,), {})),
        ("one", None, ((None,), {})),
        ("one", [1, 2], (([1, 2],), {})),
        ("one", {"a": 1}, (({"a": 1},), {})),
        ("named", 5, ((), {"a": 5})),
        ("two", [1, 2], ((1, 2), {})),
        ("two", (1, 2), ((1, 2), {})),
        ("two", {"a": 1}, ((), {"a": 1})),
        ("two", 5, ((5,), {})),
    ],
)
def test_a_payload_becomes_arguments(method: str, payload: Any, expected: Any):
    assert arguments_of(service_of(Desk).methods[method], payload) == expected


@pytest.mark.parametrize(("method", "payload"), [("none", 1), ("two", [1, 2, 3]), ("two", {"c": 1})])
def test_what_does_not_fit_is_refused_with_the_payload(method: str, payload: Any):
    with pytest.raises(InvalidArgument, match="the payload was"):
        arguments_of(service_of(Desk).methods[method], payload)
