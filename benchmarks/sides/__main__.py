"""One side in a process of its own: reads commands as JSON lines, answers as JSON lines. It measures nothing but its CPU time.

::

    python -m benchmarks.sides grpc Server uvloop
    {"do": "serve", "with": {"transport": "tcp", "folder": "/tmp/x"}}   →   {"done": "127.0.0.1:40123"}
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from time import process_time
from typing import Any

from benchmarks.sides import find_side


async def _commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _obey(side: Any, line: bytes) -> dict[str, object]:
    request = json.loads(line)
    if request["do"] == "cpu":
        others_cpu_s = side.others_cpu_s() if hasattr(side, "others_cpu_s") else 0.0  # it has processes of its own
        return {"done": process_time() + others_cpu_s}
    try:
        return {"done": await getattr(side, request["do"])(**request["with"])}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises goes to the harness, which reports it
        return {"failed": f"{type(error).__name__}: {error}"}


async def _run(name: str, role: str) -> None:
    side = find_side(name, role)()
    commands = await _commands()
    while line := await commands.readline():
        sys.stdout.write(json.dumps(await _obey(side, line)) + "\n")
        sys.stdout.flush()
    if hasattr(side, "close"):  # it has processes of its own
        await side.close()
    os._exit(0)  # the harness is done: whatever still runs here has no one to answer to


def _main() -> None:
    name, role, loop = sys.argv[1:4]
    if loop == "uvloop":
        import uvloop

        uvloop.run(_run(name, role))
    else:
        asyncio.run(_run(name, role))


if __name__ == "__main__":
    _main()
