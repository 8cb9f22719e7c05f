"""Wakes: each tells one worker of a subscription that there are items, until it has answered, or its time is over."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from random import uniform
from time import time
from typing import Final

from penstock._outcomes import text_of
from penstock._upkeep import upkeep
from penstock.errors import FailedPrecondition, PenstockError
from penstock.retention import KeptStream, append_all
from penstock.web.durable_streams._seen import RESERVED
from penstock.web.durable_streams._settings import StreamsOverHttp
from penstock.web.durable_streams.subscriptions._deliveries import WebhookCalls
from penstock.web.durable_streams.subscriptions._record import (
    BEFORE_ALL,
    StreamLink,
    SubscriptionRecord,
    acknowledge,
    acknowledge_snapshot,
    begin_wake,
    end_wake,
    matches,
    pending,
)
from penstock.web.durable_streams.subscriptions._records import LINKS_MAX, Records
from penstock.web.durable_streams.subscriptions._signing import SubscriptionTokens

#: A delivery that failed is tried again after this time, which doubles up to the other, give or take the part.
WEBHOOK_RETRY_S: Final = 1.0
WEBHOOK_RETRY_MAX_S: Final = 60.0
WEBHOOK_JITTER: Final = 0.2

_log = logging.getLogger("penstock.web")


class Wakes:
    """The wakes of all subscriptions.

    tokens: those by which workers answer. deliveries: those to webhooks.
    """

    def __init__(self, records: Records, settings: StreamsOverHttp) -> None:
        self.tokens = SubscriptionTokens()
        self.deliveries = WebhookCalls(records, self.tokens, settings, self._delivered)
        self._records = records
        self._timers: dict[str, asyncio.TimerHandle] = {}  # of a lease, or of the next delivery
        self._fresh: dict[str, None] = {}  # streams with new items
        self._soon: asyncio.Handle | None = None
        records.streams.watchers.append(self._published)

    async def aclose(self) -> None:
        """End all timers and deliveries."""
        self._records.streams.watchers.remove(self._published)
        if self._soon is not None:
            self._soon.cancel()
        for timer in self._timers.values():
            timer.cancel()
        await self.deliveries.aclose()

    def go_on(self, record: SubscriptionRecord) -> None:
        """Go on with a subscription of an earlier run of the program."""
        if record.wake is None:
            self._wake_if_pending(record)
        elif record.next_attempt is not None:
            self._after(record, max(0.0, record.next_attempt - time()), self.deliveries.begin)
        else:
            self._lease(record)

    def forget(self, record: SubscriptionRecord) -> None:
        """End the wake of a subscription that is deleted."""
        self._end_timer(record)
        record.wake = None

    # ── new items ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _published(self, kept: KeptStream) -> None:
        """Note that a stream has new items; all of one turn of the loop are looked at together."""
        if self._records.named and not kept.name.startswith(RESERVED):
            self._fresh[kept.name] = None
            if self._soon is None:
                self._soon = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._soon, fresh, self._fresh = None, self._fresh, {}
        for record in tuple(self._records.named.values()):
            pattern = record.wanted.pattern
            for name in fresh if pattern is not None else ():
                if name not in record.links and len(record.links) < LINKS_MAX and matches(pattern or "", name):
                    record.links[name] = StreamLink(BEFORE_ALL, matched=True)
            if record.wake is None and not record.links.keys().isdisjoint(fresh):
                self._wake_if_pending(record)

    def _wake_if_pending(self, record: SubscriptionRecord) -> bool:
        first = next(pending(record, self._records.tail_of), None)
        if first is None:
            return False
        begin_wake(record, _new_wake(), self._records.tail_of)
        self._records.save(record)
        if record.wanted.type == "webhook":
            self._end_timer(record)
            self.deliveries.begin(record)
        else:
            self._write_wake(record, first)
        return True

    def _write_wake(self, record: SubscriptionRecord, first: str) -> None:
        wake_stream = self._records.streams.named.get(record.wanted.wake_stream or "")
        event = {
            "type": "wake",
            "subscription_id": record.id,
            "stream": first,
            "generation": record.generation,
            "ts": int(time() * 1000),
        }
        try:
            if wake_stream is None:
                raise FailedPrecondition("it is not there")
            append_all(wake_stream, [event])
        except PenstockError as error:  # the wake can be claimed all the same
            _log.warning("stream %r gets no wakes of %s: %s", record.wanted.wake_stream, record.id, text_of(error))

    # ── workers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def claim(self, record: SubscriptionRecord, worker: str) -> str | None:
        """Let a worker have the wake that is under way, or a new one. Return its token; None when nothing is pending."""
        if not any(pending(record, self._records.tail_of)):
            return None
        if record.wake is None:
            begin_wake(record, _new_wake(), self._records.tail_of)
        record.holder = worker
        self._lease(record)
        return self.tokens.make(record.id, record.generation)

    def answer(self, record: SubscriptionRecord, acks: dict[str, str], *, done: bool) -> str | bool:
        """Take the answer of a worker. Return whether another wake has begun, or why its acknowledgements are refused."""
        problem = acknowledge(record, acks, self._records.tail_of)
        if problem is not None:
            return problem
        if done:
            return self.release(record)
        self._lease(record)
        return False

    @upkeep
    def release(self, record: SubscriptionRecord) -> bool:
        """End a wake, as its worker wants it, or because its time is over. Return whether another one has begun."""
        self._end_timer(record)
        end_wake(record)
        if self._wake_if_pending(record):
            return True
        self._records.save(record)
        return False

    def _delivered(self, record: SubscriptionRecord, wake: str | None, outcome: str) -> None:
        """Take the outcome of a delivery. A worker that has taken one, and not handled all, has its time."""
        if record.wake != wake or wake is None:
            return
        if outcome == "failed":
            wait_s = min(WEBHOOK_RETRY_S * 2**record.retries, WEBHOOK_RETRY_MAX_S)
            wait_s *= uniform(1 - WEBHOOK_JITTER, 1 + WEBHOOK_JITTER)  # noqa: S311 - no secret
            record.retries, record.next_attempt = min(record.retries + 1, 16), time() + wait_s
            self._records.save(record)
            self._after(record, wait_s, self.deliveries.begin)
            return
        record.retries, record.next_attempt = 0, None
        if outcome == "done":
            acknowledge_snapshot(record)
            self.release(record)
        else:
            self._lease(record)

    # ── times ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _lease(self, record: SubscriptionRecord) -> None:
        """Give the worker of a wake its time anew. After it, the wake is over."""
        self._records.save(record)
        self._after(record, record.wanted.lease_ttl_ms / 1000, self.release)

    def _after(self, record: SubscriptionRecord, seconds: float, then: Callable[[SubscriptionRecord], object]) -> None:
        self._end_timer(record)
        self._timers[record.id] = asyncio.get_running_loop().call_later(seconds, then, record)

    def _end_timer(self, record: SubscriptionRecord) -> None:
        timer = self._timers.pop(record.id, None)
        if timer is not None:
            timer.cancel()


def _new_wake() -> str:
    return f"w_{secrets.token_hex(12)}"
