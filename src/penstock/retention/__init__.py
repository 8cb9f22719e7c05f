"""Retained streams: kept under a name, for readers that come, leave and come back."""

from penstock.retention._follower import Follower
from penstock.retention._paged import PagedSource
from penstock.retention._remote import RemoteFollower
from penstock.retention._retained import retained
from penstock.retention._service import FOLLOWING
from penstock.retention._stream import Retained

__all__ = ["FOLLOWING", "Follower", "PagedSource", "RemoteFollower", "Retained", "retained"]
