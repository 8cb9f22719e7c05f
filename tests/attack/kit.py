"""The attacker's side: victims in processes of their own, raw sockets, and the figures of an attack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.attack.violations import H, Violation
from tests.attack.wire import GOAWAY, PING, PONG, STATUS, Frame, frame, pack, read_frames
from tests.house._source import ROOT

PATIENCE_S: Final = 20.0
#: How long an answer may take that perhaps never comes.
MOMENT_S: Final = 0.05
#: The numbers of the `PING` between `before` and `data`, and of the one behind them.
FIRST_PING, LAST_PING = 4711, 4712
#: What no frame contains: the ends of two impossible frames.
_NEVER: Final = b"\xff" * 40
MIB: Final = 1024 * 1024


class Victim:
    """A process that is attacked; see `victim.py`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url
        self.host, _, port = url.removeprefix("tcp://").partition(":")
        self.port = int(port)

    async def ask(self, what: str, **given: Any) -> Any:
        """Give the process a command and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **given}).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        """Return the next line of the process."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the victim has died"
        return json.loads(line)

    async def figures(self) -> Figures:
        """Return what is left of connections, once none is open any more and their handlers had time to end."""
        for _ in range(1000):
            if await self.ask("peers") == 0:
                break
            await asyncio.sleep(0.01)
        for _ in range(200):  # each of these takes as long as a collection of the garbage
            seen = await self.ask("figures")
            if not seen["peers"] and not seen["left"]:
                break
            await asyncio.sleep(0.01)
        return Figures(seen["left"], seen["rss_bytes"] / MIB, seen["cpu_s"], seen["tasks"])


class Figures(NamedTuple):
    """What an attack left behind: objects of connections by class, resident MiB, seconds of the processor, tasks."""

    left: dict[str, int]
    rss_mib: float
    cpu_s: float
    tasks: int


@asynccontextmanager
async def victim(*, log: Path | None = None, **environment: str) -> AsyncIterator[Victim]:
    """Start a victim, and kill it at the end.

    log: the file for what it logs; nothing is logged by default. environment: `ATTACK_LOOP=uvloop`; `ATTACK_FILES=60`, how
    many files it may open.
    """
    with contextlib.ExitStack() as files:
        errors = None
        if log is not None:
            environment["ATTACK_LOG"] = "yes"
            errors = files.enter_context(log.open("wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.attack.victim",
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        yield Victim(process, json.loads(await process.stdout.readline())["url"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


class Reply(NamedTuple):
    """What came back: whole frames, and how the connection stood at the end."""

    frames: list[Frame]
    state: str

    @property
    def goodbye(self) -> str | None:
        """The body of the `GOAWAY` that ended the connection; nothing may follow it (rule 8.4)."""
        last = self.frames[-1] if self.frames else None
        return last.body.decode("utf-8", "replace") if last is not None and last.kind == GOAWAY else None

    @property
    def statuses(self) -> list[Frame]:
        return [said for said in self.frames if said.kind == STATUS]


class Line:
    """A raw connection to a victim."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.got = b""

    async def write(self, data: bytes, piece_bytes: int = 1 << 30) -> None:
        for at in range(0, len(data), piece_bytes):
            self.writer.write(data[at : at + piece_bytes])
            await self.writer.drain()
            if piece_bytes < len(data):
                await asyncio.sleep(0)

    async def read_until(self, wanted: bytes) -> bool:
        """Read until `wanted` has come; False when the connection has ended before."""
        while wanted not in self.got:
            chunk = await self.reader.read(1 << 16)
            if not chunk:
                return False
            self.got += chunk
        return True

    async def settle(self, number: int = FIRST_PING) -> bool:
        """Wait until the victim has handled everything written so far."""
        await self.write(frame(PING, [number]))
        return await self.read_until(frame(PONG, [number]))


@asynccontextmanager
async def dialled(to: Victim) -> AsyncIterator[Line]:
    line = Line(*await asyncio.open_connection(to.host, to.port))
    try:
        yield line
    finally:
        line.writer.close()
        with contextlib.suppress(ConnectionError):
            await line.writer.wait_closed()


async def connect_and_reset(to: Victim, times: int) -> None:
    """Connect, and reset before the victim has accepted, again and again."""
    loop = asyncio.get_running_loop()
    for _ in range(times):
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await loop.sock_connect(connection, (to.host, to.port))


async def send(to: Victim, before: bytes, data: bytes, *, piece_bytes: int = 1 << 30, ends: bool = True) -> Reply:
    """Dial, write `data` in pieces, and read until the victim closes; with `ends` false, until it answers a last `PING`.

    `before` is written first; where it opens a stream, the victim has accepted that before `data` follow.
    """
    async with dialled(to) as line:
        state = "closed"
        try:
            async with asyncio.timeout(PATIENCE_S):
                await line.write(before)
                if len(before) > len(H):
                    await line.settle()
                await line.write(data, piece_bytes)
                if await (line.read_until(_NEVER) if ends else line.settle(LAST_PING)):
                    state = "open"
        except ConnectionError:
            state = "reset"
        except TimeoutError:
            state = "silent"
        return Reply(read_frames(line.got)[0], state)


async def pour(to: Victim, before: bytes, data: bytes, piece_bytes: int) -> Reply:
    """Dial, write `before` and, once that is handled, `data` and a `PING`; then end that direction and read to the end."""
    async with dialled(to) as line:
        state = "closed"
        try:
            async with asyncio.timeout(PATIENCE_S):
                if before:
                    await line.write(before)
                    await line.settle()
                await line.write(data, piece_bytes)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MOMENT_S):
                        await line.settle(LAST_PING)
                line.writer.write_eof()
                await line.read_until(_NEVER)
        except OSError:  # also that the end of the direction comes too late
            state = "reset"
        return Reply(read_frames(line.got)[0], state)


async def commit(case: Violation, to: Victim, *, piece_bytes: int = 1 << 30) -> None:
    """Send what a case sends, and check that the answer is the one that PROTOCOL.md promises."""
    reply = await send(to, case.before, case.data, piece_bytes=piece_bytes, ends=case.rule is not None)
    if case.rule is None:
        assert reply.state == "open", f"{case.name}: {reply}"
        if case.status is not None:
            assert [said.body[1] for said in reply.statuses] == [case.status], f"{case.name}: {reply}"
        return
    assert reply.state in {"closed", "reset"}, f"{case.name}: {reply.state}"
    if reply.state == "closed":  # a reset may overtake the last frame
        assert pack(f"PROTOCOL.md rule {case.rule}: ")[1:].decode() in (reply.goodbye or ""), f"{case.name}: {reply}"
