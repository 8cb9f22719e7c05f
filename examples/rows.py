"""A database query, streamed row by row: the cursor is read as far as the consumer asks, and the table is never loaded.

python examples/rows.py [ROWS]
"""

import asyncio
import contextlib
import resource
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator

import penstock

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
TABLE = f"CREATE TABLE reading AS {NUMBERS} SELECT i AS id, i % 40 / 2.0 AS celsius, ? AS remark FROM n"


class Reading(penstock.Struct):
    id: int
    celsius: float
    remark: str


class Archive:
    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    async def readings(self) -> AsyncIterator[Reading]:
        read = 0
        try:
            for row in self.database.execute("SELECT id, celsius, remark FROM reading"):  # one step of SQLite per row
                read += 1
                yield Reading(*row)
        finally:
            print(f"[archive] finally: the cursor was read up to row {read:,}")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of this process, so of both ends of the stream


async def main(archive: Archive) -> None:
    async with penstock.serve(archive, listen="tcp://127.0.0.1:0") as server, penstock.connect(*server.urls) as peer:
        before, count = peak_mb(), 0
        async for _reading in peer.service(Archive).readings():
            count += 1
        print(f"all: {count:,} rows received, memory grew by {peak_mb() - before:.1f} MB")
        async for reading in penstock.options(peer.service(Archive), buffer_size=16).readings():
            if reading.id == 10:
                print("some: 10 rows received with buffer_size=16, that is enough")
                break


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile() as file, contextlib.closing(sqlite3.connect(file.name)) as base:
        base.execute(TABLE, (int(sys.argv[1]) if sys.argv[1:] else 300_000, "as expected " * 10))
        asyncio.run(main(Archive(base)))
