"""The messages and answers of a lane, as they travel (PROTOCOL.md §12).

A lane is one bidirectional call between a caller and an actor. Its messages, tells and asks alike, arrive in the order in which
they were sent, and many of them share a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec

from penstock._values import is_over, own_size, values_of
from penstock.codec import MSGPACK, Decode
from penstock.protocol import BATCH_BYTES, NO_DETAILS, Status
from penstock.session import error_of

#: Metadata of the opening of a channel: the ids of the actors that wait for the answer, separated by spaces.
WAITING: Final = "waiting"
#: The form of `LaneMessage.body`: arguments (an array by place, a map by name), or one payload.
ARGUMENTS: Final = 0
PAYLOAD: Final = 1
#: … and that of a message whose body had too many values: it has no body any more.
EMPTIED: Final = -1
#: … or of one whose bytes cannot be decoded.
GARBLED: Final = -2
_NIL: Final = b"\xc0"
#: Bytes of a batch that is looked through for what of it can be decoded.
SALVAGED_BYTES_MAX: Final = 2 * BATCH_BYTES
#: Limits of a message, because the callee keeps these: characters of its name and of its sender, the number of waiting
#: actors, and entries of its metadata.
NAME_MAX: Final = 256
SENDER_MAX: Final = 1024
WAITING_MAX: Final = 256
METADATA_MAX: Final = 4096


class Begin(msgspec.Struct, array_like=True, gc=False):
    """How a message begins, and an answer."""

    id: int
    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX)] = ""


class LaneMessage(msgspec.Struct, array_like=True, gc=False):
    """A message to the actor of the lane, as it arrives. A sender has a `PlainMessage` or a `DescribedMessage`.

    id: 0 for a tell, n for ask n, -n to cancel ask n.
    name: the method.
    body: the encoded arguments or payload, as `form` says.
    form: `ARGUMENTS` or `PAYLOAD`.
    sender: the address of the sending actor; None without one.
    waiting: the ids of the actors that wait for the answer.
    deadline_ms: milliseconds until the deadline; None without one.
    metadata: strings for the handler; None without any.
    """

    id: int
    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX)]
    body: msgspec.Raw = msgspec.Raw()
    form: int = ARGUMENTS
    sender: Annotated[str, msgspec.Meta(max_length=SENDER_MAX)] | None = None
    waiting: Annotated[tuple[str, ...], msgspec.Meta(max_length=WAITING_MAX)] = ()
    deadline_ms: int | None = None
    metadata: Annotated[dict[str, str], msgspec.Meta(max_length=METADATA_MAX)] | None = None

    @property
    def size(self) -> int:
        """The bytes of its body."""
        return len(self.body)

    @classmethod
    def garbled(cls, begin: Begin) -> LaneMessage:
        """Return a message that cannot be decoded, without its body."""
        return cls(begin.id, begin.name, form=GARBLED)

    def bound(self, values_max: int) -> None:
        """Drop a body of more values."""
        if is_over(bytes(self.body), values_max, json=False):
            self.form, self.body = EMPTIED, msgspec.Raw()


class PlainMessage(msgspec.Struct, array_like=True):
    """A `LaneMessage` with its first three fields only, at its sender: `body` is a value, encoded with the message."""

    id: int
    name: str
    body: Any


class DescribedMessage(PlainMessage, array_like=True):
    """A whole `LaneMessage` at its sender."""

    form: int = ARGUMENTS
    sender: str | None = None
    waiting: tuple[str, ...] = ()
    deadline_ms: int | None = None
    metadata: dict[str, str] | None = None


class LaneError(msgspec.Struct, array_like=True, gc=False):
    """The error of an ask: a `Status` without its count of items (fields as there)."""

    code: int
    reason: str
    message: str
    details: msgspec.Raw = NO_DETAILS
    started: bool = True

    @classmethod
    def of(cls, status: Status) -> LaneError:
        """Return `status` as the answer to an ask."""
        return cls(status.code, status.reason, status.message, status.details, status.started)

    def error(self, side: str) -> Exception:
        """Return the error that the asker of the actor at `side` gets."""
        return error_of(Status(self.code, self.reason, self.message, self.details, self.started), side)


class LaneReply(msgspec.Struct, array_like=True, gc=False):
    """The answer to the ask with the same `id`: an encoded result, or an error."""

    id: int
    result: msgspec.Raw = msgspec.Raw(_NIL)
    error: LaneError | None = None

    @property
    def size(self) -> int:
        """The bytes of its result."""
        return len(self.result)

    @classmethod
    def garbled(cls, begin: Begin) -> LaneReply:
        """Return an answer that cannot be decoded as the error of its ask."""
        return cls(begin.id, error=LaneError(15, "data_loss", "an answer that cannot be decoded"))

    def bound(self, values_max: int) -> None:
        """Put an error in the place of a result of more values."""
        if is_over(bytes(self.result), values_max, json=False):
            text = f"an answer of more than {values_max} values (Settings.max_item_values)"
            self.result, self.error = msgspec.Raw(_NIL), LaneError(8, "resource_exhausted", text)


class PlainReply(msgspec.Struct, array_like=True):
    """A `LaneReply` without an error, at its sender: `result` is a value, encoded with the answer."""

    id: int
    result: Any


Item = TypeVar("Item", LaneMessage, LaneReply)


def bound_all(batch: Sequence[LaneMessage] | Sequence[LaneReply], values_max: int) -> None:
    """Refuse each message or answer of a batch that has more values.

    Only the last one of a batch can be large (rule 4.4). Another one of a peer that cares for no rule is refused uncounted, so
    that a batch costs no more than one of its items.
    """
    for item in batch[:-1]:
        item.bound(values_max if item.size <= BATCH_BYTES else 0)
    batch[-1].bound(values_max)


def salvaging(cls: type[Item], begin_fields: int) -> Decode:
    """Return the decoders of messages or answers. In a batch of theirs, bytes that are no msgpack fail their item alone.

    An honest sender has checked each item. A large batch is not looked through. `begin_fields`: how many of its fields are in
    its `Begin`.
    """
    plain = MSGPACK.decode_for(cls)

    def batch(payload: Any) -> list[Any]:
        try:
            return plain.batch(payload)
        except msgspec.ValidationError:  # an item of another type: its sender speaks another language
            raise
        except msgspec.DecodeError:
            if len(payload) > SALVAGED_BYTES_MAX:
                raise
            return [_salvaged(plain, cls, begin_fields, item) for item in values_of(payload, own_size(payload, 0))]

    return plain._replace(batch=batch, grows=False)  # each message is charged by itself, with what it becomes


def _salvaged(plain: Decode, cls: type[Item], begin_fields: int, item: bytes | bytearray) -> Item:
    try:
        return cast("Item", plain.value(item))
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        fields = list(islice(values_of(item, own_size(item, 0)), begin_fields))
        return cls.garbled(_BEGIN(bytes([_ARRAY + len(fields)]) + b"".join(fields)))


#: The first byte of an array of no values.
_ARRAY: Final = 0x90
_BEGIN: Final = MSGPACK.decode_for(Begin).value
