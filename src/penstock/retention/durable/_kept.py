"""`StreamInFile`: a stream in a file. Followers see an item, and the outcome, once it is written."""

from __future__ import annotations

import asyncio
from time import time
from typing import Any, Final

from penstock._outcomes import text_of
from penstock._upkeep import upkeep
from penstock.codec import MSGPACK, UNDECODABLE
from penstock.errors import Aborted, DataLoss, EndOfStream, StatusError
from penstock.protocol import Status
from penstock.retention._kept import KeptStream, Notes, Shelf, is_unclaimed
from penstock.retention._log import Limits
from penstock.retention.durable._file import Change, StreamRow
from penstock.retention.durable._store import TAIL_BYTES, TAIL_ITEMS, Store
from penstock.session import error_of, status_of

#: The notes of a stream that has none, as they are encoded.
_NO_NOTES: Final = MSGPACK.encode(Notes())


class StreamInFile(KeptStream):
    """A `KeptStream` in the file of a store. Its log has the newest items: those that are not written, and some that are."""

    where = (
        "in a file: an item is written before it is acknowledged or read, and survives kill -9; the disk is synchronised every "
        "16 MiB, so a power failure may take the last moments"
    )

    __slots__ = (
        "_copied",
        "_emptied",
        "_ended_at",
        "_erased",
        "_key",
        "_notes_written",
        "_oldest",
        "_store",
        "_unwritten_bytes",
        "_written",
        "forgotten",
    )

    def __init__(
        self, name: str, limits: Limits, item_type: Any, shelf: Shelf, store: Store, *, row: StreamRow | None = None
    ) -> None:
        """Make a new stream, or one that the file has."""
        super().__init__(name, limits, Any if item_type is None else item_type, shelf)
        self.log.limits = Limits(limits.ttl_s, min(limits.max_items, TAIL_ITEMS), min(limits.max_bytes, TAIL_BYTES))
        self.forgotten = False
        self._store = store
        self._oldest = 0
        self._unwritten_bytes = 0
        self._ended_at: float | None = None
        self._notes_written = _NO_NOTES
        self._copied: int | None = None
        self._emptied = self._erased = False
        self._written = row is not None
        if row is None:
            self._key = store.new_key()
            store.note(self)
            return
        self.id, self._key, self._oldest, self._ended_at = row.id, row.key, row.oldest, row.ended
        self.log.first = self.readable_to = row.next
        if row.outcome is not None:
            self.outcome = self.answer = _outcome_in(row.outcome, self.label)
            self.state, self.told = row.state, True
        if row.notes is not None:
            self.notes, self._notes_written = _notes_in(row.notes, self.label), row.notes

    @property
    def store(self) -> Store:
        """The store of the file."""
        return self._store

    @property
    def oldest(self) -> int:
        """The offset of the oldest item that is kept."""
        return self._oldest

    def check(self) -> None:
        """Raise `Unavailable` when the file is closed."""
        self._store.check()

    async def read(self, offset: int) -> list[Any]:
        """Return items from an offset on, from the file. Raises `DataLoss` and `Unavailable`. Safe to cancel."""
        items, oldest = await self._store.read(self._key, offset)
        if not items:
            self._oldest = max(self._oldest, oldest)  # they may have left the file a moment ago
            if offset >= self._oldest and not self.forgotten:
                raise DataLoss(f"{self.label}: item {offset} is missing in {self._store.path}")
        return items

    @property
    def full(self) -> bool:
        """Whether a sender has to wait, because too many items of the file wait to be written."""
        return self._store.full

    async def room(self) -> None:
        """Wait until an item may be sent. Raises `Unavailable` when the file is closed. Safe to cancel."""
        await self._store.room()

    def _added(self, size: int) -> None:
        self._unwritten_bytes += size
        self._store.waiting += size
        self._store.note(self)

    def _ended(self) -> None:
        self._ended_at = time()  # of a clock that goes on while no program runs
        self._store.note(self)

    def noted(self) -> None:
        """See `KeptStream.noted`."""
        self._store.note(self)

    def copy_from(self, source: KeptStream, before: int) -> None:
        """See `KeptStream.copy_from`. The items are there when they are copied in the file, as `flush` tells."""
        assert isinstance(source, StreamInFile)  # noqa: S101 - both are in one file
        self._copied = source._key
        self.log.first = self._oldest = before

    async def flush(self) -> None:
        """Wait until all items that were sent, and the end, are written. Raises `Unavailable`. Safe to cancel."""
        target = self.log.next
        while _waits_for_file(self, target):
            self._store.check()
            await self.bell.wait()

    def waits_for_writer(self) -> bool:
        """Wait for another writer, as after a restart."""
        self.wanted = False
        asyncio.get_running_loop().call_later(self.limits.ttl_s, self.abandon)
        return True

    # ── for the store ─────────────────────────────────────────────────────────────────────────────────────────────────

    def change(self) -> Change:
        """Return the change that is to be written now."""
        first, end = self.readable_to if self._copied is None else self.log.first, None
        items, _classes = self.log.page(first, self.log.next - first)
        if self.outcome is not None and (not self.told or self._emptied):
            end = (self.state, _encoded(self.answer), self._ended_at or time())
        notes = MSGPACK.encode(self.notes)
        return Change(
            self._key,
            self.name,
            self.id,
            self.limits,
            first,
            items,
            self._unwritten_bytes,
            end,
            notes if notes != self._notes_written else None,
            self._copied,
            self._emptied,
            self.forgotten,
        )

    def committed(self, change: Change, oldest: int | None) -> None:
        """Note that a change is written, and the offset before which the oldest items have left the file; None for none."""
        self._unwritten_bytes -= change.size
        self._store.waiting -= change.size
        self._written = True
        self._notes_written = self._notes_written if change.notes is None else change.notes
        self._copied = None if change.copied is not None else self._copied
        if self.forgotten or self._emptied:
            self._erased = (change.forgotten and oldest is None) if self.forgotten else change.emptied
            if change.forgotten and oldest is not None:
                self._store.note(self)  # it leaves the file in parts
            self.bell.notify()
            return
        self._oldest = self._oldest if oldest is None else oldest
        self._publish(change.first + len(change.items))
        if change.end is not None:
            self._tell()

    # ── for the shelf ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ttl_left_s(self) -> float:
        """The seconds for which a stream that has ended is kept from now on."""
        passed = max(0.0, time() - (self._ended_at or time()))  # the clock may have been set back
        return max(0.0, self.limits.ttl_s - passed)

    def spare(self) -> bool:
        """Let the items in memory go: the file has them."""
        super().forget()
        return True

    def forget(self, *, name_stays: bool = False) -> None:
        """Let all items go, in the file, too."""
        super().forget()
        self._oldest = self.readable_to = self.log.next
        self._emptied, self.forgotten, self._erased = name_stays, not name_stays, False
        self._store.note(self)

    @upkeep
    def abandon(self) -> None:
        """End a stream of an earlier run of the program that nothing writes any more."""
        if is_unclaimed(self):
            self.end("failed", Aborted(f"the program that wrote {self.label} ended before it did, and did not go on"))


