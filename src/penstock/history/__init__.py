"""The history of actors: a chain of hashed events in one file, with queries, live streams, verification and replay."""

from penstock.history._event import OWN_KINDS, HistoryEvent
from penstock.history._history import EVENTS_MAX, QUEUE_EVENTS, History
from penstock.history._replay import Divergence, Replay, replay
from penstock.history._verify import Verification, verify_file

__all__ = [
    "EVENTS_MAX",
    "OWN_KINDS",
    "QUEUE_EVENTS",
    "Divergence",
    "History",
    "HistoryEvent",
    "Replay",
    "Verification",
    "replay",
    "verify_file",
]
