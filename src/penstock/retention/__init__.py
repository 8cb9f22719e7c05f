"""Retained streams: kept under a name, for readers that come, leave and come back."""

from penstock.retention._follower import Follower
from penstock.retention._kept import Fork, HttpReader, KeptStream, Notes, page_of
from penstock.retention._paged import PagedSource
from penstock.retention._remote import RemoteFollower
from penstock.retention._retained import made_for_others, retained
from penstock.retention._service import FOLLOWING
from penstock.retention._stream import Retained, append_all
from penstock.retention._streams import Streams, streams_here

__all__ = [
    "FOLLOWING",
    "Follower",
    "Fork",
    "HttpReader",
    "KeptStream",
    "Notes",
    "PagedSource",
    "RemoteFollower",
    "Retained",
    "Streams",
    "append_all",
    "made_for_others",
    "page_of",
    "retained",
    "streams_here",
]
