"""One logical connection: a dull shell around the pure protocol, and the two ends of remote streams."""

from penstock.session._session import NULL_ENDPOINT, Endpoint, Session
from penstock.session._sink import RemoteSink, cancel_of, status_of
from penstock.session._source import RemoteSource

__all__ = ["NULL_ENDPOINT", "Endpoint", "RemoteSink", "RemoteSource", "Session", "cancel_of", "status_of"]
