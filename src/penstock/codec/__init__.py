"""Values to bytes and back, typed. Nothing here knows what the bytes are for."""

from penstock.codec._codec import JSON, MSGPACK, UNDECODABLE, UNENCODABLE, Codec, Decode, by_number, decode_other
from penstock.codec._joined import Joined, has_joined, join
from penstock.codec._marked import decode_marked
from penstock.codec._types import check_type, json_schemas

__all__ = [
    "JSON",
    "MSGPACK",
    "UNDECODABLE",
    "UNENCODABLE",
    "Codec",
    "Decode",
    "Joined",
    "by_number",
    "check_type",
    "decode_marked",
    "decode_other",
    "has_joined",
    "join",
    "json_schemas",
]
