"""Actors across a connection: both ends of a lane, refs to remote actors, and the wire between them (PROTOCOL.md §12)."""

from penstock.remote._far import FarRef
from penstock.remote._lane_client import Lanes
from penstock.remote._ref import RemoteRef
from penstock.remote._targets import find_handler

__all__ = ["FarRef", "Lanes", "RemoteRef", "find_handler"]
