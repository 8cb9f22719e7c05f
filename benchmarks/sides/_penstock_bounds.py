"""Penstock's bounds: how far a producer runs ahead, how soon it is freed, what an idle stream costs.

What is measured is read from a board (`_board.py`), never through the connection that it is about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from time import perf_counter_ns
from typing import Any, ClassVar

from benchmarks.sides import _penstock
from benchmarks.sides._board import Board
from benchmarks.sides._clock import Answer, percentiles
from benchmarks.sides._memory import resident_bytes
from benchmarks.sides._services import Held, Stall, counted, taken

_MIB = 1024 * 1024
_SETTLED_S = 0.06
_STALL_S = 10.0
#: Where the consumer stalls: before its first item, within the first window, past it.
_STALLS = (0, 1, 8, 16, 40)


async def _settled(read: Callable[[], int]) -> int:
    """Return what `read` says once it has not changed for a while."""
    seen, since, deadline = read(), perf_counter_ns(), perf_counter_ns() + _STALL_S * 1e9
    while perf_counter_ns() - since < _SETTLED_S * 1e9:
        await asyncio.sleep(0.005)
        if read() != seen:
            seen, since = read(), perf_counter_ns()
        if perf_counter_ns() > deadline:
            raise AssertionError(f"the producer never stalled: it is at item {seen}")
    return seen


class StallServer(_penstock.Server):
    """Serves `Stall` with request windows of 16 items, whatever their size."""

    services = (Stall,)
    settings: ClassVar[dict[str, Any]] = {
        "window_items": 16,
        "max_window_items": 16,
        "window_bytes": 64 * _MIB,
        "max_window_bytes": 64 * _MIB,
    }


class StallDriver:
    """Stalls on purpose and reads how far the other side went."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to `url`; for "memory", serve in this process first."""
        import penstock

        self._stack = AsyncExitStack()
        if transport == "memory":
            self._host = StallServer()
            url = await self._host.serve(transport, folder)
        tls = _penstock.encryption(transport, folder)
        peer = await self._stack.enter_async_context(penstock.connect(url, tls=tls))
        self._stall: Stall = penstock.options(peer.service(Stall), buffer_size=16)
        self._path = str(Path(folder) / "board")

    async def run_ahead(self, kind: str, size: int) -> dict[str, list[int]]:
        """Stall a consumer again and again; answer how far its producer was ahead at each stall."""
        board = Board(self._path, 4, fresh=True)
        start: Callable[[Board, int], Awaitable[None]] = getattr(self, f"_{kind}")
        consumer = asyncio.ensure_future(start(board, size))
        try:
            ahead = await self._stall_points(board, both=kind == "bidirectional")
        finally:
            left = consumer.cancel()
            await asyncio.wait([consumer])
        if not left:
            raise AssertionError(f"the consumer did not stall, it ended: {consumer.exception()!r}")
        return ahead

    async def _stall_points(self, board: Board, *, both: bool) -> dict[str, list[int]]:
        ahead = []
        for allowed in _STALLS:
            board[1] = allowed
            await _settled(lambda: board[2])
            ahead.append(await _settled(lambda: board[0]) - board[2])
        return {"ahead": ahead, "other": [board[3]] if both else []}

    async def _server(self, board: Board, size: int) -> None:
        await taken(aiter(self._stall.produce(self._path, size)), board)

    async def _client(self, board: Board, size: int) -> None:
        await self._stall.consume(self._path, counted(board, size))

    async def _bidirectional(self, board: Board, size: int) -> None:
        other = Board(self._path, 4)
        await taken(aiter(self._stall.both(self._path, size, _counted_at(other, size))), board)


async def _counted_at(board: Board, size: int) -> AsyncIterator[bytes]:
    produced = 0
    while True:
        item = bytes(size)
        produced += 1
        board[3] = produced
        yield item


class HeldServer(_penstock.Server):
    """Serves `Held`, as any server would."""

    services = (Held,)

    async def memory(self) -> int:
        """Answer how many bytes this process holds."""
        return resident_bytes()


class HeldDriver:
    """Leaves streams, and holds many."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to `url`."""
        import penstock

        self._stack = AsyncExitStack()
        tls = _penstock.encryption(transport, folder)
        peer = await self._stack.enter_async_context(penstock.connect(url, tls=tls))
        self._held: Held = peer.service(Held)
        self._path = str(Path(folder) / "board")
        self._open: list[Any] = []

    async def breaks(self, count: int, producer: str, after: int) -> Answer:
        """Leave `count` streams by `break` after `after` items; time until each producer's `finally` ran."""
        board = Board(self._path, count, fresh=True)
        stream = getattr(self._held, producer)
        return percentiles([await self._break(board, stream, slot, count=count, after=after) for slot in range(count)])

    async def _break(self, board: Board, stream: Any, slot: int, *, count: int, after: int) -> int:
        received = 0
        async for _ in stream(self._path, count, slot):
            received += 1
            if received == after:
                left = perf_counter_ns()
                break
        while not board[slot]:  # noqa: ASYNC110 - the other process cannot set an event of ours
            await asyncio.sleep(0.0005)
        return board[slot] - left

    async def hold(self, count: int) -> int:
        """Open `count` more idle streams and keep them; answer how many bytes this process holds then."""
        for _ in range(count):
            stream = aiter(self._held.idle())
            await anext(stream)
            self._open.append(stream)
        return resident_bytes()

    async def release(self) -> int:
        """Leave every idle stream; answer how many bytes this process holds then."""
        for stream in self._open:
            async with aclosing(stream):
                pass
        self._open.clear()
        await asyncio.sleep(0.2)
        return resident_bytes()
