"""`Offers`: the ends of streams that one event loop has sent in messages and that were not claimed yet.

An end is on offer from the moment when its ref is encoded. Each copy of the ref that is sent has a token of its own. The end
leaves the table once, with all its tokens: claimed from another process, used here after all, or released. A single copy leaves
it when its receiver has dropped it, or `RECLAIM_S` (30 s) after it was sent; the last one ends the stream. A copy that has come
home is held by the program alone: a drop there ends the stream as in one process. The table keeps the reason for a while, for
later claims.

A ref encoded while a call is handled counts against that connection (`SHARE_MAX`). It outlives the connection, because it may
be claimed over another one; from then on it is the first to be evicted when the table is full. After those, the connection with
the most ends on offer loses its oldest one to a connection with fewer: of a full table, each has an equal share.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from penstock._outcomes import log_error
from penstock._per_loop import of_loop
from penstock.calls import CallScope, current_call
from penstock.errors import FailedPrecondition, NotFound, ResourceExhausted, StatusError
from penstock.protocol import Budget
from penstock.refs._proof import new_identity

log = logging.getLogger("penstock.refs")

#: Seconds that an end stays on offer. A claim comes within a round trip or two; a ref without one was lost on its way.
RECLAIM_S: Final = 30.0
#: The most ends on offer, so that a program whose refs are never claimed does not grow.
OFFERS_MAX: Final = 10_000
#: The most ends on offer to one connection, so that a peer that claims none of its refs leaves room for the others.
SHARE_MAX: Final = 1_000
#: What an end on offer weighs: its ref, its entry, and the stream behind it, which waits.
OFFER_BYTES: Final = 4 * 1024
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
    """One copy of a ref on offer.

    ref: returns the ref; None when the program has dropped one at home. copies: the tokens of all copies of the ref on offer.
    due: the time at which it is reclaimed. share: where it is counted. home: whether it has come back to this process.
    for_many: whether it was encoded for a number of receivers that is not known. budget: that of the connection which it is
    charged to; None for one of no peer.
    """

    ref: Callable[[], Offered | None]
    copies: set[bytes]
    due: float
    share: dict[bytes, None]
    for_many: bool
    budget: Budget | None
    home: bool = False


class _Shares:
    """The tokens on offer to each connection, in the order of their deadlines.

    unasked: those of no peer, encoded outside a call. orphans: those of connections that are gone.
    """

    def __init__(self) -> None:
        self.of_peers: WeakKeyDictionary[CallScope, dict[bytes, None]] = WeakKeyDictionary()
        self.unasked: dict[bytes, None] = {}
        self.orphans: dict[bytes, None] = {}

    def current(self) -> dict[bytes, None]:
        """Return the share of the peer whose call is handled here; that of no peer outside a call."""
        call = current_call.get()
        scope = None if call is None else call._scope
        if scope is None:
            return self.unasked
        if scope.session.closed.done():
            return self.orphans
        share = self.of_peers.get(scope)
        if share is None:
            share = self.of_peers[scope] = {}
            scope.session.closed.add_done_callback(lambda _closed: self.orphans.update(share))
        return share

    def budget(self) -> Budget | None:
        """Return the budget of the connection whose call is handled here; None outside a call."""
        call = current_call.get()
        scope = None if call is None else call._scope
        return None if scope is None else scope.session.budget

    def first_to_go(self, share: dict[bytes, None]) -> tuple[bytes, Callable[[str], StatusError]]:
        """Return the token that makes room in a full table: the oldest of a connection that is gone, else of the largest share.

        Raises `ResourceExhausted` when no share is larger than `share`.
        """
        if self.orphans:
            return next(iter(self.orphans)), _orphaned
        largest = max(self.of_peers.values(), key=len, default={})
        if len(largest) <= len(share):
            raise ResourceExhausted(
                f"{OFFERS_MAX} ends of streams were sent and not claimed yet (OFFERS_MAX), {len(share)} of them to this peer"
            )
        return next(iter(largest)), _crowded_out


class Offers:
    """The table of one event loop. `identity` proves its `instance`, the id of the loop.

    received: the number of copies that the loop has of each ref of another process.
    """

    def __init__(self) -> None:
        self.identity = new_identity()
        self.instance = self.identity.instance
        self._open: dict[bytes, _Entry] = {}  # in the order of their deadlines
        self._shares = _Shares()
        self._refusals: dict[bytes, Callable[[str], StatusError]] = {}
        self.received: Counter[RefLocation] = Counter()
        self._armed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def put(self, ref: Offered, copies: set[bytes], *, for_many: bool = False) -> RefLocation:
        """Put a copy of a ref on offer, for the peer whose call is handled here; return its location.

        copies: the tokens of its copies on offer, from which the table removes each token that leaves it.

        Raises `ResourceExhausted` when too many ends are on offer to this peer: more than `SHARE_MAX`, or, in a full table, as
        many as to any other. So it does when the budget of the connection is used up.
        """
        shares = self._shares
        share = shares.current()
        if share is not shares.unasked and share is not shares.orphans and len(share) >= SHARE_MAX:
            raise ResourceExhausted(f"{SHARE_MAX} ends of streams were sent to this peer and not claimed yet (SHARE_MAX)")
        if len(self._open) >= OFFERS_MAX:
            self._reclaim(*shares.first_to_go(share))
        budget = shares.budget()
        if budget is not None:
            budget.check(OFFER_BYTES, "an end of a stream on offer")
            budget.take(OFFER_BYTES)
        location = RefLocation(self.instance, secrets.token_bytes(TOKEN_BYTES))
        loop = asyncio.get_running_loop()
        self._open[location.token] = _Entry(lambda: ref, copies, loop.time() + RECLAIM_S, share, for_many, budget)
        copies.add(location.token)
        share[location.token] = None
        if not self._armed:
            self._reclaim_due(loop)
        return location

    def find(self, token: bytes) -> Offered | None:
        """Return the ref with this token; None when it is not on offer."""
        entry = self._open.get(token)
        return entry.ref() if entry is not None else None

    def came_home(self, token: bytes) -> None:
        """Note that a copy has come back to this process, which holds it from now on.

        The table lets go of it in the next turn of the loop: until then a message that is broken may be decoded again.
        """
        entry = self._open.get(token)
        if entry is not None and not entry.for_many and not entry.home:
            asyncio.get_running_loop().call_soon(_let_go, self._open, token)

    def refusal(self, token: bytes) -> StatusError:
        """Return the error of a claim for an end that is not on offer."""
        short = RefLocation(self.instance, token).short
        return self._refusals.get(token, _unknown)(short)

    def claim(self, token: bytes, cls: type[Any]) -> Any:
        """Remove an end from the table and return it, for its claimer.

        Raises `FailedPrecondition` for an end of the other kind or with another user, `NotFound` for an end that was reclaimed
        or was never on offer.
        """
        ref = self.find(token)
        if ref is None:
            raise self.refusal(token)
        if not isinstance(ref, cls):
            raise FailedPrecondition(f"a {type(ref).__name__} was claimed as a {cls.__name__}")
        self.withdraw_all(self._open[token].copies, _claimed)
        return ref._hand_over(self.refusal(token))

    def release(self, token: bytes, why: StatusError) -> None:
        """Remove an end from the table, and end its stream because of `why`. Does nothing when it is not on offer."""
        ref = self.find(token)
        if ref is not None:
            self.withdraw_all(self._open[token].copies, _released)
            self.run_clean_up(ref._end_unused(why))

    def forget(self, token: bytes, why: StatusError) -> None:
        """Remove a copy that its receiver has dropped. The last copy ends the stream because of `why`."""
        entry = self._open.get(token)
        if entry is not None and not entry.for_many:
            self._remove_copy(token, entry, _released, why)

    def withdraw_all(self, copies: set[bytes], why: Callable[[str], StatusError] | None = None) -> None:
        """Remove an end, with all its copies. `why` makes the error of later claims; by default: the end is used here."""
        for token in list(copies):
            self._withdraw(token, why or _used)

    def _withdraw(self, token: bytes, why: Callable[[str], StatusError]) -> None:
        entry = self._open.pop(token, None)
        if entry is not None:
            if entry.budget is not None:
                entry.budget.give(OFFER_BYTES)
            entry.copies.discard(token)
            entry.share.pop(token, None)
            self._shares.orphans.pop(token, None)
            self._refusals[token] = why
            if len(self._refusals) > REFUSALS_MAX:
                del self._refusals[next(iter(self._refusals))]

    def _remove_copy(self, token: bytes, entry: _Entry, gone: Callable[[str], StatusError], why: StatusError) -> bool:
        """Remove one copy; return whether it was the last one, whose stream is ended because of `why`."""
        self._withdraw(token, gone)
        ref = entry.ref()
        if entry.copies or entry.home or ref is None:
            return False
        self.run_clean_up(ref._end_unused(why))
        return True

    def run_clean_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a clean-up in a task of the table, and log its error."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(partial(_end_clean_up, self._tasks))

    def _reclaim(self, token: bytes, why: Callable[[str], StatusError]) -> None:
        entry, refusal = self._open[token], why(RefLocation(self.instance, token).short)
        name = repr(entry.ref())  # as a text: a kept log record must not keep the end of a stream
        if self._remove_copy(token, entry, why, refusal):
            log.warning("%s: %s", name, refusal.message)

    def _reclaim_due(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reclaim the ends that were not claimed in time, and set the timer for the next one."""
        self._armed = False
        now = loop.time()
        while self._open:
            token, entry = next(iter(self._open.items()))
            if entry.due > now:
                self._armed = True
                loop.call_at(entry.due, self._reclaim_due, loop)
                return
            self._reclaim(token, _reclaimed)


