"""`KeptStream`: a retained stream as its followers see it and as its writer makes it. This one is in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from threading import get_ident
from typing import Any, ClassVar, Final, Literal, Protocol
from weakref import WeakSet

import msgspec

from penstock._outcomes import as_answer, as_internal
from penstock.errors import EndOfStream, OutOfRange
from penstock.retention._log import ITEM_BYTES, Limits, Log
from penstock.streams import Bell, StreamState

#: Items of one page at most.
PAGE_ITEMS: Final = 256
#: Where a follower begins: the offset of an item; "oldest" is the oldest item that is kept, "now" the next one that is sent.
Since = int | Literal["oldest", "now"]


def checked_since(since: Any) -> Since:
    """Return `since`. Raises `ValueError` for a value that is not a place in a stream."""
    if type(since) is int and since >= 0:
        return since
    if type(since) is str and since == "oldest":
        return "oldest"
    if type(since) is str and since == "now":
        return "now"
    raise ValueError(f'since is {since!r}; it takes the offset of an item, 0 or more, "oldest" or "now"')


def bare(error: Exception) -> Exception:
    """Return a copy of an error without the frames and the errors that led to it, or the error itself where that fails.

    The outcome of a stream is kept for long, and what is raised holds the frames of each place where it was raised.
    """
    try:
        twin = type(error).__new__(type(error), *error.args)
        twin.__dict__.update(error.__dict__)
    except Exception:  # noqa: BLE001 - it is code of the program
        return error.with_traceback(None)
    return twin


class StreamDescription(msgspec.Struct, frozen=True):
    """A description of a retained stream.

    state: "open", "ended", "failed" or "cancelled". oldest, next: the offsets of the oldest item that is kept, and of the next
    one that is sent. max_items, max_bytes, ttl_s: as for `penstock.retained`. kept: where the items are, in words.
    """

    name: str
    state: StreamState
    oldest: int
    next: int
    max_items: int
    max_bytes: int
    ttl_s: float
    kept: str


class Fork(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The source of a stream that was forked.

    source: its id. name: its name. offset, part: the place as the request for the fork had it; None for the end of the source.
    """

    source: bytes
    name: str
    offset: str | None
    part: int


class Notes(msgspec.Struct, omit_defaults=True):
    """The notes of a stream that is made, or written, from outside of its program, beside its items. A file keeps them.

    content_type: that of its bytes, over HTTP; empty for a stream of the program, whose items are values. idle_s: seconds after
    which it is deleted when it was neither read nor written. expires: the time at which it is deleted, as a text of RFC 3339.
    lineage: a number that a stream and its forks have in common; 0 for that of its own id. fork: None for a stream of its own.
    seq: the last one of its writers' own order. producers: by their ids the epoch and the number of their last batch, those
    that wrote last at the end. closed_by: the producer whose batch was the last one, and these numbers. deleted: its name stays
    taken while there are forks of it.
    """

    content_type: str = ""
    idle_s: int | None = None
    expires: str = ""
    lineage: int = 0
    fork: Fork | None = None
    seq: str | None = None
    producers: dict[str, tuple[int, int]] = {}
    closed_by: tuple[str, int, int] | None = None
    deleted: bool = False


class Shelf(Protocol):
    """The place of all kept streams: it counts their bytes, and forgets those that have ended.

    size: the bytes that all of them have in memory. watchers: called when a stream has more to read. readers: those that read
    now, for a screen: each has `kept`, the stream, `by`, where it is, empty for this process, and `reads_at`, its offset.
    """

    size: int
    readers: WeakSet[Any]
    watchers: list[Callable[[KeptStream], None]]

    def ended(self, kept: KeptStream) -> None:
        """Note that the followers of a stream are told of its end."""


