"""What is measured: Penstock and its peers, each doing the same work. Nothing here decides how often or how long.

A side has a `Server` and a `Driver` (in one process: only a driver). Their public async methods are the commands that the
harness sends as JSON; every driver answers the same commands in the same units, so that a figure can ask any of them.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Side → module and class prefix. Modules are imported when their side is asked for: a peer that is missing hurts nobody else.
_MODULES = {
    "penstock-pipe": ("_pipes", "Penstock"),
    "penstock-batches": ("_pipes", "PenstockBatches"),
    "penstock": ("_penstock", ""),
    "penstock-stall": ("_penstock_bounds", "Stall"),
    "penstock-held": ("_penstock_bounds", "Held"),
    "queue": ("_pipes", "Queue"),
    "anyio": ("_pipes", "Anyio"),
    "casty-local": ("_casty", "Local"),
    "casty": ("_casty", ""),
    "grpc": ("_grpc", ""),
    "rsocket": ("_rsocket", ""),
    "bare": ("_bare", ""),
    "raw": ("_raw", ""),
    "events-penstock": ("_events", "Penstock"),
    "events-fastapi": ("_events", "FastApi"),
    "retained-memory": ("_retained", "Memory"),
    "retained-file": ("_retained", "Durable"),
    "jetstream-memory": ("_jetstream", "Memory"),
    "jetstream-file": ("_jetstream", "File"),
    "actors-penstock-local": ("actors._penstock", "Local"),
    "actors-penstock": ("actors._penstock", ""),
    "actors-penstock-mailbox-local": ("actors._penstock", "MailboxLocal"),
    "actors-penstock-history-local": ("actors._penstock", "HistoryLocal"),
    "actors-penstock-history-mailbox-local": ("actors._penstock", "HistoryMailboxLocal"),
    "actors-penstock-history": ("actors._penstock", "History"),
    "actors-casty22-local": ("actors._casty22", "Local"),
    "actors-casty22": ("actors._casty22", ""),
    "actors-casty30-local": ("actors._casty30", "Local"),
    "actors-casty30": ("actors._casty30", ""),
    "actors-pykka-local": ("actors._pykka", "Local"),
    "actors-thespian-local": ("actors._thespian", "Local"),
    "actors-thespian": ("actors._thespian", ""),
}


def find_side(name: str, role: str) -> type[Any]:
    """Return the class that plays `role` ("Server" or "Driver") for the side called `name`."""
    module, prefix = _MODULES[name]
    found: type[Any] = getattr(importlib.import_module(f"{__name__}.{module}"), prefix + role)
    return found
