"""The wire, pure: bytes in, events out; commands in, bytes out (PROTOCOL.md). It never waits and never reads a clock."""

from penstock.protocol import _events as events
from penstock.protocol._budget import Budget, Process
from penstock.protocol._connection import Connection
from penstock.protocol._credit import Grant, Limit, grant_for, grant_wished
from penstock.protocol._frames import (
    MAX_NUMBER,
    NO_DETAILS,
    Accept,
    CallKind,
    Cancel,
    FrameType,
    Hello,
    Open,
    Priority,
    Status,
    readable,
)
from penstock.protocol._links import sent_bytes_of
from penstock.protocol._receive import Arrived, ReceiveHalf
from penstock.protocol._send import BATCH_BYTES, SINGLE_BYTES_MIN, SendHalf
from penstock.protocol._settings import Settings
from penstock.protocol._stream import LONG_MESSAGE, WireStream, check_texts, shorten_deadline

__all__ = [
    "BATCH_BYTES",
    "LONG_MESSAGE",
    "MAX_NUMBER",
    "NO_DETAILS",
    "SINGLE_BYTES_MIN",
    "Accept",
    "Arrived",
    "Budget",
    "CallKind",
    "Cancel",
    "Connection",
    "FrameType",
    "Grant",
    "Hello",
    "Limit",
    "Open",
    "Priority",
    "Process",
    "ReceiveHalf",
    "SendHalf",
    "Settings",
    "Status",
    "WireStream",
    "check_texts",
    "events",
    "grant_for",
    "grant_wished",
    "readable",
    "sent_bytes_of",
    "shorten_deadline",
]
