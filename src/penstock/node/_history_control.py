"""The part of `Penstock.Control` that is about the history, as a caller sees it: ``peer.service(HistoryControl)``.

It is apart from `ActorControl` because its types bring the database, which most commands do not need.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from penstock.history import HistoryEvent, Replay
from penstock.node._types import EventQuery


class HistoryControl:
    """Questions to the history of a node. Both methods raise `FailedPrecondition` when the node records none."""

    service_name = "Penstock.Control"

    def events(self, query: EventQuery) -> AsyncIterator[HistoryEvent]:
        """Iterate over the recorded events that match, then, with `follow`, over those that are recorded from now on.

        Raises `NotFound` for an actor of which nothing is recorded; a stream that follows ends with `Unavailable` when the
        node stops.
        """
        raise NotImplementedError

    async def replay(self, actor: str) -> Replay:
        """Send the recorded messages of an actor to a fresh one, and compare the outcomes. Cancelling stops the replay."""
        raise NotImplementedError
