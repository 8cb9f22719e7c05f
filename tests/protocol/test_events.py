"""The events of a connection."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from penstock.protocol import Cancel, WireStream, events
from tests.protocol.kit import opening


@pytest.mark.parametrize(
    "make", [events.ItemsArrived, events.RoomMade, events.Opened, lambda made: events.CallCancelled(made, Cancel())]
)
def test_an_error_that_an_endpoint_keeps_is_freed_with_the_event_that_its_traceback_holds(make):
    """FAULTS H1: endpoint, error, traceback, frame, event, stream and endpoint again are a circle for the collector."""

    def handle(event: events.Event) -> None:
        try:
            len(event)
        except TypeError as error:
            event.stream.endpoint = error

    handle(make(WireStream(opening(), callee=True)))
    gc.collect()
    assert not Counter(type(found) for found in gc.get_objects())[WireStream]
