"""The outcome of a stream as it travels, a `Status`, and as it is raised, an error: the conversions, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from penstock._outcomes import shown, sole_error
from penstock.codec import MSGPACK, UNDECODABLE
from penstock.errors import (
    CODES,
    Cancelled,
    Cause,
    ConnectionLost,
    EndOfStream,
    StatusError,
    Unavailable,
    Unknown,
    status_error,
)
from penstock.protocol import LONG_MESSAGE, NO_DETAILS, Cancel, Status, events, readable

#: Characters of an error's message that travel.
MESSAGE_MAX: Final = 4096
#: The details of an error, as the peer will read them.
_DETAILS: Final = MSGPACK.decode_for(dict[str, Any]).value
_EMPTY: Final = bytes(NO_DETAILS)


def status_of(error: StatusError) -> Status:
    """Return `error` as it travels. Details that cannot be encoded become texts, so that the caller still gets the error."""
    message = readable(shown(error.message, str), MESSAGE_MAX)
    details: object = error.details
    if details == {}:
        return Status(*_code_of(error), message, NO_DETAILS, bool(error.started))
    try:
        encoded = MSGPACK.encode(details)
        _DETAILS(encoded)
    except UNDECODABLE:  # this also covers details that cannot be encoded
        pairs = details.items() if isinstance(details, Mapping) else [("details", details)]
        encoded = MSGPACK.encode({readable(shown(key, str), MESSAGE_MAX): shown(value, ascii) for key, value in pairs})
    return Status(*_code_of(error), message, msgspec.Raw(encoded), bool(error.started))


def cancel_of(error: BaseException) -> Cancel:
    """Return the reason of a cancellation, as it travels to the callee."""
    cause = sole_error(error)
    if isinstance(cause, StatusError):
        return Cancel(*_code_of(cause), readable(shown(cause.message, str), LONG_MESSAGE))
    return Cancel()


def _code_of(error: StatusError) -> tuple[int, str]:
    """Return the code and the reason of an error. A program may have set either to a value that cannot travel."""
    code: object = error.code
    return (code if type(code) is int and code in CODES else Unknown.code), readable(shown(error.reason, str), LONG_MESSAGE)


def error_of(status: Status, side: str) -> Exception:
    """Return the `status` of the callee at `side` as an outcome: `EndOfStream` for code 0, else the error of its code."""
    if status.code == 0:
        return EndOfStream()
    error = status_error(status.code, status.reason, status.message, details_in(status.details), started=status.started)
    return error.came_from(side)


def details_in(encoded: msgspec.Raw) -> Callable[[], dict[str, Any]] | None:
    """Return the function that decodes a peer's details, once the program asks for them; None for none.

    Details that cannot be decoded are empty.
    """
    own = bytes(encoded)  # not a view of the whole message
    return None if own == _EMPTY else partial(_decode_details, own)


def _decode_details(encoded: bytes) -> dict[str, Any]:
    try:
        details: dict[str, Any] = _DETAILS(encoded)
    except UNDECODABLE:
        return {}
    return details


def error_of_failure(event: events.Failed, remote: str) -> StatusError:
    """Return the error of a connection that has failed: why the server does not take this side, or that it is lost."""
    if event.code:
        return status_error(event.code, "", event.message, None, started=False).came_from(remote)
    return ConnectionLost(f"the connection to {remote} was given up: {event.message}", cause=Cause.LOST)


def before_it_began(error: StatusError) -> StatusError:
    """Return the error of a connection that was never ready: `Unavailable`, unless the server has refused this side."""
    if isinstance(error, Unavailable | Cancelled):
        return Unavailable(error.message, error.details, started=False)
    return error.fresh_copy()


def error_of_cancel(cancel: Cancel) -> StatusError:
    """Return the reason of a caller's cancellation, as an error."""
    return status_error(cancel.code, cancel.reason, cancel.message, None)