class KeptStream:
    """The items of one stream that are kept, how far they can be read, and how the stream has ended.

    name, id: of the stream. thread: that of its event loop. limits: how much is kept. item_type: as `penstock.retained` was
    given it; None for the class of each item. log: the newest items. readable_to: the offset before which followers read.
    notes: of a stream that others write. used_at: when it was read or written by them, by the clock of the loop.
    state, outcome: how the stream has ended; "open" and None before. answer: the outcome, as another process gets it. told:
    whether followers are told of it. bell: rings when there is more to read. wanted: whether the program has asked for the
    stream since it was read from a file.
    """

    #: Where the items are, for people.
    where: ClassVar[str] = "in memory: it ends with its program"

    __slots__ = (
        "__weakref__",
        "answer",
        "bell",
        "id",
        "item_type",
        "limits",
        "log",
        "name",
        "notes",
        "outcome",
        "readable_to",
        "shelf",
        "state",
        "thread",
        "told",
        "used_at",
        "wanted",
    )

    def __init__(self, name: str, limits: Limits, item_type: Any, shelf: Shelf) -> None:
        self.name = name
        self.id = secrets.token_bytes(16)
        self.limits = limits
        self.item_type = item_type
        self.shelf = shelf
        self.thread = get_ident()
        self.log = Log(limits)
        self.readable_to = 0
        self.state: StreamState = "open"
        self.outcome: Exception | None = None
        self.answer: Exception = EndOfStream()
        self.told = False
        self.bell = Bell()
        self.wanted = False
        self.notes = Notes()
        self.used_at = 0.0

    # ── for followers ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def label(self) -> str:
        """The stream in a sentence."""
        return f"stream {self.name!r}"

    @property
    def oldest(self) -> int:
        """The offset of the oldest item that is kept."""
        return self.log.first

    def describe(self) -> StreamDescription:
        """Return a description of the stream."""
        ttl_s, max_items, max_bytes = self.limits
        return StreamDescription(self.name, self.state, self.oldest, self.log.next, max_items, max_bytes, ttl_s, self.where)

    def place(self, since: Since) -> int:
        """Return the offset that `since` means. Raises `OutOfRange`."""
        if since == "now":
            return self.readable_to
        if since == "oldest":
            return self.oldest
        if not self.oldest <= since <= self.readable_to:
            raise self.out_of_range(since)
        return since

    def out_of_range(self, offset: int) -> OutOfRange:
        """Return the error for an offset that cannot be read."""
        first, following = self.oldest, self.readable_to
        details = {"oldest": first, "next": following}
        if offset > following:
            return OutOfRange(f"{self.label} has {following} items so far, so it has no item {offset} yet", details)
        return OutOfRange(
            f"item {offset} of {self.label} is not kept any more; the oldest one that is kept is {first}", details
        )

    def check(self) -> None:
        """Raise `Unavailable` when nothing can be read or written any more."""

    async def read(self, offset: int) -> list[Any]:
        """Return items from an offset on that are kept, but not in the log."""
        raise self.out_of_range(offset)

    # ── for the writer ────────────────────────────────────────────────────────────────────────────────────────────────

    def noted(self) -> None:
        """Note that `notes` were changed. They are kept together with the items that are added in the same turn of the loop."""

    def copy_from(self, source: KeptStream, before: int) -> None:
        """Begin, as a new stream, with the items that `source` keeps before an offset. Both are in memory, or in one file."""
        self.log = source.log.copy(before)
        self.log.limits = self.limits
        self.shelf.size += self.log.size
        self._publish(before)

    @property
    def full(self) -> bool:
        """Whether a sender has to wait for `room`."""
        return False

    async def room(self) -> None:
        """Wait until an item may be sent. Safe to cancel."""

    def add(self, encoded: bytes, cls: Any) -> None:
        """Add an item, and the class that it had."""
        size = len(encoded) + ITEM_BYTES
        self.log.add(msgspec.Raw(encoded), cls, size)
        self.shelf.size += size
        self._added(size)

    def _added(self, size: int) -> None:
        self._publish(self.log.next)

    def _publish(self, readable_to: int) -> None:
        """Let followers read the items before an offset; the oldest ones that are over the limits go."""
        self.readable_to = readable_to
        log = self.log
        before = log.size
        log.trim(readable_to)
        if log.size != before:
            self.shelf.size += log.size - before
        self.bell.notify()
        for told in self.shelf.watchers:
            told(self)

    def end(self, state: StreamState, outcome: Exception) -> None:
        """Note the end of the stream, and tell the followers. An unexpected error is logged: its writer has no caller."""
        answer = outcome
        if state == "failed":
            answer = as_answer(outcome, self.label) or as_internal(outcome, self.label, exposed=False)
        self.state, self.outcome, self.answer = state, bare(outcome), bare(answer)
        self._ended()

    def _ended(self) -> None:
        self._tell()

    def _tell(self) -> None:
        """Tell the followers of the outcome, behind the items."""
        self.told = True
        self.shelf.ended(self)
        self.bell.notify()

    async def flush(self) -> None:
        """Wait until all is kept as it is meant to be. Raises `Unavailable` when that fails for good. Safe to cancel."""

    def waits_for_writer(self) -> bool:
        """Whether the stream stays open when its writer is cancelled, for another one."""
        return False

    # ── for the shelf ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ttl_left_s(self) -> float:
        """The seconds for which a stream that has ended is kept from now on."""
        return self.limits.ttl_s

    def spare(self) -> bool:
        """Give back the memory of a stream that has ended; return False when the stream has to be forgotten for that."""
        return False

    def forget(self, *, name_stays: bool = False) -> None:
        """Let all items go. name_stays: the stream is deleted, and its name stays taken."""
        self.shelf.size -= self.log.size
        self.log.clear()
        self.told = True  # of the outcome, which a stream that is deleted has
        self.bell.notify()


async def page_of(kept: KeptStream, offset: int, page_bytes: int) -> list[msgspec.Raw]:
    """Return encoded items of a stream from `offset` on that can be read now: up to `page_bytes`, one item at least.

    None are left at the end of the stream, or while it has no more. Raises `OutOfRange`, and as `KeptStream.read`.
    """
    while offset < kept.readable_to:
        log = kept.log
        if offset >= log.first:
            return _beginning(log.page(offset, min(PAGE_ITEMS, kept.readable_to - offset))[0], page_bytes)
        if offset < kept.oldest:
            raise kept.out_of_range(offset)
        items = await kept.read(offset)
        if items:
            return _beginning(items, page_bytes)
    return []


def _beginning(items: list[Any], bytes_max: int) -> list[Any]:
    size = 0
    for place, item in enumerate(items):
        size += memoryview(item).nbytes
        if size > bytes_max and place:
            return items[:place]
    return items


def is_unclaimed(kept: KeptStream) -> bool:
    """Whether this is an open stream of an earlier run that the program has not asked for, and that others do not write."""
    return not kept.wanted and kept.state == "open" and not kept.notes.content_type


class HttpReader:
    """The reader of a response over HTTP, for a screen, as long as the response holds it.

    kept: the stream. by: the address of the client. reads_at: the offset of the next item that leaves.
    """

    __slots__ = ("__weakref__", "by", "kept", "reads_at")

    def __init__(self, kept: KeptStream, by: str, reads_at: int) -> None:
        self.kept = kept
        self.by = by
        self.reads_at = reads_at
        kept.shelf.readers.add(self)
