"""What an event loop has on offer: ends of streams that were sent away and not claimed yet. It never opens a call.

An end is on offer from the moment its ref is encoded. It leaves the table once: claimed from elsewhere, used here after all, or
reclaimed after `RECLAIM_S`. The table remembers for a while how, for those who come late.

What is encoded while a call is handled belongs to the share of its peer, which is bounded. It may be claimed over another
connection, so it does not end with this one; but then it is nobody's, and gives way when the table is full.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from penstock.calls import CallScope, current_call
from penstock.errors import FailedPrecondition, NotFound, ResourceExhausted, StatusError

log = logging.getLogger("penstock.refs")

#: How long an end stays on offer. What is claimed at all is claimed within a round trip or two; the rest got lost on its way.
RECLAIM_S: Final = 30.0
#: Ends on offer at the same time: a program that sends refs which nobody claims must not grow.
OFFERS_MAX: Final = 10_000
#: As many of them may be the share of one connection: who asks for refs and claims none must not starve the others.
SHARE_MAX: Final = 1_000
#: Ends of which is remembered how they left.
LEFT_MAX: Final = 10_000
TOKEN_BYTES: Final = 16


class RefLocation(NamedTuple):
    """Where the end of a stream is: at which event loop of which process, and by which token it is claimed there."""

    instance: bytes
    token: bytes

    @property
    def short(self) -> str:
        """The token as people compare it; what is shown of it claims nothing."""
        return self.token.hex()[:8]


class Offered(Protocol):
    """A ref, as this table sees it."""

    def leave(self, refusal: StatusError) -> Any:
        """Give the end away: from now on whoever uses the ref gets `refusal`."""

    async def drop(self, why: StatusError) -> None:
        """End the stream, because of `why`."""


class _Entry(NamedTuple):
    """One end: until when it is on offer, and among whose it is counted."""

    ref: Offered
    due: float
    share: dict[bytes, None]


class Offers:
    """The table of one event loop."""

    def __init__(self) -> None:
        self.instance = secrets.token_bytes(TOKEN_BYTES)
        self._open: dict[bytes, _Entry] = {}  # in the order of their deadlines
        self._shares: WeakKeyDictionary[CallScope, dict[bytes, None]] = WeakKeyDictionary()
        self._own: dict[bytes, None] = {}  # those that no peer asked for
        self._orphans: dict[bytes, None] = {}  # those of connections that are gone
        self._left: dict[bytes, Callable[[str], StatusError]] = {}
        self._armed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def put(self, ref: Offered) -> RefLocation:
        """Put an end on offer, for the peer whose call is handled here. Raises `ResourceExhausted` when too many are."""
        share = self._share()
        if share is not self._own and share is not self._orphans and len(share) >= SHARE_MAX:
            raise ResourceExhausted(f"{SHARE_MAX} ends of streams were sent to this peer and not claimed yet (SHARE_MAX)")
        if len(self._open) >= OFFERS_MAX:
            self._make_room()
        location = RefLocation(self.instance, secrets.token_bytes(TOKEN_BYTES))
        loop = asyncio.get_running_loop()
        self._open[location.token] = _Entry(ref, loop.time() + RECLAIM_S, share)
        share[location.token] = None
        if not self._armed:
            self._arm(loop, RECLAIM_S)
        return location

    def find(self, token: bytes) -> Offered | None:
        """Return the ref that is on offer, if it is."""
        entry = self._open.get(token)
        return entry.ref if entry is not None else None

    def refusal(self, token: bytes) -> StatusError:
        """Say why this end cannot be had."""
        short = RefLocation(self.instance, token).short
        return self._left.get(token, _unknown)(short)

    def take(self, token: bytes, kind: type[Any]) -> Any:
        """Take an end off the table, for who claims it. Raises the `StatusError` that says why it cannot be had."""
        ref = self.find(token)
        if ref is None:
            raise self.refusal(token)
        if not isinstance(ref, kind):
            raise FailedPrecondition(f"this is a {type(ref).__name__}, and was claimed as a {kind.__name__}")
        self.withdraw(token, _claimed)
        return ref.leave(self.refusal(token))

    def release(self, token: bytes, why: StatusError) -> None:
        """End the stream of an end on offer, because of `why`."""
        ref = self.find(token)
        if ref is not None:
            self.withdraw(token, _released)
            self.own(ref.drop(why))

    def withdraw(self, token: bytes, why: Callable[[str], StatusError] | None = None) -> None:
        """This end is not on offer any more; by default because it is used here."""
        entry = self._open.pop(token, None)
        if entry is not None:
            entry.share.pop(token, None)
            self._orphans.pop(token, None)
            self._left[token] = why or _used
            if len(self._left) > LEFT_MAX:
                del self._left[next(iter(self._left))]

    def own(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a clean-up that nobody waits for, and log what it raises."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("an end of a stream could not be closed", exc_info=task.exception())

    def _share(self) -> dict[bytes, None]:
        """Return what is on offer to the peer whose call is handled here."""
        call = current_call.get()
        scope = None if call is None else call.scope
        if scope is None:
            return self._own
        if scope.session.closed.done():
            return self._orphans
        share = self._shares.get(scope)
        if share is None:
            share = self._shares[scope] = {}
            scope.session.closed.add_done_callback(lambda _closed: self._orphans.update(share))
        return share

    def _make_room(self) -> None:
        """Take back the oldest end that belongs to nobody. Raises `ResourceExhausted` when there is none."""
        for token in self._orphans:
            self._take_back(token, _orphaned)
            return
        raise ResourceExhausted(f"{OFFERS_MAX} ends of streams were sent and not claimed yet (OFFERS_MAX)")

    def _take_back(self, token: bytes, why: Callable[[str], StatusError]) -> None:
        ref = self._open[token].ref
        self.withdraw(token, why)
        refusal = self.refusal(token)
        log.warning("%r: %s", ref, refusal.message)
        self.own(ref.drop(refusal))

    def _arm(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        self._armed = True
        loop.call_later(delay_s, self._reclaim, loop)

    def _reclaim(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take back what nobody claimed in time."""
        self._armed = False
        now = loop.time()
        while self._open:
            token, entry = next(iter(self._open.items()))
            if entry.due > now:
                self._arm(loop, entry.due - now)
                return
            self._take_back(token, _reclaimed)


def _unknown(short: str) -> StatusError:
    return NotFound(f"no end of a stream {short} is on offer here")


def _claimed(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} was claimed already; a ref can be claimed once")


def _used(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} is used by the process that sent it; a ref has one user")


def _released(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} was closed by the one who got it; a ref has one user")


def _reclaimed(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} was reclaimed, because nobody claimed it within {RECLAIM_S:g} s")


def _orphaned(short: str) -> StatusError:
    return NotFound(
        f"the end of a stream {short} was reclaimed: the connection it was sent over is gone, and others needed its place"
    )


_TABLES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Offers]] = WeakKeyDictionary()


def offers() -> Offers:
    """Return the table of the running event loop; `RuntimeError` where none runs."""
    loop = asyncio.get_running_loop()
    table = _TABLES.get(loop)
    if table is None:
        table = _TABLES[loop] = Offers()
    return table
