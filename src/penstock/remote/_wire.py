"""What travels on a lane: one stream each way between a caller and an actor, messages there, answers back (PROTOCOL.md §12).

One lane for each actor that a connection talks to: its messages arrive in the order they were sent, whether told or asked, and
many of them share a frame. It keeps no state.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from penstock.protocol import Status
from penstock.session import error_of

#: How `LaneMessage.body` is to be read: as arguments (an array by place, a map by name), or as one payload.
ARGUMENTS: Final = 0
PAYLOAD: Final = 1
_NIL: Final = b"\xc0"


#: Characters of what a message is called and of who sends it, and how many may wait for it: they are kept and told.
NAME_MAX: Final = 256
SENDER_MAX: Final = 1024
WAITING_MAX: Final = 256


class LaneMessage(msgspec.Struct, array_like=True, gc=False):
    """A message. `id` is 0 for one that is told, above for one that is asked; below, it gives up the ask of that number.

    `sender` is the actor that sends it, `waiting` the ids of the actors that wait for its answer, `deadline_ms` what is left.
    """

    id: int
    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX)]
    body: msgspec.Raw = msgspec.Raw()
    form: int = ARGUMENTS
    sender: Annotated[str, msgspec.Meta(max_length=SENDER_MAX)] | None = None
    waiting: Annotated[tuple[str, ...], msgspec.Meta(max_length=WAITING_MAX)] = ()
    deadline_ms: int | None = None
    metadata: dict[str, str] | None = None


class PlainMessage(msgspec.Struct, array_like=True, gc=False):
    """A `LaneMessage` that has nothing else to say, as its sender makes it: its body is encoded in its place."""

    id: int
    name: str
    body: Any


class LaneError(msgspec.Struct, array_like=True, gc=False):
    """The error of an ask: a `Status` without its count of items."""

    code: int
    reason: str
    message: str
    details: dict[str, Any] = {}
    started: bool = True

    @classmethod
    def of(cls, status: Status) -> LaneError:
        """Return `status` as the answer to an ask."""
        return cls(status.code, status.reason, status.message, status.details, status.started)

    def error(self) -> Exception:
        """Return the error that its asker gets."""
        return error_of(Status(self.code, self.reason, self.message, self.details, self.started))


class LaneReply(msgspec.Struct, array_like=True, gc=False):
    """The answer to the ask of the same number: an encoded result, or an error."""

    id: int
    result: msgspec.Raw = msgspec.Raw(_NIL)
    error: LaneError | None = None


class PlainReply(msgspec.Struct, array_like=True, gc=False):
    """A `LaneReply` without an error; its result is encoded in its place."""

    id: int
    result: Any
