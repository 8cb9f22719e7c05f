"""A subscription: how far its workers have come in each of its streams, and the wake that is under way. Pure: no clock, no I/O.

A wake tells one worker that there are items. It has a generation, which only grows, and an id; an answer that names another one
comes from a worker that was given up, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

#: The offset before all items.
BEFORE_ALL: Final = "0000000000000000_0000000000000000"

TailOf = Callable[[str], str]


class StreamLink(msgspec.Struct, omit_defaults=True):
    """A stream of a subscription. explicit, matched: by its name, by the pattern. acked: the offset before the next item."""

    acked: str
    explicit: bool = False
    matched: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """A subscription as its client wants it: a second request with the same is answered as the first one was."""

    type: Literal["webhook", "pull-wake"]
    pattern: str | None
    streams: tuple[str, ...]
    url: str | None
    wake_stream: str | None
    lease_ttl_ms: int
    description: str | None


class SubscriptionRecord(msgspec.Struct):
    """The record of a subscription, as it is kept.

    base: the URL below which its client reaches this server. links: its streams, by their names. generation: how many wakes
    there were. wake: the id of the one under way. snapshot: the ends of the streams when it began. holder: the worker that has
    claimed it. retries, next_attempt: how often a delivery has failed, and when the next one is due, in Unix time.
    """

    id: str
    wanted: Wanted
    base: str
    created_at: str
    links: dict[str, StreamLink]
    generation: int = 0
    wake: str | None = None
    snapshot: dict[str, str] = {}
    holder: str | None = None
    retries: int = 0
    next_attempt: float | None = None


def is_behind(acked: str, tail: str) -> bool:
    """Whether items follow an offset. One of an earlier stream of the name has all of the present one before it."""
    same = acked.partition("_")[0] == tail.partition("_")[0] or acked == BEFORE_ALL
    return tail.partition("_")[2] > (acked.partition("_")[2] if same else BEFORE_ALL.partition("_")[2])


def pending(record: SubscriptionRecord, tail_of: TailOf) -> Iterator[str]:
    """Iterate over the streams with items that were not acknowledged."""
    return (name for name, link in record.links.items() if is_behind(link.acked, tail_of(name)))


def begin_wake(record: SubscriptionRecord, wake: str, tail_of: TailOf) -> None:
    """Begin a wake with a new id."""
    record.generation += 1
    record.wake, record.holder = wake, None
    record.snapshot = {name: tail_of(name) for name in record.links}
    record.retries, record.next_attempt = 0, None


def end_wake(record: SubscriptionRecord) -> None:
    """End the wake that is under way."""
    record.wake = record.holder = record.next_attempt = None
    record.snapshot, record.retries = {}, 0


def acknowledge_snapshot(record: SubscriptionRecord) -> None:
    """Acknowledge all that was there when the wake began."""
    for name, tail in record.snapshot.items():
        link = record.links.get(name)
        if link is not None and is_behind(link.acked, tail):
            link.acked = tail


def acknowledge(record: SubscriptionRecord, acks: Mapping[str, str], tail_of: TailOf) -> str | None:
    """Acknowledge the items before offsets, all of them, or none and return why."""
    for name, offset in acks.items():
        link = record.links.get(name)
        if link is None:
            return f"{name!r} is not a stream of the subscription"
        if is_behind(offset, link.acked):
            return f"{offset!r} is before what was acknowledged of {name!r}"
        if is_behind(tail_of(name), offset) or offset.partition("_")[0] != tail_of(name).partition("_")[0]:
            return f"{offset!r} is not an offset of {name!r}"
    for name, offset in acks.items():
        record.links[name].acked = offset
    return None


def link(record: SubscriptionRecord, names: Iterable[str], tail_of: TailOf, *, explicit: bool) -> None:
    """StreamLink streams at their present ends; one that is linked stays where it is."""
    for name in names:
        known = record.links.setdefault(name, StreamLink(tail_of(name)))
        known.explicit |= explicit
        known.matched |= not explicit


def unlink(record: SubscriptionRecord, name: str) -> None:
    """Take back that a stream was linked by its name; one that the pattern matches stays linked."""
    known = record.links.get(name)
    if known is not None:
        known.explicit = False
        if not known.matched:
            del record.links[name]


def streams_shown(record: SubscriptionRecord, tail_of: TailOf) -> list[dict[str, Any]]:
    """Return the streams of a subscription, as workers see them."""
    return [
        {
            "path": name,
            "link_type": "explicit" if known.explicit else "glob",
            "acked_offset": known.acked,
            "tail_offset": tail_of(name),
            "has_pending": is_behind(known.acked, tail_of(name)),
        }
        for name, known in record.links.items()
    ]


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a name: ``*`` stands for one part of it between slashes, ``**`` for any number of them."""
    reached = {0}
    parts = [part for part in pattern.split("/") if part]
    for part in (part for part in name.split("/") if part):
        reached = _closure(parts, reached)
        reached = {at + (parts[at] != "**") for at in reached if at < len(parts) and parts[at] in {part, "*", "**"}}
    return len(parts) in _closure(parts, reached)


def _closure(parts: list[str], reached: set[int]) -> set[int]:
    """Return the places in a pattern, and those behind a ``**``, which may stand for nothing."""
    found = set(reached)
    for at in sorted(reached):
        following = at
        while following < len(parts) and parts[following] == "**":
            following += 1
            found.add(following)
    return found
