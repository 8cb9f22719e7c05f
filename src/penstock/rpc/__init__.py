"""How you program: services, stubs, calls, what goes around them. It never handles a byte."""

from penstock.rpc._context import NO_DEADLINE_S, CallInfo, Interceptor, context, enter_all, inherited_deadline
from penstock.rpc._context import current as current_call
from penstock.rpc._describe import MethodDescription, ParameterDescription, ServiceDescription, describe
from penstock.rpc._dispatch import Dispatcher
from penstock.rpc._options import CallOptions, options
from penstock.rpc._peer import Peer
from penstock.rpc._request import Request
from penstock.rpc._server import Server, connect, serve
from penstock.rpc._service import KINDS, Method, Service, service_of, unknown
from penstock.rpc._stream import Call, RemoteStream
from penstock.rpc.addressed import (
    ARGUMENTS,
    ASK_TIMEOUT_S,
    NOBODY,
    PAYLOAD,
    ActorRef,
    ActorStub,
    AskOptions,
    Caller,
    CancelToken,
    ChannelOptions,
    LaneError,
    LaneMessage,
    LaneReply,
    Message,
    PortOptions,
    Router,
    ShortMessage,
    ShortReply,
    Stream,
    StreamEvent,
    arguments_in,
    arguments_of,
    here,
    ref,
    tell,
)
from penstock.rpc.refs import SinkRef, SourceRef
from penstock.rpc.remote import RemoteRef, seen

__all__ = [
    "ARGUMENTS",
    "ASK_TIMEOUT_S",
    "KINDS",
    "NOBODY",
    "NO_DEADLINE_S",
    "PAYLOAD",
    "ActorRef",
    "ActorStub",
    "AskOptions",
    "Call",
    "CallInfo",
    "CallOptions",
    "Caller",
    "CancelToken",
    "ChannelOptions",
    "Dispatcher",
    "Interceptor",
    "LaneError",
    "LaneMessage",
    "LaneReply",
    "Message",
    "Method",
    "MethodDescription",
    "ParameterDescription",
    "Peer",
    "PortOptions",
    "RemoteRef",
    "RemoteStream",
    "Request",
    "Router",
    "Server",
    "Service",
    "ServiceDescription",
    "ShortMessage",
    "ShortReply",
    "SinkRef",
    "SourceRef",
    "Stream",
    "StreamEvent",
    "arguments_in",
    "arguments_of",
    "connect",
    "context",
    "current_call",
    "describe",
    "enter_all",
    "here",
    "inherited_deadline",
    "options",
    "ref",
    "seen",
    "serve",
    "service_of",
    "tell",
    "unknown",
]
