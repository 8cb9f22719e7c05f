"""The rows of the performance table: what is measured, against whom, and what the design asks for.

Each figure is a function from a `Bench` to an `Outcome`; `FIGURES` names them in the order of the table.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks._rounds import Bench
from benchmarks.figures import _actors, _bounds, _calls, _events, _retained, _streams
from benchmarks.figures._abc import Goal, Outcome, Row

FIGURES: dict[str, Callable[[Bench], Outcome]] = {
    "pipe": _streams.pipe,
    "server-stream": _streams.server_stream,
    "client-stream": _streams.client_stream,
    "bidirectional": _streams.bidirectional,
    "chunks": _streams.chunks,
    "unary": _calls.unary,
    "in-flight": _calls.in_flight,
    "beside-bulk": _calls.beside_bulk,
    "run-ahead": _bounds.run_ahead,
    "break": _bounds.leaving,
    "idle": _bounds.idle,
    "actor-ask": _actors.ask,
    "actor-in-flight": _actors.ask_in_flight,
    "actor-tell": _actors.tell,
    "actor-spawn": _actors.spawn,
    "actor-idle": _actors.idle,
    "remote-ask": _actors.remote_ask,
    "remote-in-flight": _actors.remote_ask_in_flight,
    "remote-tell": _actors.remote_tell,
    "history": _actors.history,
    "retained": _retained.followed,
    "retained-latency": _retained.append_to_reader,
    "gateway": _events.gateway,
}

__all__ = ["FIGURES", "Goal", "Outcome", "Row"]
