"""Responses of HTTP, and errors as problem details (RFC 9457): the one place that knows which status stands for which code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any, Final

from penstock._outcomes import shown
from penstock.codec import JSON, UNENCODABLE
from penstock.errors import StatusError

#: The status of HTTP for each code of an error. 499 is that of a client which left, as nginx has it.
STATUS_OF_CODE: Final = {
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
JSON_TYPE: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"


class HttpResponse:
    """The answer to a request: a status, headers and a body.

    headers: by their names in lower case. body: bytes, or an async generator of pieces. A piece is made when the connection has
    taken the one before it, so a slow client stalls its own response only. The generator is closed at its end, and when the
    client leaves.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int = HTTPStatus.OK,
        body: bytes | AsyncGenerator[bytes, None] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = int(status)
        self.body = body
        self.headers: dict[str, str] = dict(headers or {})


class Refused(Exception):
    """Raised in a handler to answer with a response of its own; see `refused`."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status)
        self.response = response


def as_json(value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a response whose body is a value as JSON."""
    return HttpResponse(status, JSON.encode(value), {"content-type": JSON_TYPE, **(headers or {})})


def refused(status: int, error: StatusError, headers: Mapping[str, str] | None = None) -> Refused:
    """Return an error to be raised in a handler: the problem that stands for `error`, with a status that says more."""
    return Refused(problem_of(error, status, headers))


def problem_of(error: StatusError, status: int = 0, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return an error as problem details: `status`, `title` and `detail` of RFC 9457, and `code`, `reason` and `details`.

    status: 0 for the one that stands for the code of the error.
    """
    status = int(status) or STATUS_OF_CODE.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": error.message,
        "code": error.code,
        "reason": error.reason,
    }
    if error.details:
        problem["details"] = error.details
    try:
        body = JSON.encode(problem)
    except UNENCODABLE:  # the details are the program's own values
        problem["details"] = {shown(name, str): shown(value, ascii) for name, value in error.details.items()}
        body = JSON.encode(problem)
    wanted = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}  # RFC 9110, 11.6.1
    return HttpResponse(status, body, {"content-type": PROBLEM_JSON, "cache-control": "no-store", **wanted, **(headers or {})})


def title_of(status: int) -> str:
    """Return the phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request"
