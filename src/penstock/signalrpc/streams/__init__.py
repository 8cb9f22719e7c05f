"""Streams of peers: how far a sender may go, and the items that wait for a reader."""

from penstock.signalrpc.streams._queue import StreamOptions
from penstock.signalrpc.streams._sent import RESUME_S, SentStream
from penstock.signalrpc.streams._table import PeerStreams

__all__ = ["RESUME_S", "PeerStreams", "SentStream", "StreamOptions"]
