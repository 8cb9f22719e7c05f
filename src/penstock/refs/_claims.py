"""The built-in service by which other processes claim ends of streams: `claim_source`, `claim_sink`, `release`, `forget`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from msgspec.msgpack import Ext

from penstock.calls import context
from penstock.errors import Aborted, FailedPrecondition, InvalidArgument, StatusError, StreamCancelled
from penstock.refs._offers import offers
from penstock.refs._sink import SinkRef, failure_in
from penstock.refs._source import SourceRef
from penstock.session import RemoteSource, Session

#: The connections whose challenge was answered.
_PROVEN_TO: Final[WeakSet[Session]] = WeakSet()


class Claims:
    """The service of the ends of streams that were sent from here (PROTOCOL.md 13)."""

    service_name = "Penstock"

    async def claim_source(self, token: bytes, buffer_size: int | None = None) -> AsyncIterator[Any]:
        """Return the items of the source on offer. A relay passes `buffer_size` on to the process of the source."""
        source: AsyncIterator[Any] = offers().claim(token, SourceRef)(buffer_size)
        return source

    async def claim_sink(self, token: bytes, buffer_size: int | None, items: AsyncIterator[Any]) -> None:
        """Send `items` into the sink on offer, and end the sink with the outcome of the items."""
        sink = offers().claim(token, SinkRef)(buffer_size)
        sink._on_consumer_left(partial(_end_items, items))  # so that the sender learns of it now, and not at its next item
        scope = context()._scope
        if scope is not None and isinstance(items, RemoteSource):
            scope.deliveries.pass_on(items)
        try:
            async for item in items:
                if type(item) is Ext and (failure := failure_in(item)) is not None:
                    sink.fail(failure)
                    return
                await sink.send(item)
                del item  # the next one may be long in coming
        except BaseException:
            sink.fail(_early_outcome(items))
            raise
        finally:
            sink._on_consumer_left(None)
        await sink.aclose()  # the answer of this call says that everything has arrived

    async def prove(self, challenge: bytes) -> tuple[bytes, bytes, bytes]:
        """Prove that this side is the instance of its `HELLO`: return its public number, its salt and the answer.

        One challenge is answered for each connection, because an answer takes milliseconds. Raises `FailedPrecondition` for
        another one, `InvalidArgument` for a challenge that is not a number of the group.
        """
        session, identity = context()._session, offers().identity
        if session is None or session in _PROVEN_TO:
            raise FailedPrecondition("one challenge is answered for each connection")
        _PROVEN_TO.add(session)
        try:
            answer = identity.answer(challenge, session.role, session.hello.instance if session.hello is not None else b"")
        except ValueError as error:
            raise InvalidArgument(f"the challenge: {error}") from None
        return identity.public, identity.salt, answer

    async def release(self, token: bytes) -> None:
        """End the stream on offer: the receiver of its ref has closed the ref without using it."""
        offers().release(token, StreamCancelled("the receiver of this end of a stream closed it without using it"))

    async def forget(self, token: bytes) -> None:
        """Note that the receiver of a ref has dropped it without using it. The stream ends with the last copy of the ref."""
        offers().forget(token, Aborted("the receiver of this end of a stream dropped it without using it"))


def _end_items(items: Any) -> None:
    """End the items of a claimed sink whose consumer has left."""
    if isinstance(items, RemoteSource):
        items.finish(StreamCancelled("the consumer of this stream has left"))


def _early_outcome(items: Any) -> StatusError:
    """Return the reason why the items of a claimed sink stopped early: their caller, its connection, or this side."""
    outcome = getattr(items, "outcome", None)
    if not isinstance(outcome, StatusError):  # all items had arrived, but the sink took no more
        session = context()._session
        outcome = session.lost if session is not None else None
    return outcome or Aborted("the call that fed this stream was stopped before the end of the stream")


CLAIMS: Final = Claims()
