"""What the tests of the history share: events, a file that can be damaged, a disk that can be full."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.history import History, HistoryEvent


def fill(history: History, count: int, *, actor: str = "counter", kind: str = "message", size: int = 0) -> None:
    """Record `count` events, numbered by `n`."""
    for n in range(count):
        history.record(actor, kind, {"n": n, "pad": "x" * size})


async def blocks(history: History, count: int, events: int, **options: Any) -> None:
    """Record `count` blocks of `events` events each."""
    for _ in range(count):
        fill(history, events, **options)
        await history.flush()


async def made(path: Path, count: int = 3, events: int = 4, **options: Any) -> None:
    """Make a whole history."""
    async with History(path, **options) as history:
        await blocks(history, count, events)


def numbers(events: Iterable[HistoryEvent]) -> list[int]:
    return [event.offset for event in events]


def change(path: Path, statement: str, *values: Any) -> None:
    """Damage a file, as somebody with a database tool would."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement, values).rowcount
        connection.commit()


def ask(path: Path, question: str) -> Any:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchone()[0]


async def rest() -> None:
    """Let the virtual clock move on."""
    await asyncio.sleep(0.001)