def _let_go(entries: dict[bytes, _Entry], token: bytes) -> None:
    """Hold the ref of a copy that is at home only as long as the program does."""
    entry = entries.get(token)
    ref = None if entry is None else entry.ref()
    if entry is not None and ref is not None:
        entries[token] = entry._replace(ref=weakref.ref(ref), home=True)


def _end_clean_up(tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    tasks.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log_error(log, error, "an end of a stream could not be closed")


def _unknown(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} is not on offer here")


def _claimed(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} was claimed already; a ref can be claimed once")


def _used(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} is used by the process that sent it; a ref has one user")


def _released(short: str) -> StatusError:
    return FailedPrecondition(f"the end of a stream {short} was closed by its receiver; a ref has one user")


def dropped(short: str) -> StatusError:
    """Make the error of a claim for an end that came home, and that its own process has dropped."""
    return NotFound(f"the end of a stream {short} was dropped by the process that sent it, where it had come back")


def _reclaimed(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} was reclaimed, because it was not claimed within {RECLAIM_S:g} s")


def _crowded_out(short: str) -> StatusError:
    return NotFound(
        f"the end of a stream {short} was reclaimed: too many ends were sent to its receiver, and others needed a place"
    )


def _orphaned(short: str) -> StatusError:
    return NotFound(f"the end of a stream {short} was reclaimed: its connection is gone, and other ends needed its place")


def offers() -> Offers:
    """Return the table of the running event loop. Raises `RuntimeError` without one."""
    return of_loop("_penstock_offers", Offers)
