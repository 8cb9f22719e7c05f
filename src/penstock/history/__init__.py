"""The history of actors: a chain of hashed events in one file, with queries, live streams, verification and replay."""

from penstock.history._event import HistoryEvent
from penstock.history._history import EVENTS_MAX, History
from penstock.history._replay import Divergence, Replay, replay
from penstock.history._verify import verify_file

__all__ = [
    "EVENTS_MAX",
    "Divergence",
    "History",
    "HistoryEvent",
    "Replay",
    "replay",
    "verify_file",
]
