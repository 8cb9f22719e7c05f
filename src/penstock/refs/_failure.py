"""How the sender of a claimed sink says that its stream has failed: the last item of its requests. It never raises it."""

from __future__ import annotations

from typing import Any, Final

from penstock.codec import MSGPACK, Extension, ExtensionCode, register_extension
from penstock.errors import StatusError, status_error
from penstock.session import status_of

_BODY: Final = MSGPACK.decode_for(tuple[int, str, str, dict[str, Any]]).value


class Failure:
    """The outcome of a stream, as one of its items."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error if isinstance(error, StatusError) else StatusError(str(error))


def _pack(failure: Failure) -> bytes:
    status = status_of(failure.error)
    return MSGPACK.encode((status.code, status.reason, status.message, status.details))


def _unpack(data: bytes) -> Failure:
    return Failure(status_error(*_BODY(data)))


register_extension(Failure, Extension(ExtensionCode.FAILURE, _pack, _unpack))
