"""Demand: streams with two ends, in one process. Nothing here knows what a network is."""

from penstock.streams._abc import Sink, Source, Statistics, StreamState, as_failure, forgotten, raised
from penstock.streams._pipe import pipe
from penstock.streams._watch import Pressure, feeding, watch_backpressure

__all__ = [
    "Pressure",
    "Sink",
    "Source",
    "Statistics",
    "StreamState",
    "as_failure",
    "feeding",
    "forgotten",
    "pipe",
    "raised",
    "watch_backpressure",
]
