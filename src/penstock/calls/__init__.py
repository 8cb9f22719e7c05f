"""Both ends of a call: the stub and its stream at the caller, dispatch and the running handler at the callee."""

from penstock.calls._call import Call
from penstock.calls._cancel import CancelToken
from penstock.calls._context import (
    CallInfo,
    Interceptor,
    Unannounced,
    context,
    current_call,
    inherited_deadline,
    intercepted,
    is_cancelled,
    leave_call,
    loop_here,
    unannounced_call,
)
from penstock.calls._dispatch import Dispatcher, Found
from penstock.calls._events import ConvertedStream, EventStream, RefusedStream, StreamEvent
from penstock.calls._request import Request, milliseconds_until, open_of, untyped_request
from penstock.calls._scope import CallScope
from penstock.calls._stream import RemoteStream, Stream
from penstock.calls._stub import Stub, bind
from penstock.calls._unary import call_unary

__all__ = [
    "Call",
    "CallInfo",
    "CallScope",
    "CancelToken",
    "ConvertedStream",
    "Dispatcher",
    "EventStream",
    "Found",
    "Interceptor",
    "RefusedStream",
    "RemoteStream",
    "Request",
    "Stream",
    "StreamEvent",
    "Stub",
    "Unannounced",
    "bind",
    "call_unary",
    "context",
    "current_call",
    "inherited_deadline",
    "intercepted",
    "is_cancelled",
    "leave_call",
    "loop_here",
    "milliseconds_until",
    "open_of",
    "unannounced_call",
    "untyped_request",
]
