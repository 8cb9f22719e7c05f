"""`Files`: one folder, read and written in chunks, with SHA-256. This module never touches a path outside of its folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

import penstock

#: A chunk is an item and fits a frame: large enough that an item costs nothing, small enough that others get in between.
CHUNK_BYTES: Final = 240 * 1024
#: What one caller may put on this disk at a time.
UPLOAD_BYTES_MAX: Final = 256 * 1024 * 1024


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
