"""Kill a server under many followers again and again.

``python -m tests.retention.real.restarts [ROUNDS] [FOLLOWERS] [CONNECTIONS]``. The server keeps one durable stream, to which 20
items a second are added. A round kills it by SIGKILL and starts it again at once; it is over when each follower has gone past
the item that the fastest one had seen. By default 100 rounds of 500 followers, each on a connection of its own, all in this
process. An item that is lost, doubled or another one fails the run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import penstock
from tests.retention.real.test_durable import program

CONNECTS_AT_ONCE = 50
CALM_S = 0.5
TRICKLE = ("0.05", "1")  # seconds, and items


class Followers:
    """Followers of the stream "numbers". seen: how many items each has got."""

    def __init__(self, count: int) -> None:
        self.seen = [0] * count

    async def follow(self, peer: penstock.Peer, number: int) -> None:
        async for batch in peer.follow("numbers", type=int).batches():
            begin = self.seen[number]
            assert batch == [*range(begin, begin + len(batch))], f"follower {number} got {batch} at {begin}"
            self.seen[number] += len(batch)

    async def past(self, mark: int) -> None:
        """Wait until each of them has got more items than that."""
        while min(self.seen) <= mark:  # noqa: ASYNC110 - other processes live on the real clock
            await asyncio.sleep(0.005)


async def restarts(rounds: int, count: int, connections: int) -> list[tuple[float, float]]:
    """Return for each round the seconds from the kill, and from the server's readiness, until all went on."""
    followers = Followers(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "streams.db"
        async with AsyncExitStack() as peers, asyncio.TaskGroup() as group:
            async with program(path, "0", *TRICKLE) as (_process, url):
                made = await connected(peers, url, connections)
                tasks = [group.create_task(followers.follow(made[at % connections], at)) for at in range(count)]
                await followers.past(0)
                await asyncio.sleep(CALM_S)
            taken = [await restarted(path, url.rpartition(":")[2], followers) for _ in range(rounds)]
            for task in tasks:
                task.cancel()
    return taken


async def restarted(path: Path, port: str, followers: Followers) -> tuple[float, float]:
    """Start the server that was killed, wait until all went on, and kill it once more."""
    killed_s = time.monotonic()
    async with program(path, port, *TRICKLE):
        ready_s = time.monotonic()
        await followers.past(max(followers.seen))
        now_s = time.monotonic()
        print(f"{now_s - killed_s:.2f} s from the kill, {now_s - ready_s:.2f} s from the readiness", flush=True)
        await asyncio.sleep(CALM_S)
    return now_s - killed_s, now_s - ready_s


async def connected(peers: AsyncExitStack, url: str, count: int) -> list[penstock.Peer]:
    made: list[penstock.Peer] = []
    while len(made) < count:
        some = min(CONNECTS_AT_ONCE, count - len(made))
        made += await asyncio.gather(*(peers.enter_async_context(penstock.connect(url)) for _ in range(some)))
    return made


def main() -> None:
    logging.disable(logging.CRITICAL)
    rounds, count, *others = map(int, [*sys.argv[1:], "100", "500"][: max(2, len(sys.argv) - 1)])
    taken = asyncio.run(restarts(rounds, count, *others or [count]))
    for what, seconds in zip(("the kill", "the readiness"), zip(*taken, strict=True), strict=True):
        ordered = sorted(seconds)
        print(f"from {what}: median {ordered[len(ordered) // 2]:.2f} s, worst {ordered[-1]:.2f} s")


if __name__ == "__main__":
    main()
