"""What a connection tells whoever drives it. Nothing here does anything."""

from __future__ import annotations

import msgspec

from penstock.errors import ProtocolError
from penstock.protocol._frames import Accept, Cancel, GoAway, Hello, Resume, Resumed, Status
from penstock.protocol._stream import WireStream


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something the peer did, or failed to do."""


class Ready(Event, frozen=True, gc=False):
    """The peer said `HELLO`: calls can begin."""

    hello: Hello


class Opened(Event, frozen=True, gc=False):
    """The peer opened a stream; its `OPEN` is `stream.opened`."""

    stream: WireStream


class Accepted(Event, frozen=True, gc=False):
    """The peer began to work on our call."""

    stream: WireStream
    accept: Accept


class ItemsArrived(Event, frozen=True, gc=False):
    """A batch waits in `stream.receive.queue`."""

    stream: WireStream


class RoomMade(Event, frozen=True, gc=False):
    """`stream.send` may go further."""

    stream: WireStream


class Ended(Event, frozen=True, gc=False):
    """The peer's direction ended; `status` is None for the caller's normal end and for the callee's end with its last item."""

    stream: WireStream
    status: Status | None


class HalfClosed(Event, frozen=True, gc=False):
    """The callee's items have ended; its `STATUS` is still to come, and it still reads ours."""

    stream: WireStream


class Closed(Event, frozen=True, gc=False):
    """The caller ended its items and closed the call: it wants no more of ours, and says why. The stream is over."""

    stream: WireStream
    reason: str


class StopSending(Event, frozen=True, gc=False):
    """The callee wants no more of our items; the call goes on."""

    stream: WireStream
    cancel: Cancel


class CallCancelled(Event, frozen=True, gc=False):
    """The caller gave up the call."""

    stream: WireStream
    cancel: Cancel


class Draining(Event, frozen=True, gc=False):
    """The peer takes no new streams; what is open goes on."""

    goaway: GoAway


class ResumeAsked(Event, frozen=True, gc=False):
    """The peer wants to take up an earlier session on this connection."""

    resume: Resume


class ResumeAnswered(Event, frozen=True, gc=False):
    """What became of our wish to take up an earlier session."""

    resumed: Resumed


class Failed(Event, frozen=True, gc=False):
    """The connection cannot go on: the peer broke a rule, or said that we did, or is silent. Close it after the last write."""

    error: ProtocolError | None
    message: str
