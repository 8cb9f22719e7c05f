"""Streams with two ends and a bound between them, in one process: pipes, ports, and any async iterable as a source."""

from penstock.streams._abc import (
    SECOND_RECEIVER,
    SOURCE_CLOSED,
    Demand,
    KeptEncoded,
    Sink,
    Source,
    Statistics,
    StreamState,
    close_iterator,
    reraisable,
)
from penstock.streams._backlog import Dropped, Overflow
from penstock.streams._fed import Fed, stop
from penstock.streams._iterated import Converted, source_of
from penstock.streams._iteration import READY, InLoop, Iteration
from penstock.streams._options import checked_seconds, checked_size
from penstock.streams._pipe import BUFFER_SIZE, PipeSink, PipeSource, PipeState, pipe
from penstock.streams._port import Port
from penstock.streams._thread import check_thread, finalize_on, home_here
from penstock.streams._waiters import Bell, Waiters, mark_retrieved
from penstock.streams._watch import Pressure, feeding, watch_backpressure

__all__ = [
    "BUFFER_SIZE",
    "READY",
    "SECOND_RECEIVER",
    "SOURCE_CLOSED",
    "Bell",
    "Converted",
    "Demand",
    "Dropped",
    "Fed",
    "InLoop",
    "Iteration",
    "KeptEncoded",
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
    "Waiters",
    "check_thread",
    "checked_seconds",
    "checked_size",
    "close_iterator",
    "feeding",
    "finalize_on",
    "home_here",
    "mark_retrieved",
    "pipe",
    "reraisable",
    "source_of",
    "stop",
    "watch_backpressure",
]
