"""`Numbers`, `Chat` and `Files`, as a user would write them: a fast producer, a room to talk in, a folder.

This module never starts a server.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

import penstock

#: Runs of `Numbers.count` that are remembered; the oldest is forgotten.
RUNS_MAX: Final = 1024
#: Lines that may wait for a participant; then the speaker waits too …
LINES_WAITING_MAX: Final = 64
#: … for this long. A participant who makes no room is shown out, so that one who sleeps does not silence all others.
PATIENCE_S: Final = 1.0
#: A chunk is an item and fits a frame: large enough that an item costs nothing, small enough that others get in between.
CHUNK_BYTES: Final = 240 * 1024
#: What one caller may put on this disk at a time.
UPLOAD_BYTES_MAX: Final = 256 * 1024 * 1024


# ── a producer as fast as it is allowed to be ───────────────────────────────────────────────────────────────────────────


class Number(penstock.Struct, frozen=True, gc=False):
    """The `n`th number, and when it was made, by the clock that all processes of a machine share (`time.perf_counter_ns`)."""

    n: int
    made_ns: int


class _CountRun:
    """One run of `Numbers.count`, seen from outside."""

    def __init__(self) -> None:
        self.made = 0
        self.freed_ns = 0
        self.freed = asyncio.Event()


class Numbers:
    """Numbers without end, made as fast as the consumer allows."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _CountRun] = OrderedDict()

    async def count(self, run: str) -> AsyncIterator[Number]:
        """Count up from 1. `run` is the name to ask about it by."""
        seen = self._begin(run)
        try:
            while True:
                seen.made += 1
                yield Number(seen.made, time.perf_counter_ns())
        finally:
            seen.freed_ns = time.perf_counter_ns()
            seen.freed.set()

    async def made(self, run: str) -> int:
        """Return how many numbers that run has made until now."""
        return self._run(run).made

    async def freed_ns(self, run: str) -> int:
        """Return when the clean-up of that run was reached, by the clock of `Number.made_ns`; waits for it."""
        seen = self._run(run)
        await seen.freed.wait()
        return seen.freed_ns

    async def never(self) -> None:
        """Return never: a call that waits."""
        await asyncio.Event().wait()

    def _begin(self, run: str) -> _CountRun:
        seen = self._runs[run] = _CountRun()
        if len(self._runs) > RUNS_MAX:
            self._runs.popitem(last=False)
        return seen

    def _run(self, run: str) -> _CountRun:
        seen = self._runs.get(run)
        if seen is None:
            raise penstock.NotFound(f"there was no run {run!r}")
        return seen


# ── a room to talk in ───────────────────────────────────────────────────────────────────────────────────────────────────


class ChatLine(penstock.Struct, frozen=True):
    """What somebody said. The room itself has no name."""

    name: str
    text: str


