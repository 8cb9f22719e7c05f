"""The history of a node: it records, answers queries, streams and verifies. The event loop never accesses the file itself."""

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

#: How many events may wait to be written: about a sixth of a second at full speed.
QUEUE_EVENTS: Final = 32_768
#: The largest result of one call of `events`, in events and in bytes.
EVENTS_MAX: Final = 10_000
EVENTS_BYTES_MAX: Final = 256 * 1024 * 1024

_log = logging.getLogger("penstock.history")

_DAY_S: Final = 86_400.0


class Record(Protocol):
    """The type of `History.record`, which is `penstock.observe.Tap.record`."""

    def __call__(self, actor: str, kind: str, data: dict[str, Any]) -> None:
        """Record one event of `actor`. Never waits and never raises; see `penstock.observe` for kinds and their data."""


class History:
    """A record of all events of actors in one file: a chain in which no event can be changed, removed or swapped unnoticed.

    ::

        async with History("history.db", keep_days=30) as history, ActorSystem(tap=history) as system:
            ...

    path: of a regular file, or of one that is made; links to it are followed. A relative path means the folder that is current
    when the `History` is made. queue_events: how many events may wait to be written (32,768 by default).
    on_full: the behaviour at that bound. ``"wait"`` (the default): actors handle no further message until there is room.
    ``"drop"``: events are left out, and an ``unrecorded`` event says how many.
    keep_days, keep_bytes: the retention. Older events, and the oldest events of a larger file, are removed while new ones are
    recorded. None (the default) keeps all. The last block of events always stays.
    on_problem: called on the loop with a text when the history cannot be written (a full disk, a locked file, a file that was
    removed or renamed), and with None when it can be written again. Actors continue meanwhile: `queue_events` events are kept,
    the others are counted.

    Entering the ``async with`` block raises `FailedPrecondition` when another process writes the file or when it is not a
    history or not a regular file, and `Unavailable` when it cannot be opened. A file whose end is torn is renamed, and a
    ``torn`` event in the new file says to which name. Leaving the block writes the waiting events, as far as that is possible.
    The methods `events`, `unended` and `verify` may be called at the same time by many tasks. Raises `ValueError` for an option
    out of range.
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
        self.path = Path(path).resolve()
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
        """Whether a recorder should await `room` before it records more."""
        return self._queue.next >= self._queue.full_at

    async def room(self) -> None:
        """Wait until more events can be recorded. Returns at once when `full` is false. Cancelling it is safe."""
        await self._recorder.wait_for_room()

    # ── its state ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def problem(self) -> str | None:
        """The reason for which the history cannot be written now, or None."""
        return self._queue.problem

    @property
    def next_offset(self) -> int:
        """The offset that the next event will have: a `stream` since this offset brings only new events."""
        return self._queue.next

    @property
    def waiting(self) -> int:
        """How many recorded events are not yet written."""
        return self._queue.next - self._queue.committed

    @property
    def unrecorded(self) -> int:
        """How many events were left out and are not yet reported in the chain."""
        return self._queue.unrecorded

    async def flush(self) -> None:
        """Wait until all events that were recorded before this call are in the file. Cancelling it is safe.

        Raises `Unavailable` when they cannot be written, or when the history is closed before they are.
        """
        await self._recorder.flush()

    # ── queries ─────────────────────────────────────────────────────────────────────────────────────────────────────

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
        limit: int | None = None,
        last: bool = False,
    ) -> list[HistoryEvent]:
        """Return all events that match, in the order of their offsets: the first `limit`, or with ``last=True`` the last ones.

        actor: an address. kinds: any of these kinds. since, until: from one offset on, and before another one. after, before:
        from one time on, and before another one, in seconds since 1970. search: a text in the stored form of the event; the
        case of the letters a to z does not matter. None means no condition.
        limit: up to `EVENTS_MAX`; None is all, or an error when these are more. Fewer events than `limit` mean that no others
        match; for more, call it again with `since` after the last offset, or iterate over ``stream(follow=False)``.

        Raises `OutOfRange` when retention has removed `since`, `InvalidArgument` for a `limit` or `since` out of range,
        `DataLoss` when the file is damaged, `Unavailable` when the history is not open, and `ResourceExhausted` when the events
        are larger than `EVENTS_BYTES_MAX`, or more than `EVENTS_MAX` without a `limit`. Cancelling it is safe.
        """
        if limit is not None and not 1 <= limit <= EVENTS_MAX:
            raise InvalidArgument(f"limit is {limit}; a call returns 1 to {EVENTS_MAX} events")
        wanted = EVENTS_MAX + 1 if limit is None else limit
        with contextlib.suppress(Unavailable):  # the events in the file can still be read
            await self.flush()
        query = make_query(actor, kinds, after=after, before=before, search=search)
        events: list[HistoryEvent] = []
        size = 0
        while True:
            missing = wanted - len(events)
            ask = self._archive.last if last else self._archive.page
            page = await ask(query, since, missing, until)
            events = page.events + events if last else events + page.events
            size += page.size
            if len(events) > EVENTS_MAX:
                raise ResourceExhausted(
                    f"more than {EVENTS_MAX} events match (EVENTS_MAX); give a limit=, or iterate over stream(follow=False)"
                )
            if page.end or len(events) >= wanted:
                return events
            if size > EVENTS_BYTES_MAX:
                raise ResourceExhausted(f"{len(events)} events have {size} bytes (EVENTS_BYTES_MAX); ask for fewer at a time")
            since, until = (since, page.next) if last else (page.next, until)

    async def unended(self) -> list[str]:
        """Return the addresses of the actors without a ``stopped`` event after their last start, as far as the file says.

        After a crash of the node these are the actors that were alive. Actors whose last event is too long ago are not looked
        up, which is logged. Raises `DataLoss` when the file is damaged, and `Unavailable` when the history is not open.
        Cancelling it is safe.
        """
        actors, left = await self._archive.unended()
        if left:
            _log.info(
                "%d actors have had no event for long in the history %s; whether they ended is not looked up", left, self.path
            )
        return actors

    def stream(
        self,
        actor: str | None = None,
        *,
        since: int | None = None,
        kinds: Iterable[str] | None = None,
        search: str | None = None,
        follow: bool = True,
    ) -> Source[HistoryEvent]:
        """Return a durable source of the events from offset `since` on, followed by those that are recorded later.

        Store ``event.offset + 1`` with your results, and pass it as `since` after a restart: no event is skipped or doubled.
        actor, kinds, search: as in `events`. since: None (the default) is the first event of the file. follow: False ends the
        stream after the events that are recorded at the time of this call.

        At most one page of 256 events is read ahead of the consumer. Receiving raises `OutOfRange`, with the first offset of
        the file, when retention has removed the next event; `DataLoss` when the file is damaged; and `Unavailable` when the
        history is closed.
        """
        query = make_query(actor, kinds, search=search)
        return HistorySource(self._recorder, self._archive.page, query, since, follow=follow)

    async def verify(self) -> Verification:
        """Check the whole chain in the file, in a thread of its own, and return the result; see `Verification`.

        It takes about a second for a million events. Raises as `verify_file` does. Cancelling it stops the check.
        """
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
        opened = await self._archive.open()
        self._recorder.start(opened.file, self._archive.writing, opened.offset)
        if opened.torn is not None:
            self.record("", "torn", opened.torn)
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._recorder.stop()
        finally:
            self._archive.close()
