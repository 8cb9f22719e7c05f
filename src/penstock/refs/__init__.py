"""Ends of streams as values: a program puts one into a message, and its receiver uses it."""

from penstock.refs._claims import CLAIMS
from penstock.refs._offers import RECLAIM_S, offers
from penstock.refs._proof import guard_for, prove
from penstock.refs._routes import find_route, register_route
from penstock.refs._sink import SinkRef
from penstock.refs._source import SourceRef
from penstock.refs._state import encode_for_many

__all__ = [
    "CLAIMS",
    "RECLAIM_S",
    "SinkRef",
    "SourceRef",
    "encode_for_many",
    "find_route",
    "guard_for",
    "offers",
    "prove",
    "register_route",
]
