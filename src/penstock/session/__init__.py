"""One live connection: the event loop around the pure protocol, and the two ends of remote streams."""

from penstock.session._endpoint import Carrier, Endpoint, WeakEndpoint
from penstock.session._session import Session
from penstock.session._sink import RemoteSink
from penstock.session._source import RemoteSource
from penstock.session._status import details_in, error_of, error_of_cancel, status_of
from penstock.session._stream import StreamHandle
from penstock.session._turns import TURN_S
from penstock.session.lasting import LastingSession

__all__ = [
    "TURN_S",
    "Carrier",
    "Endpoint",
    "LastingSession",
    "RemoteSink",
    "RemoteSource",
    "Session",
    "StreamHandle",
    "WeakEndpoint",
    "details_in",
    "error_of",
    "error_of_cancel",
    "status_of",
]
