"""A class as a schema: its methods, their kinds and types, their arguments. Nothing here makes a call."""

from penstock.service._describe import MethodDescription, ParameterDescription, Reflection, ServiceDescription, describe
from penstock.service._options import DEFAULT, CallOptions, changed, options
from penstock.service._payload import arguments_of
from penstock.service._service import Method, Service, service_of, suggest

__all__ = [
    "DEFAULT",
    "CallOptions",
    "Method",
    "MethodDescription",
    "ParameterDescription",
    "Reflection",
    "Service",
    "ServiceDescription",
    "arguments_of",
    "changed",
    "describe",
    "options",
    "service_of",
    "suggest",
]
