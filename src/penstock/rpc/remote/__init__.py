"""Actors at the other side of a connection. It runs none."""

from penstock.rpc.remote._asks import seen
from penstock.rpc.remote._far import FarRef
from penstock.rpc.remote._lane import LANES_MAX, Lane, close_lanes, end_lanes
from penstock.rpc.remote._ref import RemoteRef

__all__ = ["LANES_MAX", "FarRef", "Lane", "RemoteRef", "close_lanes", "end_lanes", "seen"]