class Chat:
    """One room. Everybody hears everything, in the same order, themselves included."""

    def __init__(self) -> None:
        self._room: dict[str, penstock.Sink[ChatLine]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def join(self, name: str, lines: AsyncIterator[str]) -> AsyncIterator[ChatLine]:
        """Say `lines` and hear what is said. Whoever ends their lines leaves."""
        if name in self._room:
            raise penstock.AlreadyExists(f"{name!r} is in the room already")
        pipe: tuple[penstock.Sink[ChatLine], penstock.Source[ChatLine]] = penstock.pipe(buffer_size=LINES_WAITING_MAX)
        sink, heard = pipe
        self._room[name] = sink
        listening = asyncio.create_task(self._listen(name, sink, lines))
        try:
            await self._tell(ChatLine("", f"{name} came in"))
            async for line in heard:
                yield line
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await self._leave(name, sink)

    async def _listen(self, name: str, sink: penstock.Sink[ChatLine], lines: AsyncIterator[str]) -> None:
        async for text in lines:
            await self._tell(ChatLine(name, text))
        await self._leave(name, sink)

    async def _tell(self, line: ChatLine) -> None:
        async with self._one_at_a_time:
            for name, sink in list(self._room.items()):
                try:
                    await asyncio.wait_for(sink.send(line), PATIENCE_S)
                except TimeoutError:
                    self._remove(name, sink)
                    sink.fail(penstock.ResourceExhausted(f"{name} made no room for a line in {PATIENCE_S:g} s"))
                except (penstock.StreamCancelled, penstock.StreamClosed):
                    self._remove(name, sink)  # on the way out

    async def _leave(self, name: str, sink: penstock.Sink[ChatLine]) -> None:
        if self._remove(name, sink):
            await self._tell(ChatLine("", f"{name} left"))
            sink.close()

    def _remove(self, name: str, sink: penstock.Sink[ChatLine]) -> bool:
        """Take somebody out of the room, unless another one of that name is in it by now."""
        here = self._room.get(name) is sink
        if here:
            del self._room[name]
        return here


# ── a folder, read and written in chunks; never a path outside of it ────────────────────────────────────────────────────


class FileInfo(penstock.Struct, frozen=True):
    """What a file is, read from the disk: its size in bytes and its SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


class UploadSummary(penstock.Struct, frozen=True):
    """What arrived: its size in bytes, its SHA-256 in hexadecimal, in how many chunks."""

    name: str
    size: int
    sha256: str
    chunks: int


class Files:
    """The files of one folder. A path that leads outside is refused with `PermissionDenied`.

    Reads and writes run in threads: a slow disk delays no other call. The files are buffered, because a buffered file has a
    lock: when a call is cancelled, its file is not closed, and its number given to another, under a thread that still reads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def info(self, path: str) -> FileInfo:
        """Return size and checksum of a file."""
        file = self._inside(path)
        return await asyncio.to_thread(read_info, file, path)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Send a file, chunk by chunk, read as the consumer asks for it."""
        with self._open(path, "rb") as opened:
            while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
                yield chunk

    async def upload(self, name: str, chunks: AsyncIterator[bytes]) -> UploadSummary:
        """Write a new file from the chunks that come. One that does not come whole is removed."""
        with self._open(name, "xb") as opened:
            try:
                return await _receive(name, opened, chunks)
            except BaseException:
                self._inside(name).unlink(missing_ok=True)
                raise

    def _open(self, path: str, mode: Literal["rb", "xb"]) -> BinaryIO:
        """Open a file. Not in a thread: a call that is cancelled meanwhile would leave it open, and a new one behind."""
        try:
            return self._inside(path).open(mode)
        except FileExistsError:
            raise penstock.AlreadyExists(f"{path!r} is here already") from None
        except OSError as error:
            raise penstock.NotFound(f"{path!r}: {error.strerror}") from None

    def _inside(self, path: str) -> Path:
        """Return the place of `path`, links followed, when that is inside of the folder."""
        try:
            place = (self._folder / path).resolve()
        except (OSError, ValueError) as error:
            raise penstock.InvalidArgument(f"{path!r} is no path: {error}") from None
        if place == self._folder or not place.is_relative_to(self._folder):
            raise penstock.PermissionDenied(f"{path!r} is outside of the folder that is served")
        return place


def read_info(file: Path, path: str) -> FileInfo:
    """Read a file once for its checksum. Raises `NotFound`."""
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
            return FileInfo(path, opened.tell(), digest.hexdigest())
    except OSError as error:
        raise penstock.NotFound(f"{path!r}: {error.strerror}") from None


async def _receive(name: str, file: BinaryIO, chunks: AsyncIterator[bytes]) -> UploadSummary:
    digest, size, count = hashlib.sha256(), 0, 0
    async for chunk in chunks:
        size, count = size + len(chunk), count + 1
        if size > UPLOAD_BYTES_MAX:
            raise penstock.ResourceExhausted(f"{name!r} is larger than {UPLOAD_BYTES_MAX} bytes (UPLOAD_BYTES_MAX)")
        await asyncio.to_thread(file.write, chunk)
        digest.update(chunk)
    return UploadSummary(name, size, digest.hexdigest(), count)
