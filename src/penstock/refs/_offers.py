"""`Offers`: the ends of streams that one event loop has sent in messages and that were not claimed yet.

An end is on offer from the moment when its ref is encoded. It leaves the table once: claimed from another process, used here
after all, released, or reclaimed after `RECLAIM_S` (30 s). The table keeps the reason for a while, for later claims.

A ref encoded while a call is handled counts against that connection (`SHARE_MAX`). It outlives the connection, because it may
be claimed over another one; from then on it is the first to be evicted when the table is full. After those, the connection with
the most ends on offer loses its oldest one to a connection with fewer: of a full table, each has an equal share.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from penstock._outcomes import log_error
from penstock.calls import CallScope, current_call
from penstock.errors import FailedPrecondition, NotFound, ResourceExhausted, StatusError
from penstock.refs._proof import new_identity

log = logging.getLogger("penstock.refs")

#: Seconds that an end stays on offer. A claim comes within a round trip or two; a ref without one was lost on its way.
RECLAIM_S: Final = 30.0
#: The most ends on offer, so that a program whose refs are never claimed does not grow.
OFFERS_MAX: Final = 10_000
#: The most ends on offer to one connection, so that a peer that claims none of its refs leaves room for the others.
SHARE_MAX: Final = 1_000
#: The number of ends that are gone whose reason is kept.
REFUSALS_MAX: Final = 10_000
TOKEN_BYTES: Final = 16


class RefLocation(NamedTuple):
    """The location of an end of a stream.

    instance: the id of the event loop that offers it.
    token: the secret by which it is claimed there.
    """

    instance: bytes
    token: bytes

    @property
    def short(self) -> str:
        """The start of the token, for messages to people: it is too short to claim the end."""
        return self.token.hex()[:8]


class Offered(Protocol):
    """A ref, as the table sees it."""

    def _hand_over(self, refusal: StatusError) -> Any:
        """Return the end, for a claim. From now on every use of the ref raises `refusal`."""

    async def _end_unused(self, why: StatusError) -> None:
        """End the stream of a ref without a user, because of `why`."""


class _Entry(NamedTuple):
    """One end on offer: its ref, the time at which it is reclaimed, and the share in which it is counted."""

    ref: Offered
    due: float
    share: dict[bytes, None]


class Offers:
    """The table of one event loop. `identity` proves its `instance`, the id of the loop.

    received: the number of copies that the loop has of each ref of another process.
    """

    def __init__(self) -> None:
        self.identity = new_identity()
        self.instance = self.identity.instance
        self._open: dict[bytes, _Entry] = {}  # in the order of their deadlines
        self._shares: WeakKeyDictionary[CallScope, dict[bytes, None]] = WeakKeyDictionary()
        self._unasked: dict[bytes, None] = {}  # of no peer: encoded outside a call
        self._orphans: dict[bytes, None] = {}  # of connections that are gone
        self._refusals: dict[bytes, Callable[[str], StatusError]] = {}
        self.received: Counter[RefLocation] = Counter()
        self._armed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def put(self, ref: Offered) -> RefLocation:
        """Put an end on offer, for the peer whose call is handled here; return its location.

        Raises `ResourceExhausted` when too many ends are on offer to this peer: more than `SHARE_MAX`, or, in a full table, as
        many as to any other.
        """
        share = self._share()
        if share is not self._unasked and share is not self._orphans and len(share) >= SHARE_MAX:
            raise ResourceExhausted(f"{SHARE_MAX} ends of streams were sent to this peer and not claimed yet (SHARE_MAX)")
        if len(self._open) >= OFFERS_MAX:
            self._make_room(share)
        location = RefLocation(self.instance, secrets.token_bytes(TOKEN_BYTES))
        loop = asyncio.get_running_loop()
        self._open[location.token] = _Entry(ref, loop.time() + RECLAIM_S, share)
        share[location.token] = None
        if not self._armed:
            self._arm(loop, RECLAIM_S)
        return location

    def find(self, token: bytes) -> Offered | None:
        """Return the ref with this token; None when it is not on offer."""
        entry = self._open.get(token)
        return entry.ref if entry is not None else None

    def refusal(self, token: bytes) -> StatusError:
        """Return the error of a claim for an end that is not on offer."""
        short = RefLocation(self.instance, token).short
        return self._refusals.get(token, _unknown)(short)

    def claim(self, token: bytes, kind: type[Any]) -> Any:
        """Remove an end from the table and return it, for its claimer.

        Raises `FailedPrecondition` for an end of the other kind or with another user, `NotFound` for an end that was reclaimed
        or was never on offer.
        """
        ref = self.find(token)
        if ref is None:
            raise self.refusal(token)
        if not isinstance(ref, kind):
            raise FailedPrecondition(f"a {type(ref).__name__} was claimed as a {kind.__name__}")
        self.withdraw(token, _claimed)
        return ref._hand_over(self.refusal(token))

    def release(self, token: bytes, why: StatusError) -> None:
        """Remove an end from the table, and end its stream because of `why`. Does nothing when it is not on offer."""
        ref = self.find(token)
        if ref is not None:
            self.withdraw(token, _released)
            self.run_clean_up(ref._end_unused(why))

    def withdraw(self, token: bytes, why: Callable[[str], StatusError] | None = None) -> None:
        """Remove an end from the table. `why` makes the error of later claims; by default: the end is used here."""
        entry = self._open.pop(token, None)
        if entry is not None:
            entry.share.pop(token, None)
            self._orphans.pop(token, None)
            self._refusals[token] = why or _used
            if len(self._refusals) > REFUSALS_MAX:
                del self._refusals[next(iter(self._refusals))]

    def run_clean_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a clean-up in a task of the table, and log its error."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_clean_up_done)

    def _on_clean_up_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log_error(log, error, "an end of a stream could not be closed")

    def _share(self) -> dict[bytes, None]:
        """Return the share of the peer whose call is handled here; that of no peer outside a call."""
        call = current_call.get()
        scope = None if call is None else call._scope
        if scope is None:
            return self._unasked
        if scope.session.closed.done():
            return self._orphans
        share = self._shares.get(scope)
        if share is None:
            share = self._shares[scope] = {}
            scope.session.closed.add_done_callback(lambda _closed: self._orphans.update(share))
        return share

    def _make_room(self, share: dict[bytes, None]) -> None:
        """Reclaim one end for a new one of `share`: the oldest of a connection that is gone, else of the largest share.

        Raises `ResourceExhausted` when no share is larger.
        """
        if self._orphans:
            self._reclaim(next(iter(self._orphans)), _orphaned)
            return
        largest = max(self._shares.values(), key=len, default={})
        if len(largest) <= len(share):
            raise ResourceExhausted(
                f"{OFFERS_MAX} ends of streams were sent and not claimed yet (OFFERS_MAX), {len(share)} of them to this peer"
            )
        self._reclaim(next(iter(largest)), _crowded_out)

    def _reclaim(self, token: bytes, why: Callable[[str], StatusError]) -> None:
        ref = self._open[token].ref
        self.withdraw(token, why)
        refusal = self.refusal(token)
        log.warning("%s: %s", repr(ref), refusal.message)  # as a text: a kept log record must not keep the end of a stream
        self.run_clean_up(ref._end_unused(refusal))

    def _arm(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        self._armed = True
        loop.call_later(delay_s, self._reclaim_due, loop)

    def _reclaim_due(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reclaim the ends that were not claimed in time, and set the timer for the next one."""
        self._armed = False
        now = loop.time()
        while self._open:
            token, entry = next(iter(self._open.items()))
            if entry.due > now:
                self._arm(loop, entry.due - now)
                return
            self._reclaim(token, _reclaimed)


def _unknown(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} is not on offer here")


def _claimed(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} was claimed already; a ref can be claimed once")


def _used(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} is used by the process that sent it; a ref has one user")


def _released(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} was closed by its receiver; a ref has one user")


def _reclaimed(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} was reclaimed, because it was not claimed within {RECLAIM_S:g} s")


def _crowded_out(short: str) -> StatusError:
    return NotFound(
        f"the end of a stream {short} was reclaimed: too many ends were sent to its receiver, and others needed a place"
    )


def _orphaned(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} was reclaimed: its connection is gone, and other ends needed its place")


_TABLES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Offers]] = WeakKeyDictionary()


def offers() -> Offers:
    """Return the table of the running event loop. Raises `RuntimeError` without one."""
    loop = asyncio.get_running_loop()
    table = _TABLES.get(loop)
    if table is None:
        table = _TABLES[loop] = Offers()
    return table
