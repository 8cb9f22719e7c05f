"""`Retained`: a stream that is kept, for followers that come, leave and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from penstock._outcomes import as_failure
from penstock.codec import MSGPACK, UNDECODABLE, UNENCODABLE, WHOLE_MSGPACK, check_type, refuse_value
from penstock.errors import (
    Cancelled,
    EndOfStream,
    InvalidArgument,
    ResourceExhausted,
    StreamCancelled,
    StreamClosed,
    WouldBlock,
)
from penstock.retention._follower import Follower, LocalFollower, Place
from penstock.retention._kept import KeptStream, Since, checked_since
from penstock.retention._log import ITEM_BYTES
from penstock.streams import Dropped, KeptEncoded, Sink, Source, Statistics, StreamState, check_thread

T = TypeVar("T")

#: A sender lets other tasks run after this many items: nothing else makes it wait.
TURN_ITEMS: Final = 64
#: The first key of a mark between items, as `Dropped`, and the bytes in which it ends.
MARK: Final = b"$penstock"
MARK_BYTES: Final = 19
_marks: Final = MSGPACK.decode_for(Dropped | Place).value
#: The classes of items that every decoder makes without being told.
_PLAIN: Final = frozenset({str, int, float, bool, bytes, list, dict, type(None)})


@lru_cache(maxsize=4096)
def _made_again(cls: Any) -> Any:
    """Return the type as which a reader gets back an item of this class: the class itself, if values of it can travel."""
    if cls in _PLAIN:
        return Any
    try:
        check_type(cls, "an item")
    except TypeError:
        return Any
    return cls


def _is_mark(encoded: bytes) -> bool:
    """Whether a follower would take an encoded item for a mark, and count other offsets."""
    try:
        _marks(encoded)
    except UNDECODABLE:
        return False
    return True


def _encoded(kept: KeptStream, item: Any) -> bytes:
    """Return an item as the stream keeps it. Raises `TypeError` for one that cannot travel, and `ResourceExhausted`."""
    try:
        encoded = WHOLE_MSGPACK.encode(item)
    except UNENCODABLE as error:
        refuse_value(error, f"an item of {kept.label} cannot travel", TypeError)
    if MARK in encoded[:MARK_BYTES] and _is_mark(encoded):
        raise TypeError(f"an item of {kept.label} is a mark of Penstock, and would be taken for one: {item!r:.100}")
    size, most = len(encoded), kept.limits.max_bytes
    if size + ITEM_BYTES > most:
        raise ResourceExhausted(f"an item of {kept.label} has {size} bytes, and its max_bytes are {most}", {"max_bytes": most})
    return encoded


def append_all(stream: Retained[Any], items: Sequence[Any]) -> None:
    """Add all items, or none: `send_many`, without waiting, for items that come from elsewhere.

    Raises `InvalidArgument` for an item that cannot travel, with its place; otherwise as `Retained.send`.
    """
    kept = stream._kept
    stream._check_open()
    kept.check()
    encoded: list[bytes] = []
    for place, item in enumerate(items):
        try:
            encoded.append(_encoded(kept, item))
        except TypeError as error:
            raise InvalidArgument(f"item {place}: {error}", {"item": place}) from None
    size, most = sum(map(len, encoded)) + ITEM_BYTES * len(encoded), kept.limits.max_bytes
    if size > most:
        raise ResourceExhausted(f"the items have {size} bytes, and {kept.label} keeps {most} (max_bytes)", {"max_bytes": most})
    stream._make_room(kept, size - ITEM_BYTES)
    for one in encoded:
        kept.add(one, Any)


class Retained(Sink[T], KeptEncoded[T], Generic[T]):
    """A stream that is kept under its name: it outlives its followers and its writer. `penstock.retained` returns it.

    Iterating over it follows it from its first item; `follow` from any other one. Leaving such a loop changes nothing for the
    writer or for other followers. `close`, `fail` and `stop` end the stream; its outcome is kept, too, for followers that come
    later. It is a `Sink`: `send` adds an item, and so does the iterable that `penstock.retained` was given.
    """

    __slots__ = ("__weakref__", "_kept", "_make_room", "_sent_since_turn", "_thread", "_writer")

    def __init__(self, kept: KeptStream, make_room: Callable[[KeptStream, int], None]) -> None:
        self._kept = kept
        self._make_room = make_room
        self._thread = get_ident()
        self._sent_since_turn = 0
        self._writer: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The name of the stream."""
        return self._kept.name

    @property
    def oldest(self) -> int:
        """The offset of the oldest item that is kept."""
        return self._kept.oldest

    @property
    def next_offset(self) -> int:
        """The offset that the next item will have, which is the number of items that were ever sent."""
        return self._kept.log.next

    # ── for followers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, since: Since = 0, *, type: Any = None, latest: bool = False) -> Follower[T]:
        """Return a follower: the items from `since` on, then live ones, to the end of the stream.

        since: the offset of an item, 0 (the first one) by default; "oldest" for the oldest item that is kept, "now" for the
            next one that is sent.
        type: the type of the items; by default the one that `penstock.retained` was given, or the class of each item.
        latest: True for a follower that wants the newest item only: when it is behind, a `Dropped` stands for the others.

        Receiving raises `OutOfRange` when `since` is not kept any more or is beyond the next item. Raises `ValueError` for any
        other value of `since`.
        """
        check_thread(self._thread, self)
        return LocalFollower(self._kept, checked_since(since), self.stop, item_type=type, latest=latest)

    if TYPE_CHECKING:  # so that a method whose result is an `AsyncIterator` may return one

        async def __anext__(self) -> T: ...

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over the items from the first one on; see `Follower`."""
        return aiter(self.follow())

    def _encoded(self) -> Source[Any]:
        return self._announced(0, latest=False, announced=False)._encoded()

    def _announced(self, since: Since, *, latest: bool, announced: bool = True) -> LocalFollower[Any]:
        """Return a follower for another process: a `Place` stands before its items."""
        return LocalFollower(self._kept, since, self.stop, latest=latest, announced=announced)

    # ── for the writer ────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, item: T) -> None:
        """Add one item. It does not wait for followers; when the stream is full, its oldest items go.

        A durable stream waits until the item is in the file; a `send` that is cancelled then has added its item. Any other one
        that is cancelled adds nothing.

        Raises `TypeError` for an item that cannot travel; `ResourceExhausted` for one that is larger than `max_bytes`, or when
        all streams of the program keep too much; `StreamCancelled` after `stop`, and `StreamClosed` after `close` or `fail`.
        """
        await self._put(item)
        kept = self._kept
        if kept.readable_to < kept.log.next:
            await kept.flush()

    async def append(self, item: T) -> int:
        """Add one item, as `send` does, and return its offset."""
        offset = await self._put(item)
        await self._kept.flush()
        return offset

    async def send_many(self, items: Iterable[T]) -> None:
        """Add all `items`, in order, and wait as `send` does for the last of them only."""
        for item in items:
            await self._put(item)
        await self._kept.flush()

    async def _put(self, item: T) -> int:
        """Add one item when there is room for it, without waiting until it is in a file. Return its offset."""
        if self._kept.full:
            await self._kept.room()
        if self._sent_since_turn >= TURN_ITEMS:
            self._sent_since_turn = 0
            await asyncio.sleep(0)
        self._add(item)
        return self._kept.log.next - 1

    def send_nowait(self, item: T) -> None:
        """Add one item as `send` does, without waiting; `flush` waits. Raises `WouldBlock` when too many wait to be written."""
        check_thread(self._thread, self)
        if self._kept.full:
            raise WouldBlock(f"{self._kept.label}: too many items wait to be written; use `await send()`")
        self._add(item)

    def _add(self, item: T) -> None:
        kept = self._kept
        if self._thread != get_ident():
            check_thread(self._thread, self)
        if kept.state != "open":
            self._check_open()
        kept.check()
        encoded = _encoded(kept, item)
        size = len(encoded)
        if kept.state != "open":  # encoding may run code of the program
            self._check_open()
        self._make_room(kept, size)
        kept.add(encoded, _made_again(type(item)))  # type: ignore[arg-type] # any class has a hash
        self._sent_since_turn += 1

    async def flush(self) -> None:
        """Wait until all items that were sent are in the file, and the end of the stream, if it has ended; at once in memory.

        Raises `Unavailable` when the file is closed before. Safe to cancel.
        """
        await self._kept.flush()

    def close(self) -> None:
        """End the stream normally. A generator that writes it is closed. Idempotent."""
        self._end("ended", EndOfStream())

    async def aclose(self) -> None:
        """End the stream normally, as `close` does, and wait as `flush` does."""
        self.close()
        await self._kept.flush()

    def fail(self, error: Exception) -> None:
        """End the stream with `error`, for all followers. After the end it does nothing.

        In another process the followers get a `StatusError`, as from a handler.
        """
        self._end("failed", as_failure(error, f"the writer of {self._kept.label}"))

    async def stop(self) -> None:
        """Stop the stream: cancel its writer, wait for its clean-up, and as `flush` does. See `Follower.stop`. Idempotent."""
        self._end("cancelled", Cancelled(f"{self._kept.label} was stopped"))
        if self._writer is not None and self._writer is not asyncio.current_task():
            await asyncio.wait([self._writer])
        await self._kept.flush()

    def _end(self, state: StreamState, outcome: Exception) -> None:
        check_thread(self._thread, self)
        if self._kept.state != "open":
            return
        self._kept.end(state, outcome)
        if self._writer is not None and self._writer is not asyncio.current_task():
            self._writer.cancel()

    def _check_open(self) -> None:
        """Raise the error of a sender after the end."""
        kept = self._kept
        if kept.state == "cancelled":
            raise StreamCancelled(f"{kept.label} was stopped; nothing more can be sent")
        if kept.state != "open":
            raise StreamClosed(f"{kept.label} was closed (it has {kept.state}); nothing more can be sent")

    def statistics(self) -> Statistics:
        """Return the figures of the stream: `buffered` are the items that are kept, `sent` all that were ever sent."""
        kept = self._kept
        most, oldest, following = kept.limits.max_items, kept.oldest, kept.log.next
        return Statistics(kept.state, most, following - oldest, following, oldest, most if kept.state == "open" else 0, 0)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        """Do nothing: a writer never waits for followers."""

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Retained {self._kept.name!r} {now.state}, {now.sent} sent, {now.buffered} kept>"
