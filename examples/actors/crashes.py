"""A worker that crashes and recovers: each restart waits longer, state begins anew, the mailbox is kept, the limit holds.

python examples/actors/crashes.py
"""

import asyncio
import logging
import time

import penstock


def say(who: str, text: str, *, begin: float = time.monotonic()) -> None:
    print(f"{time.monotonic() - begin:4.2f} s  [{who}] {text}")


class Worker(penstock.Actor):
    def __init__(self) -> None:
        self.done: list[int] = []  # made anew by each restart: what broke the old one must not break the new one
        say("worker", "begins, with nothing done")

    async def work(self, job: int) -> None:
        if job % 3 == 0:
            raise RuntimeError(f"job {job} is poisoned")
        self.done.append(job)
        say("worker", f"job {job} is done; since it began: {self.done}")


class Office(penstock.Actor):
    supervision = penstock.Supervision("one_for_one", max_restarts=2, within=60, backoff=0.2, backoff_max=1)

    def __init__(self, over: asyncio.Event) -> None:
        self.over = over

    async def on_start(self) -> None:
        self.worker = await self.spawn(Worker, name="worker")
        self.watch(self.worker)

    async def hand_out(self, jobs: int) -> None:
        for job in range(1, jobs + 1):
            await penstock.tell(self.worker).work(job)  # waits for nothing but room in the mailbox

    async def on_child_failed(self, child: penstock.ActorRef, error: Exception) -> None:
        say("office", f"{error}: {child!r}")

    async def on_terminated(self, actor: penstock.ActorRef, reason: str) -> None:
        say("office", f"{actor.address} has stopped: {reason}")
        self.over.set()


async def main() -> None:
    logging.getLogger("penstock.actor").disabled = True  # else each crash is there with its traceback
    async with penstock.ActorSystem() as system:
        await (await system.spawn(Office, over := asyncio.Event())).hand_out(jobs=10)
        await over.wait()
        print("dead letters:", *system.dead_letters, sep="\n  ")


if __name__ == "__main__":
    asyncio.run(main())
