"""`kill -9` in the middle of recording: what was committed is there and whole, and a durable source goes on behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.history import History, verify_file
from tests.history.kit import fill, numbers

# Records as fast as it can, follows itself, and says what it has read: what a consumer has seen is in the file.
RECORDING = """
import asyncio, sys
from penstock.history import History

async def follow(history, since):
    async for batch in history.stream("counter", since=since).batches():
        print(batch[-1].offset, flush=True)

async def main():
    async with History(sys.argv[1]) as history:
        following = asyncio.create_task(follow(history, history.next_offset))
        n = 0
        while True:
            if history.full:
                await history.room()
            history.record("counter", "message", {"n": n, "pad": "x" * 100})
            n += 1
            if n % 100 == 0:
                await asyncio.sleep(0)

asyncio.run(main())
"""


@contextmanager
def recording(path: Path) -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-c", RECORDING, str(path)], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.processes
@pytest.mark.timeout(240)  # a minute on a machine with ten times the work that it can do
async def test_after_a_kill_the_history_verifies_and_a_source_goes_on_where_its_consumer_was(path):
    seen = -1
    for lines in (1, 10, 40):
        with recording(path) as process:
            for _ in range(lines):
                seen = int(process.stdout.readline())
        found = verify_file(path)
        assert found.ok, found.text
        assert found.events > seen
    async with History(path) as history:
        following = history.next_offset
        fill(history, 3)
        source = history.stream("counter", since=seen + 1)
        rest = [await source.receive() for _ in range(following + 3 - seen - 1)]
        assert numbers(rest) == list(range(seen + 1, following + 3))
        assert (await history.verify()).ok
