"""Ends of streams as values: put into a message here, used where it arrives. Nothing here handles a byte of a stream."""

from penstock.rpc.refs._claims import CLAIMS
from penstock.rpc.refs._offers import OFFERS_MAX, RECLAIM_S, offers
from penstock.rpc.refs._routes import joined, peer_to
from penstock.rpc.refs._sink import SinkRef
from penstock.rpc.refs._source import SourceRef

__all__ = ["CLAIMS", "OFFERS_MAX", "RECLAIM_S", "SinkRef", "SourceRef", "joined", "offers", "peer_to"]
