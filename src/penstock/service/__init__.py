"""A class as a schema: its methods, their kinds, types and arguments, and the options of a call. Nothing here makes a call."""

from penstock.service._arguments import Arguments
from penstock.service._describe import MethodDescription, ParameterDescription, ServiceDescription, describe
from penstock.service._exposed import Exposed, exposed, served
from penstock.service._hints import hints_of
from penstock.service._options import (
    DEFAULT,
    NO_DEADLINE_S,
    PRIORITIES,
    CallOptions,
    PriorityName,
    changed,
    idempotent,
    options,
    receives,
)
from penstock.service._payload import arguments_in, arguments_of, written_arguments
from penstock.service._service import Method, Service, service_of
from penstock.service._suggest import suggest, unknown_method

__all__ = [
    "DEFAULT",
    "NO_DEADLINE_S",
    "PRIORITIES",
    "Arguments",
    "CallOptions",
    "Exposed",
    "Method",
    "MethodDescription",
    "ParameterDescription",
    "PriorityName",
    "Service",
    "ServiceDescription",
    "arguments_in",
    "arguments_of",
    "changed",
    "describe",
    "exposed",
    "hints_of",
    "idempotent",
    "options",
    "receives",
    "served",
    "service_of",
    "suggest",
    "unknown_method",
    "written_arguments",
]
