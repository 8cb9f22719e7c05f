"""A stream as HTTP shows it: its offsets, whether it is closed, how it failed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from penstock.errors import NotFound, StatusError
from penstock.retention import KeptStream, Retained
from penstock.web._response import refused
from penstock.web.durable_streams._offsets import ANY_LINEAGE, NOW, Position, lineage_of, token

#: The names of streams that are not those of clients: the records of subscriptions.
RESERVED: Final = "__ds/"


def offset_token(kept: KeptStream, place: int) -> str:
    """Return the token of a place in a stream."""
    return token(lineage(kept), place)


def lineage(kept: KeptStream) -> int:
    """Return the lineage of a stream."""
    return kept.notes.lineage or lineage_of(kept.id)


def resolved(kept: KeptStream, place: Position) -> int:
    """Return the place in a stream that a client means.

    Raises `Refused` (410) for one of another stream that had the name, and for items that are not kept any more, and
    `OutOfRange` for one that is not there yet.
    """
    if place.lineage not in {ANY_LINEAGE, lineage(kept)}:
        error = NotFound(f"{kept.label} was made anew: this offset is one of an earlier stream of that name")
        raise refused(HTTPStatus.GONE, error)
    if place.at == NOW:
        return kept.readable_to
    if isinstance(place.at, str):
        return kept.oldest
    if place.at < kept.oldest:
        raise refused(HTTPStatus.GONE, kept.out_of_range(place.at))
    if place.at > kept.readable_to:
        raise kept.out_of_range(place.at)
    return place.at


def is_closed(kept: KeptStream) -> bool:
    """Whether a stream has ended, for its readers."""
    return kept.told and kept.state != "open"


def failure_of(kept: KeptStream) -> StatusError | None:
    """Return the error with which a stream has failed, or was stopped; None for an open one and one that was closed."""
    return kept.answer if isinstance(kept.answer, StatusError) else None


def tail_headers(kept: KeptStream, following: int) -> dict[str, str]:
    """Return the headers of a response that ends at a place: the offset, and whether more is there, or will be."""
    headers = {"stream-next-offset": offset_token(kept, following)}
    if following == kept.readable_to:
        headers["stream-up-to-date"] = "true"
        headers |= closed_headers(kept)
    return headers


def closed_headers(kept: KeptStream) -> dict[str, str]:
    """Return the headers that say how a stream was closed; none for one that is open. A failure has a header of ours, too."""
    failure = failure_of(kept)
    closed = {"stream-closed": "true"} if is_closed(kept) else {}
    return closed if failure is None or not closed else {**closed, "stream-error": failure.reason}


def check_there(stream: Retained[Any]) -> None:
    """Raise `NotFound` for a stream that was deleted meanwhile."""
    if stream._kept.notes.deleted:
        raise NotFound(f"{stream._kept.label} was deleted")
