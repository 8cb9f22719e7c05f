"""Connect to the first of several URLs that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from penstock.errors import Unavailable
from penstock.peer._peer import Peer

#: Seconds that one URL may take before the next one is tried beside it: more than the handshakes of a slow line, and little for
#: a person who waits for a server that does not answer at all.
NEXT_URL_DELAY_S: Final = 1.0

Reach = Callable[[str], Awaitable[Peer]]


async def first_to_answer(urls: Sequence[str], reach: Reach) -> Peer:
    """Return the peer of the first URL that answers; the peers of all others are closed.

    reach: connects to one URL and returns its peer after the handshake, or closes what it has begun and raises.

    The URLs are tried in their order. The next one is begun when all before it have failed, and at the latest after
    `NEXT_URL_DELAY_S`. Raises the first error that is not `Unavailable`; otherwise, when none answers, `Unavailable` with all
    reasons and the cause of the first. Cancelling it closes everything.
    """
    race = _Race(reach)
    try:
        for left, url in zip(range(len(urls) - 1, -1, -1), urls, strict=True):
            race.begin(url)
            peer = await race.wait(NEXT_URL_DELAY_S if left else None)
            if peer is not None:
                return peer
    finally:
        await race.aclose()
    raise race.failure(urls)


class _Race:
    """The attempts to connect that run at the same time, and the errors of those that have failed."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._running: list[asyncio.Task[Peer]] = []
        self._errors: list[Unavailable] = []

    def begin(self, url: str) -> None:
        """Begin an attempt."""
        self._running.append(asyncio.ensure_future(self._reach(url)))

    async def wait(self, timeout_s: float | None) -> Peer | None:
        """Wait for a peer until all attempts have failed, or `timeout_s` seconds; then return None."""
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while self._running:
            left_s = None if deadline is None else deadline - asyncio.get_running_loop().time()
            done, _running = await asyncio.wait(self._running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for attempt in [task for task in self._running if task in done]:
                self._running.remove(attempt)
                try:
                    return attempt.result()
                except Unavailable as error:
                    self._errors.append(error)
        return None

    def failure(self, urls: Sequence[str]) -> Unavailable:
        """Return the error of a race that every attempt has lost."""
        reasons = "; ".join(error.message for error in self._errors)
        return Unavailable(f"none of {len(urls)} URLs answers: {reasons}", cause=self._errors[0].cause, started=False)

    async def aclose(self) -> None:
        """End the attempts that still run, and close the peers of those that have answered since."""
        for attempt in self._running:
            attempt.cancel()
        for outcome in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(outcome, Peer):
                await outcome.aclose()
