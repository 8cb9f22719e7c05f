"""Standard input and output as ends of streams: read on demand, written before more is taken. It never blocks the loop.

The descriptors stay blocking: making them non-blocking would change them for the other programs on the same terminal. One
thread for each descriptor does one blocking call at a time. It is a daemon thread, so a call that never returns does not keep
the process alive.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec

from penstock.cli._run import harmless_json, this_task
from penstock.errors import InvalidArgument
from penstock.protocol import Settings

STDIN: Final = 0
STDOUT: Final = 1

#: Bytes that are read at a time, and so how far reading may be ahead of demand: the size of a pipe.
STDIN_READ_BYTES: Final = 64 * 1024
#: The longest line or argument: the default limit of the other side for one item.
TEXT_BYTES_MAX: Final = Settings().max_item_bytes

#: How many bytes an error quotes of a text that is not JSON.
QUOTED_MAX: Final = 60

#: For errors about a text without quotes.
QUOTES_HINT: Final = "; a text is written in two pairs of quotes: '\"text\"'"

_check = msgspec.json.Decoder(msgspec.Raw).decode


class InvalidInput(InvalidArgument):
    """Standard input is not JSON, or too long."""


class BlockingThread:
    """A thread for blocking calls, one at a time."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()  # holds one at most: `run` waits for the result
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run `work` in the thread and return its result. Cancelling it abandons the call, which may still go on."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def settle(error: Exception | None, result: Any) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)

        def job() -> None:
            error, result = _outcome(work, args)
            with suppress(RuntimeError):  # the loop has closed: the result is not needed
                loop.call_soon_threadsafe(settle, error, result)

        self._start()
        self._jobs.put(job)
        return await done

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="penstock-stdio", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()


def _outcome(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Exception | None, Any]:
    try:
        return None, work(*args)
    except Exception as error:  # noqa: BLE001 - raised where the result is awaited
        return error, None


# ── standard input ────────────────────────────────────────────────────────────────────────────────────────────────────


async def items(descriptor: int = STDIN) -> AsyncIterator[msgspec.Raw]:
    """Iterate over the JSON values of an input, one a line; empty lines are skipped.

    Raises `InvalidInput` with the number of a line that is not JSON. Cancelling it may lose the lines that were read last.
    """
    async for number, line in lines(descriptor):
        if line and not line.isspace():
            yield json_value(line, f"line {number} of the input")


async def argument(descriptor: int = STDIN) -> bytes:
    """Read an input to its end. Raises `InvalidInput` when it is too long for an argument."""
    thread, parts, size = BlockingThread(), [], 0
    while part := await thread.run(_read, descriptor):
        parts.append(part)
        size += len(part)
        if size > TEXT_BYTES_MAX:
            raise InvalidInput(f"the input is longer than {TEXT_BYTES_MAX} bytes, too long for one argument")
    return b"".join(parts)


def json_value(text: bytes, name: str) -> msgspec.Raw:
    """Check that `text` is one JSON value and return it unchanged. Raises `InvalidInput` that begins with `name`."""
    try:
        if not text.isascii():
            text.decode()
        return _check(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        quoted = text[:QUOTED_MAX].decode(errors="replace").strip()
        raise InvalidInput(f"{name} is not valid JSON: {error}: {quoted}{'…' if len(text) > QUOTED_MAX else ''}") from None


async def lines(descriptor: int = STDIN) -> AsyncIterator[tuple[int, bytes]]:
    """Iterate over the lines with their numbers, from 1; the last line may lack its line end."""
    thread, number = BlockingThread(), 1
    begun: list[bytes] = []
    size = 0
    while part := await thread.run(_read, descriptor):
        first, *rest = part.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > TEXT_BYTES_MAX:
            raise InvalidInput(f"line {number} of the input is longer than {TEXT_BYTES_MAX} bytes, too long for one item")
        if rest:
            for line in (b"".join(begun), *rest[:-1]):
                yield number, line
                number += 1
            begun, size = [rest[-1]], len(rest[-1])
    if size:
        yield number, b"".join(begun)


def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, STDIN_READ_BYTES)
        except BlockingIOError:  # another program made the terminal non-blocking
            select.select([descriptor], [], [])


def is_terminal(descriptor: int) -> bool:
    """Whether a descriptor is a terminal."""
    return os.isatty(descriptor)


# ── standard output ───────────────────────────────────────────────────────────────────────────────────────────────────


class Output:
    """Writes JSON values, one a line, or indented when `pretty`, without a buffer."""

    def __init__(self, descriptor: int = STDOUT, *, pretty: bool = False) -> None:
        self._descriptor = descriptor
        self._pretty = pretty
        self._terminal = is_terminal(descriptor)
        self._writer = BlockingThread()

    async def write(self, values: Sequence[msgspec.Raw]) -> None:
        """Write encoded values; they are out when it returns.

        Raises `BrokenPipeError` when the reader has gone. Cancelling it may write only some of them.
        """
        await self._writer.run(_write, self._descriptor, self._text(values))

    def _text(self, values: Sequence[msgspec.Raw]) -> bytes:
        """Return the bytes to write: without control characters on a terminal, else one value a line unless indented."""
        text = b"\n".join([*values, b""])
        if self._terminal:
            indent = 2 if self._pretty else -1
            texts = [msgspec.json.format(bytes(value), indent=indent).decode(errors="replace") for value in values]
            return b"\n".join([*(harmless_json(value).encode() for value in texts), b""])
        if self._pretty:
            return b"\n".join([*(msgspec.json.format(bytes(value), indent=2) for value in values), b""])
        if text.count(b"\n") != len(values):  # another implementation may indent its JSON
            return b"\n".join([*(msgspec.json.format(bytes(value), indent=-1) for value in values), b""])
        return text

    @asynccontextmanager
    async def until_broken(self) -> AsyncIterator[None]:
        """Raise `BrokenPipeError` out of the block as soon as the reader has gone, even while nothing is written."""
        loop, task, broken = asyncio.get_running_loop(), this_task(), False

        def look() -> None:  # the loop reports an error as readability
            nonlocal broken
            loop.remove_reader(self._descriptor)
            if _is_broken(self._descriptor):
                broken = True
                task.cancel()

        watched = _is_pipe(self._descriptor)
        if watched:
            blocking = os.get_blocking(self._descriptor)
            loop.add_reader(self._descriptor, look)
            os.set_blocking(self._descriptor, blocking)  # uvloop changes it
        try:
            yield
        except asyncio.CancelledError:
            if broken and task.uncancel() == 0:
                raise BrokenPipeError from None
            raise
        finally:
            if watched:
                loop.remove_reader(self._descriptor)


def _write(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another program made the terminal non-blocking
            select.select([], [descriptor], [])


def _is_pipe(descriptor: int) -> bool:
    return sys.platform != "win32" and stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def _is_broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _descriptor, events in poll.poll(0))
