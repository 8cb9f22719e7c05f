"""Both ends of a call: the stub and its stream at the caller, dispatch and the running handler at the callee."""

from penstock.calls._cancel import CancelToken
from penstock.calls._context import (
    NO_DEADLINE_S,
    CallInfo,
    Interceptor,
    context,
    current_call,
    enter_all,
    inherited_deadline,
    unannounced_call,
)
from penstock.calls._dispatch import Dispatcher
from penstock.calls._events import EventStream, StreamEvent
from penstock.calls._remote_stream import Call, RemoteStream
from penstock.calls._request import Request, error_of, open_stream
from penstock.calls._stream import Stream
from penstock.calls._stub import Stub, bind
from penstock.calls._unary import Unary

__all__ = [
    "NO_DEADLINE_S",
    "Call",
    "CallInfo",
    "CancelToken",
    "Dispatcher",
    "EventStream",
    "Interceptor",
    "RemoteStream",
    "Request",
    "Stream",
    "StreamEvent",
    "Stub",
    "Unary",
    "bind",
    "context",
    "current_call",
    "enter_all",
    "error_of",
    "inherited_deadline",
    "open_stream",
    "unannounced_call",
]
