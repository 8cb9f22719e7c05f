"""`Streams`: the retained streams of one event loop, by name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Container, Sequence
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakSet

from penstock._per_loop import of_loop
from penstock._upkeep import upkeep
from penstock.errors import AlreadyExists, NotFound, ResourceExhausted, Unavailable
from penstock.retention._kept import KeptStream, is_unclaimed
from penstock.retention._lives import Lives
from penstock.retention._log import ITEM_BYTES, Limits
from penstock.retention._stream import Retained
from penstock.retention._writer import Items, context_of_writer, write
from penstock.streams import Bell

if TYPE_CHECKING:
    from penstock.retention.durable import Store, StreamInFile

#: The limits of all streams of one event loop together. When they are reached, streams that have ended are forgotten before
#: their time, those that ended first at first; beyond that, nothing more is taken.
RETAINED_MAX: Final = 16_384
RETAINED_BYTES_MAX: Final = 512 * 1024 * 1024

#: Characters of a name.
NAME_CHARACTERS_MAX: Final = 256


#: Seconds after the opening of a file until the log names the open streams that the program has not asked for.
UNCLAIMED_S: Final = 10.0

_log = logging.getLogger("penstock.retained")


class OpenFile(NamedTuple):
    """A file of durable streams: its store, and a function that makes a new one in it of a name, limits and an item type."""

    store: Store
    make: Callable[[str, Limits, Any], KeptStream]


class Streams:
    """The retained streams of one event loop, which ends them: it cancels their writers, and then closes their files.

    named: the streams by their names. size: the bytes that all of them keep in memory. watchers: called when one has more to
    read. readers: see `Shelf`. lives: how long each of them is kept.
    """

    def __init__(self) -> None:
        self.thread = get_ident()
        self.named: dict[str, Retained[Any]] = {}
        self.size = 0
        self.watchers: list[Callable[[KeptStream], None]] = []
        self.readers: WeakSet[Any] = WeakSet()
        self.lives = Lives(self.named)
        self._awaited: dict[str, Bell] = {}
        self._files: dict[Path, OpenFile] = {}
        self._writers: set[asyncio.Task[None]] = set()
        self._beginning: set[Retained[Any]] = set()
        self._closed = False
        self._life = self._live()
        _begin(self._life)

    async def _live(self) -> AsyncGenerator[None, None]:
        """Wait for the end of the event loop, which closes the generators that have begun, and close all files."""
        try:
            yield
        finally:
            self._closed = True
            self.lives.close()
            for file in self._files.values():
                await file.store.aclose()

    # ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str) -> Retained[Any]:
        """Return the stream with this name. Raises `NotFound`."""
        stream = self.named.get(name)
        if stream is None or stream._kept.notes.deleted:
            raise NotFound(f"stream {name!r} is not kept here: it has not begun, or is forgotten", started=False)
        return stream

    def make(self, name: str, limits: Limits, item_type: Any, durable: Path | None) -> Retained[Any]:
        """Make a stream, or return the one that has the name.

        Raises `ResourceExhausted` when there are too many, `AlreadyExists` for one that is kept elsewhere, and as `open`.
        """
        if self._closed:
            raise Unavailable(f"stream {name!r} cannot begin: its event loop ends")
        file = None if durable is None else self.open(durable)
        stream = self.named.get(name)
        if stream is not None:
            if stream._kept.notes.deleted:
                raise AlreadyExists(f"stream {name!r} was deleted, and its name is taken as long as there are forks of it")
            if file is not None and file.store is not getattr(stream._kept, "store", None):
                raise AlreadyExists(f"stream {name!r} is kept already, but not in {durable}")
            return stream
        self._make_place()
        return self._put(KeptStream(name, limits, item_type, self) if file is None else file.make(name, limits, item_type))

    def fork(self, source: Retained[Any], name: str, before: int) -> Retained[Any]:
        """Make a stream that begins with the items of another one before an offset, where that one is kept.

        The item type and the limits are those of the source. Raises `ResourceExhausted`, `AlreadyExists` for a name in use, and
        `ValueError` for one that no stream can have.
        """
        origin = source._kept
        if checked_name(name) in self.named:
            raise AlreadyExists(f"stream {name!r} is kept already")
        self._make_place()
        store: Store | None = getattr(origin, "store", None)
        file = next((file for file in self._files.values() if file.store is store), None)
        make = partial(KeptStream, shelf=self) if file is None else file.make
        if file is None:
            self._reserve(origin.log.size, f"a fork of {origin.label}")
        kept: KeptStream = make(name, origin.limits, origin.item_type)
        kept.copy_from(origin, before)
        return self._put(kept)

    def _make_place(self) -> None:
        """Make place for one stream more. Raises `ResourceExhausted`."""
        if len(self.named) >= RETAINED_MAX:
            self.lives.forget_first()
        if len(self.named) >= RETAINED_MAX:
            raise ResourceExhausted(f"{len(self.named)} retained streams are open (RETAINED_MAX); close some")

    def _put(self, kept: KeptStream) -> Retained[Any]:
        stream: Retained[Any] = Retained(kept, self.make_room)
        self.named[kept.name] = stream
        awaited = self._awaited.pop(kept.name, None)
        if awaited is not None:
            awaited.notify()
        return stream

    async def appear(self, name: str) -> None:
        """Wait until a stream has this name. Safe to cancel."""
        while name not in self.named:
            bell = self._awaited.setdefault(name, Bell())
            try:
                await bell.wait()
            finally:
                if not bell.waiting:
                    self._awaited.pop(name, None)

    def open(self, path: Path) -> OpenFile:
        """Open a file of durable streams, unless it is open, and take up its streams. It blocks for some milliseconds.

        Raises `FailedPrecondition` for a file of another kind or of another process, `Unavailable` for one that cannot be
        opened, `DataLoss` for a damaged one, `AlreadyExists` for one with a stream whose name is in use.
        """
        path = path.resolve()
        file = self._files.get(path)
        if file is None:
            from penstock.retention.durable import Store, StreamInFile  # with its database, at its first use

            store = Store(path)
            try:
                streams = [StreamInFile(row.name, row.limits, None, self, store, row=row) for row in store.rows]
                _check_names(path, streams, self.named)
            except BaseException:
                store.abort()
                raise
            file = self._files[path] = OpenFile(store, partial(StreamInFile, shelf=self, store=store))
            for kept in streams:
                self._take_up(kept)
            asyncio.get_running_loop().call_later(UNCLAIMED_S, _tell_unclaimed, path, streams)
            self.lives.sweep()
        return file

    def _take_up(self, kept: StreamInFile) -> None:
        self._put(kept)
        self.lives.begin(kept)
        if kept.notes.deleted:
            return
        if kept.told:
            self.ended(kept)
        else:
            asyncio.get_running_loop().call_later(kept.limits.ttl_s, kept.abandon)

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, stream: Retained[Any], items: Items) -> None:
        """Let `items` write the stream, in a task that ends with them, with the stream, or with the event loop."""
        if stream in self._beginning:  # by the first step of its writer, an eager task
            return
        self._beginning.add(stream)
        try:
            task = asyncio.get_running_loop().create_task(write(stream, items), context=context_of_writer())
        finally:
            self._beginning.discard(stream)
        if not task.done():  # an eager task may have ended here
            stream._writer = task
            self._writers.add(task)
            task.add_done_callback(self._writers.discard)

    def make_room(self, kept: KeptStream, size: int) -> None:
        """Make room for an item of `size` bytes. Raises `ResourceExhausted` when streams that are open keep too much."""
        wanted = size + ITEM_BYTES
        wanted -= max(0, kept.log.size + wanted - kept.log.limits.max_bytes)  # the oldest items of the stream go
        self._reserve(wanted, f"an item of {kept.label}")

    def _reserve(self, wanted: int, label: str) -> None:
        if self.size + wanted > RETAINED_BYTES_MAX:
            self._spare(wanted)
        if self.size + wanted > RETAINED_BYTES_MAX:
            raise ResourceExhausted(
                f"{label} has no room: the {len(self.named)} retained streams of this program keep "
                f"{self.size} bytes of {RETAINED_BYTES_MAX} (RETAINED_BYTES_MAX); give them a smaller max_bytes, or end some"
            )

    def _spare(self, size: int) -> None:
        """Make room for `size` bytes: of the streams that have ended, those in memory are forgotten, the first at first."""
        for kept in tuple(self.lives.ended):
            if self.size + size <= RETAINED_BYTES_MAX:
                return
            if kept.log.size and not kept.spare():
                self.lives.forget(kept)

    def ended(self, kept: KeptStream) -> None:
        """Note that the followers of a stream are told of its end: it is forgotten after its `ttl_s`."""
        self.lives.end(kept)


def checked_name(name: Any) -> str:
    """Return the name of a stream. Raises `ValueError` for one that no stream can have."""
    if isinstance(name, str) and 1 <= len(name) <= NAME_CHARACTERS_MAX and name.isprintable():
        return name
    raise ValueError(
        f"the name of a retained stream is {name!r:.300}; it takes 1 to {NAME_CHARACTERS_MAX} printable characters"
    )


def _check_names(path: Path, streams: Sequence[KeptStream], named: Container[str]) -> None:
    twice = next((kept.name for kept in streams if kept.name in named), None)
    if twice is not None:
        raise AlreadyExists(f"stream {twice!r} is in {path}, and this program keeps another stream of that name")


@upkeep
def _tell_unclaimed(path: Path, streams: Sequence[KeptStream]) -> None:
    """Log the open streams of an earlier run that nothing writes: their readers wait in vain."""
    names = [kept.name for kept in streams if is_unclaimed(kept)]
    if names:
        _log.warning(
            "%d streams of %s were open when its last program ended, and this one has not asked for them: %.200s. Give each "
            "its writer by penstock.retained(name, ...); they fail when their ttl_s has passed",
            *(len(names), path, ", ".join(map(repr, names))),
        )


def _begin(generator: AsyncGenerator[None, None]) -> None:
    """Run an async generator to its first ``yield``, without waiting."""
    try:
        generator.__anext__().send(None)
    except StopIteration:
        return


def streams_here() -> Streams:
    """Return the streams of the running event loop. Raises `RuntimeError` without one."""
    return of_loop("_penstock_streams", Streams)
