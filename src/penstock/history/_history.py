"""The history of a node: records, answers questions, follows, verifies. This module never touches the file on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from penstock.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from penstock.history._archive import Archive
from penstock.history._event import HistoryEvent
from penstock.history._file import Retention
from penstock.history._queue import OnFull
from penstock.history._read import make_query
from penstock.history._recorder import OnProblem, Recorder
from penstock.history._source import HistorySource
from penstock.history._verify import Verification, verify_file
from penstock.streams import Source

#: How many events may wait to be written: what is recorded in a sixth of a second at full speed.
QUEUE_EVENTS: Final = 32_768
#: The most that one call of `events` returns, in events and in bytes.
EVENTS_MAX: Final = 10_000
EVENTS_BYTES_MAX: Final = 256 * 1024 * 1024

_log = logging.getLogger("penstock.history")

_DAY_S: Final = 86_400.0


class Record(Protocol):
    """`Tap.record`."""

    def __call__(self, actor: str, kind: str, data: dict[str, Any]) -> None:
        """Take one event."""


class History:
    """What happened to actors, in one file: a chain in which nothing can be changed, removed or swapped unnoticed.

    ::

        async with History("history.db", keep_days=30) as history, ActorSystem(tap=history) as system:
            ...

    queue_events: how many events may wait to be written. on_full: what happens beyond it: ``"wait"``, actors handle no
    further message until there is room, or ``"drop"``, events are left out and an ``unrecorded`` event says how many.
    keep_days, keep_bytes: older events, and those for which the file has no room, are removed while others are recorded; None
    keeps all. The last block of events always stays.
    on_problem: called on the loop with a text when the history cannot be written (a full disk, a file that is locked), and
    with None when it can again. Actors go on meanwhile: `queue_events` events are kept, the others are counted.

    Entering raises `FailedPrecondition` when another process writes the file or it is no history, and `Unavailable` when it
    cannot be opened. A file whose end is torn is put aside, and a ``torn`` event in the new one says where. Leaving writes what
    waits.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        queue_events: int = QUEUE_EVENTS,
        on_full: OnFull = "wait",
        keep_days: float | None = None,
        keep_bytes: int | None = None,
        on_problem: OnProblem | None = None,
    ) -> None:
        if queue_events < 1:
            raise ValueError(f"queue_events is {queue_events}; a history needs room for one event")
        if on_full not in {"wait", "drop"}:
            raise ValueError(f"on_full is {on_full!r}; it is 'wait' or 'drop'")
        self.path = Path(path)
        self.queue_events = queue_events
        self._archive = Archive(self.path, Retention(None if keep_days is None else keep_days * _DAY_S, keep_bytes))
        self._recorder = Recorder(queue_events=queue_events, on_full=on_full, on_problem=on_problem)
        self._queue = self._recorder.queue
        self.record: Record = self._queue.record  # not a method: it would cost a twentieth of what recording costs

    def __repr__(self) -> str:
        state = self.problem or ("closed" if self._recorder.closed else "open")
        return f"<History {self.path} {state}, {self._queue.committed} events, {self.waiting} waiting>"

    # ── the tap ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def full(self) -> bool:
        """Whether no more should be recorded before `room` has returned."""
        return self._queue.next >= self._queue.full_at

    async def room(self) -> None:
        """Wait until more can be recorded. Safe to cancel."""
        await self._recorder.wait_for_room()

    # ── how it stands ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def problem(self) -> str | None:
        """Why the history cannot be written now, or None."""
        return self._queue.problem

    @property
    def next_offset(self) -> int:
        """The offset that the next event will have: `stream` from here brings only what is new."""
        return self._queue.next

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return self._queue.next - self._queue.committed

    @property
    def unrecorded(self) -> int:
        """How many events were left out and are not yet reported in the chain."""
        return self._queue.unrecorded

    async def flush(self) -> None:
        """Wait until all that was recorded is in the file. Raises `Unavailable` when it cannot be written. Safe to cancel."""
        await self._recorder.flush()

    # ── questions ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def events(  # noqa: PLR0913 - each is one way to say which events
        self,
        actor: str | None = None,
        *,
        kinds: Iterable[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        after: float | None = None,
        before: float | None = None,
        search: str | None = None,
        limit: int = 1000,
        last: bool = False,
    ) -> list[HistoryEvent]:
        """Return the first `limit` events that fit, or with ``last=True`` the last ones; in order.

        since, until: offsets, from the one and before the other. after, before: times in seconds since 1970.
        search: a text in the event as it is stored, whatever the case of a to z. limit: up to `EVENTS_MAX`; for more,
        ask again with ``since`` after the last offset, or use `stream`. Fewer than `limit` means that there are no more.
        Raises `OutOfRange` when retention has removed `since`, `DataLoss` when the file cannot be read, `ResourceExhausted`
        when the events are larger than `EVENTS_BYTES_MAX`. Safe to cancel.
        """
        if not 1 <= limit <= EVENTS_MAX:
            raise InvalidArgument(f"limit is {limit}; a call returns 1 to {EVENTS_MAX} events")
        with contextlib.suppress(Unavailable):  # what is in the file can be read all the same
            await self.flush()
        wanted = make_query(actor, kinds, after=after, before=before, search=search)
        found: list[HistoryEvent] = []
        size = 0
        while True:
            missing = limit - len(found)
            archive = self._archive
            page = await (archive.last(wanted, until, missing) if last else archive.page(wanted, since, missing, until))
            found = page.events + found if last else found + page.events
            size += page.size
            if page.end or len(found) >= limit:
                return found
            if size > EVENTS_BYTES_MAX:
                raise ResourceExhausted(f"{len(found)} events have {size} bytes (EVENTS_BYTES_MAX); ask for fewer at a time")
            since, until = (since, page.next) if last else (page.next, until)

    async def unended(self) -> list[str]:
        """Return the actors that were alive when the program that recorded them ended, as far as is in the file.

        Safe to cancel. Raises `DataLoss` when the file cannot be read.
        """
        found, left = await self._archive.unended()
        if left:
            _log.info(
                "%d actors were last heard of long ago in the history %s; whether they ended is not looked up", left, self.path
            )
        return found

    def stream(
        self,
        actor: str | None = None,
        *,
        since: int | None = None,
        kinds: Iterable[str] | None = None,
        search: str | None = None,
        follow: bool = True,
    ) -> Source[HistoryEvent]:
        """Return what is recorded from offset `since` on, and then what is recorded while you read: a durable source.

        Keep ``event.offset + 1`` with your work and give it as `since` after a restart: nothing is skipped or doubled.
        since: None is the first event there is. follow: False ends the stream after what has been recorded now.
        Nothing is read ahead of the consumer but one page; a consumer that is slower than retention gets `OutOfRange`, which
        says the first offset there is. Closing the history fails the stream with `Unavailable`.
        """
        wanted = make_query(actor, kinds, search=search)
        return HistorySource(self._recorder, self._archive.page, wanted, since, follow=follow)

    async def verify(self) -> Verification:
        """Check the whole chain, as far as it is in the file. Cancelling it stops the check."""
        with contextlib.suppress(Unavailable):
            await self.flush()
        stop = threading.Event()
        try:
            return await asyncio.to_thread(verify_file, self.path, stop=stop)
        finally:
            stop.set()

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        if not self._recorder.closed:
            raise FailedPrecondition(f"the history {self.path} is open already")
        begun = await self._archive.open()
        self._recorder.start(begun.file, self._archive.writing, begun.offset)
        if begun.torn is not None:
            self.record("", "torn", begun.torn)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._recorder.stop()
        finally:
            self._archive.close()
