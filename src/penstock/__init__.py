"""Penstock carries typed items under backpressure from a producer to a consumer, wherever the two live.

A producer is an async generator, a consumer is an ``async for``, and the producer is never more than `buffer_size` items ahead,
in one process and across a network. `pipe` is a stream in one process; `serve` and `connect` carry services between processes.
"""

from msgspec import Struct

from penstock import errors
from penstock.errors import (
    Aborted,
    AlreadyExists,
    Busy,
    Cancelled,
    ConnectionLost,
    DataLoss,
    DeadlineExceeded,
    EndOfStream,
    FailedPrecondition,
    IdleTimeout,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PenstockError,
    PermissionDenied,
    ProtocolError,
    ResourceExhausted,
    StatusError,
    StreamCancelled,
    StreamClosed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
    WouldBlock,
)
from penstock.protocol import Settings
from penstock.rpc import Call, CallInfo, CallOptions, Peer, Server, Stream, connect, context, options, serve
from penstock.streams import Sink, Source, Statistics, pipe, watch_backpressure
from penstock.transports import TLS

__all__ = [
    "TLS",
    "Aborted",
    "AlreadyExists",
    "Busy",
    "Call",
    "CallInfo",
    "CallOptions",
    "Cancelled",
    "ConnectionLost",
    "DataLoss",
    "DeadlineExceeded",
    "EndOfStream",
    "FailedPrecondition",
    "IdleTimeout",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "Peer",
    "PenstockError",
    "PermissionDenied",
    "ProtocolError",
    "ResourceExhausted",
    "Server",
    "Settings",
    "Sink",
    "Source",
    "Statistics",
    "StatusError",
    "Stream",
    "StreamCancelled",
    "StreamClosed",
    "Struct",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "WouldBlock",
    "connect",
    "context",
    "errors",
    "options",
    "pipe",
    "serve",
    "watch_backpressure",
]
