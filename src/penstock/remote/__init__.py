"""Actors across a connection: both ends of a lane, the refs, and the wire between them (PROTOCOL.md §12)."""

from penstock.remote._far import FarRef
from penstock.remote._lane_client import LaneClient, close_lanes, end_lanes
from penstock.remote._ref import RemoteRef
from penstock.remote._targets import arrive
from penstock.remote._wire import LaneError, LaneMessage, LaneReply, PlainMessage, PlainReply, arguments_in

__all__ = [
    "FarRef",
    "LaneClient",
    "LaneError",
    "LaneMessage",
    "LaneReply",
    "PlainMessage",
    "PlainReply",
    "RemoteRef",
    "arguments_in",
    "arrive",
    "close_lanes",
    "end_lanes",
]
