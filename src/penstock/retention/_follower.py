"""`Follower`: the receiving end of a retained stream. `LocalFollower` is one in the process of the stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from threading import get_ident
from typing import Any, Final, TypeVar

import msgspec

from penstock._outcomes import text_of
from penstock.codec import MSGPACK, UNDECODABLE
from penstock.errors import Cause, DataLoss, OutOfRange, PenstockError, Unavailable
from penstock.retention._kept import KeptStream, Since, StreamDescription, bare
from penstock.retention._paged import PagedSource
from penstock.streams import Dropped, KeptEncoded, Source, check_thread

T = TypeVar("T")

#: The bytes of the items that a follower reads ahead, about: they stay in memory until it takes them.
AHEAD_BYTES: Final = 64 * 1024


#: True in the details of the error by which a side that shuts down ends the call of a reader: the stream goes on elsewhere.
MOVED: Final = "moved"


class Place(msgspec.Struct, frozen=True, gc=False, tag_field="$penstock", tag="place"):
    """Stands before the first item of a follower across a connection: the id of the stream, and the offset of that item."""

    id: bytes
    offset: int


class Follower(PagedSource[T]):
    """The items of a retained stream from one offset on, then live ones, to its end. Many can follow one stream.

    Each follower has its own place, and no follower slows down the writer or another follower. `aclose` and dropping the last
    reference end the follower only: the stream goes on, and `offset` is where another follower can go on. A loop that is left
    costs the server nothing more; the next loop, or `receive`, goes on at `offset`.

    The loop ends at the end of the stream. It raises the error with which the stream failed, `Cancelled` when it was stopped,
    and `OutOfRange` when the next item is not kept any more: ``error.details["oldest"]`` is the oldest offset that is.

    name: the name of the stream.
    """

    __slots__ = ("_latest", "name")

    def __init__(self, name: str, offset: int | None, *, latest: bool) -> None:
        super().__init__(offset)
        self.name = name
        self._latest = latest

    @property
    def offset(self) -> int | None:
        """The offset of the next item that the program receives, to go on from there later; None before it is known."""
        if self._next is None:
            return None
        following: int = self._next - (sum(map(places, self._buffer)) if self._latest else len(self._buffer))
        return following

    @abstractmethod
    async def describe(self) -> StreamDescription:
        """Return a description of the stream: its state, the offsets that can be read, its limits, and where it is kept.

        Raises `NotFound` when the stream is not kept any more. Safe to cancel.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop the stream: its writer ends, and all followers get `Cancelled` behind the items that are kept. Idempotent.

        It returns when the writer has cleaned up. Raises `NotFound` when the stream is not kept any more. Cancelling it does
        not take the stop back.
        """

    def __repr__(self) -> str:
        return f"<Follower of {self.name!r} {self._state} at {self.offset}, {self._received} received>"


def places(item: Any) -> int:
    """Return how many offsets an item of a follower stands for: the mark of items that were left out, more than one."""
    return item.count if type(item) is Dropped else 1


class LocalFollower(Follower[T], KeptEncoded[T]):
    """A `Follower` in the process of the stream, which `stop` stops. With `announced`, a `Place` stands before the items."""

    __slots__ = ("__weakref__", "_item_type", "_kept", "_raw", "_stop", "by")

    def __init__(
        self,
        kept: KeptStream,
        since: Since,
        stop: Callable[[], Awaitable[None]],
        *,
        item_type: Any = None,
        latest: bool = False,
        announced: bool = False,
    ) -> None:
        super().__init__(kept.name, None, latest=latest)
        self._kept = kept
        self.by = ""
        kept.shelf.readers.add(self)
        self._stop = stop
        self._item_type = kept.item_type if item_type is None else item_type
        self._raw = False
        try:
            self._next = kept.place(since)
        except OutOfRange as error:
            self._finish("failed", error)
        else:
            if announced:
                self._put(Place(kept.id, self._next))

    @property
    def kept(self) -> KeptStream:
        """See `Shelf`."""
        return self._kept

    @property
    def reads_at(self) -> int | None:
        """The offset of the next item that the reader gets; None when it has ended."""
        return self.offset if self._state == "open" else None

    def leave(self) -> None:
        """End this follower, because its side shuts down: it goes on at another one, or after the restart."""
        self._finish("failed", Unavailable("its side is shutting down", {MOVED: True}, cause=Cause.DRAINING))
        self._wake()

    async def describe(self) -> StreamDescription:
        """See `Follower.describe`."""
        return self._kept.describe()

    async def stop(self) -> None:
        """See `Follower.stop`."""
        await self._stop()

    def _encoded(self) -> Source[Any]:
        self._raw = True
        return self

    def _put(self, mark: Any) -> None:
        """Put a mark between items of any type."""
        self._buffer.append(mark)

    def _load(self) -> None:
        kept, offset = self._kept, self._next
        if kept.thread != get_ident():
            check_thread(kept.thread, self)
        log, end = kept.log, kept.readable_to
        if offset >= end:
            if kept.told and kept.outcome is not None:
                self._finish(kept.state, kept.answer if self._raw else bare(kept.outcome))
            return
        if self._latest and end - offset > 1:
            self._put(Dropped(end - 1 - offset))
            offset = self._next = end - 1
        if offset >= log.first:
            self._add(*log.page(offset, min(log.page_items(self.page_items, AHEAD_BYTES), end - offset)))
        elif offset < kept.oldest:
            deleted = kept.outcome if kept.notes.deleted else None
            self._finish("failed", kept.out_of_range(offset) if deleted is None else bare(deleted))

    def _add(self, items: list[Any], classes: list[Any]) -> None:
        self._next += len(items)
        if self._raw:
            self._buffer.extend(items)
        else:
            self._decode(items, classes)

    def _decode(self, items: list[Any], classes: list[Any]) -> None:
        """Put the decoded items into the buffer. One that does not fit its type ends the source behind those before it."""
        own, before = self._item_type, len(self._buffer)
        try:
            for item, cls in zip(items, classes, strict=True):
                self._buffer.append(MSGPACK.decode_for(cls if own is None else own).value(item))
        except UNDECODABLE as error:
            self._next -= len(items) - (len(self._buffer) - before)
            failure = DataLoss(f"{self._kept.label}: an item does not fit its type: {text_of(error)}")
            self._finish("failed", error if isinstance(error, PenstockError) else failure)

    async def _fill(self) -> None:
        self._load()
        if self._buffer or self._outcome is not None:
            return
        kept, offset = self._kept, self._next
        kept.check()
        if offset >= kept.readable_to:
            await kept.bell.wait()
            return
        items = await kept.read(offset)
        if self._outcome is None:
            self._add(items, [Any] * len(items))

    async def aclose(self) -> None:
        """Stop reading. The stream goes on. Idempotent."""
        check_thread(self._kept.thread, self)
        await super().aclose()

    def _wake(self) -> None:
        self._kept.bell.notify()
