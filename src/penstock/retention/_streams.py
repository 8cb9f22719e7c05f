"""`Streams`: the retained streams of one event loop, by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from penstock._upkeep import upkeep
from penstock.errors import AlreadyExists, NotFound, ResourceExhausted, Unavailable
from penstock.retention._kept import KeptStream
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

#: The attribute of an event loop that has its streams: a table beside it would keep the loop alive, to which they refer.
_ATTRIBUTE: Final = "_penstock_retained"


class OpenFile(NamedTuple):
    """A file of durable streams: its store, and a function that makes a new one in it of a name, limits and an item type."""

    store: Store
    make: Callable[[str, Limits, Any], KeptStream]


class Streams:
    """The retained streams of one event loop, which ends them: it cancels their writers, and then closes their files.

    named: the streams by their names. size: the bytes that all of them keep in memory.
    """

    def __init__(self) -> None:
        self.thread = get_ident()
        self.named: dict[str, Retained[Any]] = {}
        self.size = 0
        self._awaited: dict[str, Bell] = {}
        self._ended: dict[KeptStream, asyncio.TimerHandle] = {}  # in the order of their ends
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
            for timer in self._ended.values():
                timer.cancel()
            for file in self._files.values():
                await file.store.aclose()

    # ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str) -> Retained[Any]:
        """Return the stream with this name. Raises `NotFound`."""
        stream = self.named.get(name)
        if stream is None:
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
            if file is not None and file.store is not getattr(stream._kept, "store", None):
                raise AlreadyExists(f"stream {name!r} is kept already, but not in {durable}")
            return stream
        if len(self.named) >= RETAINED_MAX:
            self._forget_first()
        if len(self.named) >= RETAINED_MAX:
            raise ResourceExhausted(f"{len(self.named)} retained streams are open (RETAINED_MAX); close some")
        return self._put(KeptStream(name, limits, item_type, self) if file is None else file.make(name, limits, item_type))

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
                self._check_names(path, streams)
            except BaseException:
                store.abort()
                raise
            file = self._files[path] = OpenFile(store, partial(StreamInFile, shelf=self, store=store))
            for kept in streams:
                self._take_up(kept)
        return file

    def _check_names(self, path: Path, streams: Sequence[KeptStream]) -> None:
        twice = next((kept.name for kept in streams if kept.name in self.named), None)
        if twice is not None:
            raise AlreadyExists(f"stream {twice!r} is in {path}, and this program keeps another stream of that name")

    def _take_up(self, kept: StreamInFile) -> None:
        self._put(kept)
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
        if self.size + wanted > RETAINED_BYTES_MAX:
            self._spare(wanted)
        if self.size + wanted > RETAINED_BYTES_MAX:
            raise ResourceExhausted(
                f"an item of {kept.label} has no room: the {len(self.named)} retained streams of this program keep "
                f"{self.size} bytes of {RETAINED_BYTES_MAX} (RETAINED_BYTES_MAX); give them a smaller max_bytes, or end some"
            )

    def _forget_first(self) -> None:
        """Forget the stream in memory that has ended first. One in a file stays there for its time."""
        first = next((kept for kept in self._ended if not kept.spare()), None)
        if first is not None:
            self.forget(first)

    def _spare(self, size: int) -> None:
        """Make room for `size` bytes: of the streams that have ended, those in memory are forgotten, the first at first."""
        for kept in tuple(self._ended):
            if self.size + size <= RETAINED_BYTES_MAX:
                return
            if kept.log.size and not kept.spare():
                self.forget(kept)

    def ended(self, kept: KeptStream) -> None:
        """Note that the followers of a stream are told of its end: it is forgotten after its `ttl_s`."""
        self._ended[kept] = asyncio.get_running_loop().call_later(kept.ttl_left_s, self.forget, kept)

    @upkeep
    def forget(self, kept: KeptStream) -> None:
        """Forget a stream that has ended, with its items."""
        self._ended.pop(kept).cancel()
        del self.named[kept.name]
        kept.forget()


def _begin(generator: AsyncGenerator[None, None]) -> None:
    """Run an async generator to its first ``yield``, without waiting."""
    try:
        generator.__anext__().send(None)
    except StopIteration:
        return


def streams_here() -> Streams:
    """Return the streams of the running event loop. Raises `RuntimeError` without one."""
    loop = asyncio.get_running_loop()
    streams: Streams | None = getattr(loop, _ATTRIBUTE, None)
    if streams is None:
        streams = Streams()
        setattr(loop, _ATTRIBUTE, streams)
    return streams
