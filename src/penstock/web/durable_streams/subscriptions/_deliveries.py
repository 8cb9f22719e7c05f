"""WebhookCalls of wakes to webhooks: a task for each, some at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock._outcomes import log_error, text_of
from penstock.codec import JSON
from penstock.web.durable_streams._settings import StreamsOverHttp
from penstock.web.durable_streams.subscriptions._record import SubscriptionRecord, streams_shown
from penstock.web.durable_streams.subscriptions._records import RECORDS, Records
from penstock.web.durable_streams.subscriptions._signing import SigningKey, SubscriptionTokens
from penstock.web.durable_streams.subscriptions._webhook import call, target_of

#: Webhooks that are called at the same time.
DELIVERIES_MAX: Final = 16
#: The statuses of an answer that took the delivery.
_TAKEN: Final = range(200, 300)

_log = logging.getLogger("penstock.web")


class WebhookCalls:
    """The deliveries under way.

    tokens: those that are sent along. delivered: called with the subscription and the wake at the end of each delivery, and
    whether the webhook has handled all ("done"), goes on ("taken"), or was not reached ("failed").
    """

    def __init__(
        self,
        records: Records,
        tokens: SubscriptionTokens,
        settings: StreamsOverHttp,
        delivered: Callable[[SubscriptionRecord, str | None, str], None],
    ) -> None:
        self._records = records
        self._tokens = tokens
        self._settings = settings
        self._delivered = delivered
        self._signing: SigningKey | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(DELIVERIES_MAX)

    @property
    def signing(self) -> SigningKey:
        """The key that signs deliveries. Raises `FailedPrecondition` without the extra `tls`."""
        if self._signing is None:
            path = self._settings.signing_key
            self._signing = SigningKey(None if path is None else Path(path))
        return self._signing

    async def aclose(self) -> None:
        """End all deliveries."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def begin(self, record: SubscriptionRecord) -> None:
        """Begin to deliver the wake of a subscription."""
        task = asyncio.get_running_loop().create_task(self._deliver(record, record.wake))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, record: SubscriptionRecord, wake: str | None) -> None:
        outcome = "failed"
        try:
            async with self._slots:
                status, answer = await self._call(record)
            if status in _TAKEN:
                outcome = "done" if _says_done(answer) else "taken"
        except (OSError, ValueError) as error:
            _log.warning("the webhook of subscription %s cannot be called: %s", record.id, text_of(error))
        except Exception as error:  # noqa: BLE001 - no caller is here
            log_error(_log, error, "the webhook of subscription %s was not called", record.id)
        self._delivered(record, wake, outcome)

    async def _call(self, record: SubscriptionRecord) -> tuple[int, bytes]:
        body = JSON.encode(
            {
                "subscription_id": record.id,
                "wake_id": record.wake,
                "generation": record.generation,
                "streams": streams_shown(record, self._records.tail_of),
                "callback_url": f"{record.base}/{RECORDS}{record.id}/callback",
                "callback_token": self._tokens.make(record.id, record.generation),
            }
        )
        headers = {"content-type": "application/json", "webhook-signature": self.signing.signature(body)}
        allowed = self._settings.webhooks
        return await call(target_of(record.wanted.url or "", allowed), allowed, body, headers)


def _says_done(answer: bytes) -> bool:
    try:
        said: Any = msgspec.json.decode(answer)
    except msgspec.MsgspecError:
        return False
    return isinstance(said, dict) and said.get("done") is True
