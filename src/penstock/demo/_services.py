"""The services of the demo, as a user would write them: `Numbers`, a fast producer; `Chat`, a room; `Files`, a folder."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

import penstock
from penstock._files import open_regular

#: Runs of `Numbers.count` that are kept; the oldest is dropped.
RUNS_MAX: Final = 1024
#: Lines that may wait for a participant; then the speaker waits too …
LINES_WAITING_MAX: Final = 64
#: … for this long. A participant without room is removed then, so that one sleeper does not silence the others.
LINE_ROOM_S: Final = 1.0
#: A chunk is an item and fits a frame: large enough to be cheap, small enough that other streams get in between.
CHUNK_BYTES: Final = 240 * 1024
#: The largest upload.
UPLOAD_BYTES_MAX: Final = 256 * 1024 * 1024


# ── a fast producer ────────────────────────────────────────────────────────────────────────────────────────────────────


class Number(penstock.Struct, frozen=True, gc=False):
    """The `n`th number, and when it was made, by the clock that all processes of a machine share (`time.perf_counter_ns`)."""

    n: int
    made_ns: int


class _CountRun:
    """The state of one run of `Numbers.count`."""

    def __init__(self) -> None:
        self.made = 0
        self.freed_ns = 0
        self.freed = asyncio.Event()


class Numbers:
    """Endless numbers, as fast as the consumer allows."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _CountRun] = OrderedDict()

    async def count(self, run: str) -> AsyncIterator[Number]:
        """Count up from 1. `run` names this run for the other methods."""
        state = self._begin(run)
        try:
            while True:
                state.made += 1
                yield Number(state.made, time.perf_counter_ns())
        finally:
            state.freed_ns = time.perf_counter_ns()
            state.freed.set()

    async def made(self, run: str) -> int:
        """Return how many numbers that run has made so far."""
        return self._run(run).made

    async def freed_ns(self, run: str) -> int:
        """Wait for the clean-up of that run, and return its time by the clock of `Number.made_ns`."""
        state = self._run(run)
        await state.freed.wait()
        return state.freed_ns

    async def never(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()

    def _begin(self, run: str) -> _CountRun:
        state = self._runs[run] = _CountRun()
        if len(self._runs) > RUNS_MAX:
            self._runs.popitem(last=False)
        return state

    def _run(self, run: str) -> _CountRun:
        state = self._runs.get(run)
        if state is None:
            raise penstock.NotFound(f"unknown run {run!r}")
        return state


# ── a room to talk in ───────────────────────────────────────────────────────────────────────────────────────────────────


class ChatLine(penstock.Struct, frozen=True):
    """A line of a participant; a line of the room itself has an empty name."""

    name: str
    text: str


class Chat:
    """One room. All participants hear all lines in the same order, their own included."""

    def __init__(self) -> None:
        self._room: dict[str, penstock.Sink[ChatLine]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def join(self, name: str, lines: AsyncIterator[str]) -> AsyncIterator[ChatLine]:
        """Join the room: say `lines`, and hear the lines of all. The end of `lines` leaves the room."""
        if name in self._room:
            raise penstock.AlreadyExists(f"{name!r} is in the room already")
        pipe: tuple[penstock.Sink[ChatLine], penstock.Source[ChatLine]] = penstock.pipe(buffer_size=LINES_WAITING_MAX)
        sink, source = pipe
        self._room[name] = sink
        listening = asyncio.create_task(self._listen(name, sink, lines))
        try:
            await self._broadcast(ChatLine("", f"{name} came in"))
            async for line in source:
                yield line
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await self._leave(name, sink)

    async def _listen(self, name: str, sink: penstock.Sink[ChatLine], lines: AsyncIterator[str]) -> None:
        async for text in lines:
            await self._broadcast(ChatLine(name, text))
        await self._leave(name, sink)

    async def _broadcast(self, line: ChatLine) -> None:
        """Send a line to all participants; remove those that have no room for too long."""
        async with self._one_at_a_time:
            for name, sink in list(self._room.items()):
                try:
                    await asyncio.wait_for(sink.send(line), LINE_ROOM_S)
                except TimeoutError:
                    self._remove(name, sink)
                    sink.fail(penstock.ResourceExhausted(f"{name} made no room for a line in {LINE_ROOM_S:g} s"))
                except (penstock.StreamCancelled, penstock.StreamClosed):
                    self._remove(name, sink)  # on the way out

    async def _leave(self, name: str, sink: penstock.Sink[ChatLine]) -> None:
        if self._remove(name, sink):
            await self._broadcast(ChatLine("", f"{name} left"))
            sink.close()

    def _remove(self, name: str, sink: penstock.Sink[ChatLine]) -> bool:
        """Remove a participant, unless another one has joined under that name by now."""
        present = self._room.get(name) is sink
        if present:
            del self._room[name]
        return present


# ── a folder, read and written in chunks; never a path outside of it ────────────────────────────────────────────────────


class FileInfo(penstock.Struct, frozen=True):
    """A file on the disk: its size in bytes and its SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


class UploadSummary(penstock.Struct, frozen=True):
    """An upload that has arrived: its size in bytes, its SHA-256 in hexadecimal, its number of chunks."""

    name: str
    size: int
    sha256: str
    chunks: int


class Files:
    """The files of one folder. A path that leads outside is refused with `PermissionDenied`.

    Reads and writes run in threads, so that a slow disk does not delay other calls. The files are buffered because buffered
    files have a lock: when a call is cancelled while a thread still reads, the file is not closed under that thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def info(self, path: str) -> FileInfo:
        """Return size and checksum of a file."""
        file = self._inside(path)
        return await asyncio.to_thread(read_info, file, path)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield a file chunk by chunk, read as the consumer asks for it."""
        with self._open(path, "rb") as opened:
            while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
                yield chunk

    async def upload(self, name: str, chunks: AsyncIterator[bytes]) -> UploadSummary:
        """Write a new file from the chunks. An incomplete file is removed."""
        with self._open(name, "xb") as opened:
            try:
                return await _receive(name, opened, chunks)
            except BaseException:
                self._inside(name).unlink(missing_ok=True)
                raise

    def _open(self, path: str, mode: Literal["rb", "xb"]) -> BinaryIO:
        """Open a file. Not in a thread: a call that is cancelled meanwhile would leave the file open."""
        try:
            return open(self._inside(path), mode, opener=open_regular)
        except FileExistsError:
            raise penstock.AlreadyExists(f"{path!r} exists already") from None
        except OSError as error:
            raise penstock.NotFound(f"{path!r}: {error.strerror}") from None

    def _inside(self, path: str) -> Path:
        """Return the resolved path, when it is inside of the folder."""
        try:
            resolved = (self._folder / path).resolve()
        except (OSError, ValueError) as error:
            raise penstock.InvalidArgument(f"{path!r} is not a path: {error}") from None
        if resolved == self._folder or not resolved.is_relative_to(self._folder):
            raise penstock.PermissionDenied(f"{path!r} is outside of the served folder")
        return resolved


def read_info(file: Path, path: str) -> FileInfo:
    """Read a file once for its checksum. Raises `NotFound`."""
    try:
        with open(file, "rb", opener=open_regular) as opened:
            digest = hashlib.file_digest(opened, "sha256")
            return FileInfo(path, opened.tell(), digest.hexdigest())
    except OSError as error:
        raise penstock.NotFound(f"{path!r}: {error.strerror}") from None


async def _receive(name: str, file: BinaryIO, chunks: AsyncIterator[bytes]) -> UploadSummary:
    """Write the chunks to a file; return their sum."""
    digest, size, count = hashlib.sha256(), 0, 0
    async for chunk in chunks:
        size, count = size + len(chunk), count + 1
        if size > UPLOAD_BYTES_MAX:
            raise penstock.ResourceExhausted(f"{name!r} is larger than {UPLOAD_BYTES_MAX} bytes (UPLOAD_BYTES_MAX)")
        await asyncio.to_thread(file.write, chunk)
        digest.update(chunk)
    return UploadSummary(name, size, digest.hexdigest(), count)
