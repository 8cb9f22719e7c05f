"""What other processes call to have what is on offer here: `Penstock/claim_source`, `claim_sink`, `release`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from penstock.calls import context
from penstock.errors import Aborted, StatusError, StreamCancelled
from penstock.refs._offers import offers
from penstock.refs._sink import Failure, SinkRef
from penstock.refs._source import SourceRef
from penstock.session import RemoteSource


class Claims:
    """The ends of streams that were sent from here."""

    service_name = "Penstock"

    async def claim_source(self, token: bytes, buffer_size: int | None = None) -> AsyncIterator[Any]:
        """Return the items of the source on offer. A relay gives `buffer_size` on to where the source is."""
        source: AsyncIterator[Any] = offers().take(token, SourceRef)(buffer_size)
        return source

    async def claim_sink(self, token: bytes, buffer_size: int | None, items: AsyncIterator[Any]) -> None:
        """Send `items` into the sink on offer, and end it as they end."""
        sink = offers().take(token, SinkRef)(buffer_size)
        sink._on_consumer_left(partial(_left, items))  # its sender is told now, and not when it sends again
        try:
            async for item in items:
                if type(item) is Failure:
                    sink.fail(item.error)
                    return
                await sink.send(item)
        except BaseException:
            sink.fail(_outcome(items))
            raise
        finally:
            sink._on_consumer_left(None)
        sink.close()

    async def release(self, token: bytes) -> None:
        """End the stream on offer: who got its ref closed it."""
        offers().release(token, StreamCancelled("the one who got this end of a stream closed it without using it"))


def _left(items: Any) -> None:
    """Nobody takes the items any more."""
    if isinstance(items, RemoteSource):
        items.finish(StreamCancelled("the consumer of this stream has left"))


def _outcome(items: Any) -> StatusError:
    """Return why the items of a claimed sink stopped before their end: their caller, its connection, or this side."""
    outcome = getattr(items, "outcome", None)
    if not isinstance(outcome, StatusError):  # all of them had arrived, and could not be handed on any more
        scope = context().scope
        outcome = scope.session.lost if scope is not None else None
    return outcome or Aborted("the call that fed this stream was stopped before the end of the stream")


CLAIMS: Final = Claims()