def _waits_for_file(kept: StreamInFile, target: int) -> bool:
    """Whether the items before an offset, the end of a stream, or its deletion are not in the file yet."""
    if kept.forgotten or kept._emptied:
        return not kept._erased
    return kept.readable_to < target or not kept._written or (kept.outcome is not None and not kept.told)


def _notes_in(encoded: bytes, label: str) -> Notes:
    """Return the notes of a stream from the file. Raises `DataLoss`."""
    try:
        notes: Notes = MSGPACK.decode_for(Notes).value(encoded)
    except UNDECODABLE as error:
        raise DataLoss(f"the notes of {label} in its file are damaged: {text_of(error)}") from error
    return notes


def _encoded(outcome: Exception) -> bytes:
    """Return the outcome of a stream as the file keeps it."""
    return MSGPACK.encode(status_of(outcome) if isinstance(outcome, StatusError) else Status(0))


def _outcome_in(encoded: bytes, label: str) -> Exception:
    """Return the outcome of a stream from the file. Raises `DataLoss`."""
    try:
        status: Status = MSGPACK.decode_for(Status).value(encoded)
    except UNDECODABLE as error:
        raise DataLoss(f"the outcome of {label} in its file is damaged: {text_of(error)}") from error
    return EndOfStream() if status.code == 0 else error_of(status, "")
