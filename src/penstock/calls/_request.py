"""`Request`: a call before it begins, and the `OPEN` that begins it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import msgspec

from penstock.calls._context import Interceptor
from penstock.calls._scope import Around, CallScope
from penstock.codec import MSGPACK, UNENCODABLE, Codec, Decode, decode_marked, refuse_value
from penstock.errors import DeadlineExceeded, InvalidArgument
from penstock.protocol import CallKind, Grant, Open
from penstock.service import DEFAULT, NO_DEADLINE_S, CallOptions
from penstock.session import Session
from penstock.streams import Dropped, checked_seconds


class Request(msgspec.Struct, frozen=True):
    """A call before it begins.

    target: "Service/method"; "/address/method" for an actor.
    kind: the kind of call.
    codec: encodes the argument and the items.
    argument: the encoded arguments; None without any.
    decode: decodes the result or the items.
    options: time-outs, buffer, priority, metadata.
    label: the name in error messages, when the target does not explain itself.
    guard: an interceptor of this call alone, outside the others; None for none.
    window: when not 0, the number of items that may be under way at first. A fast consumer gets more, up to `buffer_size`;
        a slow consumer gets recent items.
    again: how often a unary call that may have started is made again, when its session is lost.
    """

    target: str
    kind: CallKind
    codec: Codec
    argument: bytes | None
    decode: Decode
    options: CallOptions
    label: str = ""
    window: int = 0
    guard: Interceptor | None = None
    again: int = 0

    def around(self, scope: CallScope) -> tuple[Around, ...]:
        """Return the interceptors of the call, the outermost first. A call waits for a session that takes it."""
        if not scope.session.takes_calls and scope.next_session is not None:
            return (_next_session, *((self.guard,) if self.guard is not None else ()), *scope.interceptors)
        return scope.interceptors if self.guard is None else (self.guard, *scope.interceptors)

    @property
    def name(self) -> str:
        """The name in error messages."""
        return self.label or self.target


@asynccontextmanager
async def _next_session(call: Any) -> AsyncIterator[None]:
    """Wait for the session that takes the place of the present one: an interceptor."""
    await call._scope.next_session(call.deadline)
    yield


def untyped_request(
    target: str,
    kind: CallKind,
    args: tuple[Any, ...],
    options: CallOptions = DEFAULT,
    codec: Codec = MSGPACK,
    *,
    type: Any = Any,
) -> Request:
    """Return a call by name, whose result is of the type `type`. Raises `InvalidArgument` for arguments that cannot travel."""
    try:
        argument = codec.encode(args) if args else None
    except UNENCODABLE as error:
        refuse_value(error, target, InvalidArgument)
    decode = decode_marked(codec, type, Dropped) if kind & CallKind.SERVER_STREAMING else codec.decode_for(type)
    return Request(target, kind, codec, argument, decode, options)


def milliseconds_until(deadline: float, now_s: float) -> int | None:
    """Return the time until a deadline as it travels: 0 when it has passed, None for one as far away as none.

    Raises `ValueError` for a deadline that is not a number; an interceptor may have set it.
    """
    left_s = checked_seconds("the deadline", deadline - now_s, above=-inf) or 0.0
    if left_s > NO_DEADLINE_S:
        return None
    return 0 if left_s <= 0 else int(left_s * 1000) or 1


def open_of(session: Session, request: Request, metadata: dict[str, str], deadline: float | None, grant: Grant) -> Open:
    """Return the `OPEN` of a call. Raises `DeadlineExceeded` when its deadline has passed."""
    options, deadline_ms = request.options, None
    if deadline is not None:
        deadline_ms = milliseconds_until(deadline, session.loop.time())
        if deadline_ms == 0:
            raise DeadlineExceeded(f"{request.name}: the deadline passed before the call began", started=False)
    return Open(
        request.target,
        request.kind,
        request.codec.number,
        grant.items,
        grant.bytes,
        request.argument,
        metadata,
        deadline_ms,
        options.priority_number,
        0,
        options.buffer_size or 0,
        options.buffer_bytes or 0,
    )
