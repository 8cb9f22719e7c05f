"""Penstock carries typed items under backpressure from a producer to a consumer, wherever the two live.

A producer is an async generator, a consumer is an ``async for``, and the producer is never more than `buffer_size` items ahead,
in one process and across a network. `pipe` is a stream in one process; `serve` and `connect` carry services between processes.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from penstock import errors as errors
from penstock import from_thread as from_thread
from penstock.actors import (
    Actor,
    ActorRef,
    ActorSystem,
    Mailbox,
    Message,
    StreamConsumer,
    StreamProducer,
    Supervision,
    ref,
    tell,
)
from penstock.calls import Call, CancelToken, Stream, StreamEvent
from penstock.channel import Channel
from penstock.errors import (
    Aborted,
    ActorStopped,
    AlreadyExists,
    Busy,
    Cancelled,
    ChannelClosed,
    ChannelRejected,
    ConnectionLost,
    DataLoss,
    DeadlineExceeded,
    EndOfStream,
    FailedPrecondition,
    IdleTimeout,
    Internal,
    InvalidArgument,
    MailboxFull,
    NotFound,
    OutOfRange,
    PenstockError,
    PermissionDenied,
    ProtocolError,
    ReentrancyError,
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
from penstock.peer import CallInfo, Peer, Reconnect, Server, connect, context, serve
from penstock.protocol import Settings
from penstock.refs import SinkRef, SourceRef
from penstock.retention import Follower, Retained, retained
from penstock.service import CallOptions, exposed, idempotent, options, receives
from penstock.streams import Dropped, Port, Sink, Source, Statistics, pipe, watch_backpressure
from penstock.transports import TLS
from penstock.web import asgi

if TYPE_CHECKING:
    from penstock.node import Node

__all__ = [
    "TLS",
    "Aborted",
    "Actor",
    "ActorRef",
    "ActorStopped",
    "ActorSystem",
    "AlreadyExists",
    "Busy",
    "Call",
    "CallInfo",
    "CallOptions",
    "CancelToken",
    "Cancelled",
    "Channel",
    "ChannelClosed",
    "ChannelRejected",
    "ConnectionLost",
    "DataLoss",
    "DeadlineExceeded",
    "Dropped",
    "EndOfStream",
    "FailedPrecondition",
    "Follower",
    "IdleTimeout",
    "Internal",
    "InvalidArgument",
    "Mailbox",
    "MailboxFull",
    "Message",
    "Node",
    "NotFound",
    "OutOfRange",
    "Peer",
    "PenstockError",
    "PermissionDenied",
    "Port",
    "ProtocolError",
    "Reconnect",
    "ReentrancyError",
    "ResourceExhausted",
    "Retained",
    "Server",
    "Settings",
    "Sink",
    "SinkRef",
    "Source",
    "SourceRef",
    "Statistics",
    "StatusError",
    "Stream",
    "StreamCancelled",
    "StreamClosed",
    "StreamConsumer",
    "StreamEvent",
    "StreamProducer",
    "Struct",
    "Supervision",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "WouldBlock",
    "asgi",
    "connect",
    "context",
    "exposed",
    "idempotent",
    "options",
    "pipe",
    "receives",
    "ref",
    "retained",
    "serve",
    "tell",
    "watch_backpressure",
]


def __getattr__(name: str) -> Any:
    """Import `Node` at its first use: it brings a database, which streams and services do not need."""
    if name != "Node":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from penstock.node import Node

    globals()[name] = Node
    return Node


def __dir__() -> list[str]:
    """Return the public names, for completion, with those that are imported at their first use."""
    return __all__
