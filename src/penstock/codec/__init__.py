"""Values to bytes and back, typed. Nothing here knows what the bytes are for."""

from penstock.codec._codec import JSON, MSGPACK, UNDECODABLE, UNENCODABLE, Codec, Decode, by_number
from penstock.codec._types import check_type, json_schemas

__all__ = ["JSON", "MSGPACK", "UNDECODABLE", "UNENCODABLE", "Codec", "Decode", "by_number", "check_type", "json_schemas"]
