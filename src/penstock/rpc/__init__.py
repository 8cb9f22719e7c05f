"""How you program: services, stubs, calls, what goes around them. It never handles a byte."""

from penstock.rpc._context import CallInfo, Interceptor, context
from penstock.rpc._describe import MethodDescription, ParameterDescription, ServiceDescription, describe
from penstock.rpc._options import CallOptions, options
from penstock.rpc._peer import Peer
from penstock.rpc._request import Request
from penstock.rpc._server import Server, connect, serve
from penstock.rpc._service import KINDS, Method, Service, service_of, unknown
from penstock.rpc._stream import Call, Stream

__all__ = [
    "KINDS",
    "Call",
    "CallInfo",
    "CallOptions",
    "Interceptor",
    "Method",
    "MethodDescription",
    "ParameterDescription",
    "Peer",
    "Request",
    "Server",
    "Service",
    "ServiceDescription",
    "Stream",
    "connect",
    "context",
    "describe",
    "options",
    "serve",
    "service_of",
    "unknown",
]
