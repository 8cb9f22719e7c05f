"""What a call needs to begin, and how its end is told. This module keeps no call."""

from __future__ import annotations

import msgspec

from penstock.codec import Codec, Decode
from penstock.errors import DeadlineExceeded, EndOfStream, status_error
from penstock.protocol import CallKind, Open, ReceiveHalf, Status, WireStream
from penstock.service import CallOptions
from penstock.session import Session


class Request(msgspec.Struct, frozen=True, gc=False):
    """A call to be made.

    `called` is how errors name it, when its target does not say what it is. `window`, when not 0, is how many items may be
    under way at first: a consumer that keeps up gets more, up to the `buffer_size` of the options, a slow one what is new.
    """

    target: str
    kind: CallKind
    codec: Codec
    argument: bytes | None
    decode: Decode
    options: CallOptions
    called: str = ""
    window: int = 0

    @property
    def name(self) -> str:
        """How errors name it."""
        return self.called or self.target


def error_of(status: Status) -> Exception:
    """Make the outcome of a call from how its callee ended it."""
    if status.code == 0:
        return EndOfStream()
    return status_error(status.code, status.reason, status.message, status.details, started=status.started)


def open_stream(
    session: Session, request: Request, metadata: dict[str, str], deadline: float | None, half: ReceiveHalf
) -> WireStream:
    """Queue the `OPEN` of a call. Raises what makes it impossible; then nothing was sent."""
    options, deadline_ms = request.options, None
    if deadline is not None:
        left_s = deadline - session.loop.time()
        if left_s <= 0:
            raise DeadlineExceeded(f"{request.name}: the deadline passed before the call began", started=False)
        deadline_ms = int(left_s * 1000) or 1
    session.check_open()
    opened = Open(
        request.target,
        request.kind,
        request.codec.number,
        half.grant.items,
        half.grant.bytes,
        request.argument,
        metadata,
        deadline_ms,
        options.priority_number,
        0,
        options.buffer_size or 0,
        options.buffer_bytes or 0,
    )
    return session.connection.open(opened, half)
