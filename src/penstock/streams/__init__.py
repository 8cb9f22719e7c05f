"""Demand: streams with two ends, in one process. Nothing here knows what a network is."""

from penstock.streams._abc import (
    InLoop,
    Sink,
    Source,
    Statistics,
    StreamState,
    as_failure,
    close_iterator,
    forgotten,
    mark_retrieved,
    raised,
)
from penstock.streams._backlog import OVERFLOWS, Dropped, Overflow
from penstock.streams._iterated import source_of
from penstock.streams._pipe import PipeSink, PipeSource, PipeState, pipe
from penstock.streams._port import Port
from penstock.streams._watch import Pressure, feeding, watch_backpressure

__all__ = [
    "OVERFLOWS",
    "Dropped",
    "InLoop",
    "Overflow",
    "PipeSink",
    "PipeSource",
    "PipeState",
    "Port",
    "Pressure",
    "Sink",
    "Source",
    "Statistics",
    "StreamState",
    "as_failure",
    "close_iterator",
    "feeding",
    "forgotten",
    "mark_retrieved",
    "pipe",
    "raised",
    "source_of",
    "watch_backpressure",
]
