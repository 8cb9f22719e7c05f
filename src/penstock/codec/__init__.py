"""Values to bytes and back, typed: two codecs, extension types, checks of types."""

from penstock.codec._codec import (
    JSON,
    MSGPACK,
    UNDECODABLE,
    UNENCODABLE,
    WHOLE_MSGPACK,
    Codec,
    Decode,
    MarkedBatch,
    as_travelled,
    by_number,
    decode_marked,
    reader,
    refuse_value,
)
from penstock.codec._exact import Inexact, exact, finite, keeps, restored, typed
from penstock.codec._extensions import Extension, ExtensionCode, is_extension, register_extension
from penstock.codec._models import with_references
from penstock.codec._schema import json_schemas
from penstock.codec._types import check_type

__all__ = [
    "JSON",
    "MSGPACK",
    "UNDECODABLE",
    "UNENCODABLE",
    "WHOLE_MSGPACK",
    "Codec",
    "Decode",
    "Extension",
    "ExtensionCode",
    "Inexact",
    "MarkedBatch",
    "as_travelled",
    "by_number",
    "check_type",
    "decode_marked",
    "exact",
    "finite",
    "is_extension",
    "json_schemas",
    "keeps",
    "reader",
    "refuse_value",
    "register_extension",
    "restored",
    "typed",
    "with_references",
]
