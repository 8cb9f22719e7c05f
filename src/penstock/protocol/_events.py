"""The events of a connection, for the session that drives it: each action of the peer, with the stream it concerns."""

from __future__ import annotations

import msgspec

from penstock.errors import ProtocolError
from penstock.protocol._frames import Accept, Cancel, GoAway, Hello, Status
from penstock.protocol._stream import WireStream


class Event(msgspec.Struct, frozen=True):
    """An action of the peer, or its absence."""


class Ready(Event, frozen=True):
    """The peer's `HELLO` arrived: calls can begin."""

    hello: Hello


class Introduced(Event, frozen=True):
    """A client has said `HELLO` to a server that decides about it first: `Introduction.greet` or `refuse` goes on."""

    hello: Hello


class Opened(Event, frozen=True):
    """The peer opened a stream; its `OPEN` is `stream.opened`."""

    stream: WireStream


class Accepted(Event, frozen=True):
    """The peer began to work on our call."""

    stream: WireStream
    accept: Accept


class ItemsArrived(Event, frozen=True):
    """A batch waits in `stream.receive.queue`."""

    stream: WireStream


class RoomMade(Event, frozen=True):
    """The peer granted credit: `stream.send` may go further."""

    stream: WireStream


class Ended(Event, frozen=True):
    """The peer's direction ended; `status` is None for the caller's normal end and for the callee's end with its last item."""

    stream: WireStream
    status: Status | None


class HalfClosed(Event, frozen=True):
    """The callee's items have ended; its `STATUS` is still to come, and it still reads our items."""

    stream: WireStream


class Closed(Event, frozen=True):
    """The caller ended its items and closed the call with a reason: it takes no more of our items. The stream is over."""

    stream: WireStream
    reason: str


class StopSending(Event, frozen=True):
    """The callee takes no more of our items; the call goes on."""

    stream: WireStream
    cancel: Cancel


class CallCancelled(Event, frozen=True):
    """The caller gave up the call."""

    stream: WireStream
    cancel: Cancel


class Draining(Event, frozen=True):
    """The peer takes no new streams; open streams go on."""

    goaway: GoAway


class ResumeAsked(Event, frozen=True):
    """The client wants to take up an earlier session over this link: `hello` has its token. `Links.begin_new` answers."""

    hello: Hello


class WentOn(Event, frozen=True):
    """The session goes on over the new link."""


class NotResumed(Event, frozen=True):
    """The server cannot take up the session, for this reason. `elsewhere`: it is another one than the session was with."""

    message: str
    elsewhere: bool = False


class Confirmed(Event, frozen=True):
    """The client knows that its session goes on, and the token of the new link: the earlier one is void."""


class Silent(Event, frozen=True):
    """The link of a session that can be resumed brings nothing any more, for this reason. Abort it."""

    message: str


class Left(Event, frozen=True):
    """The peer has closed the session: nothing follows."""


class Failed(Event, frozen=True):
    """The connection cannot go on: the peer broke a rule, reports that we did, or is silent. Close it after the last write.

    `error` is the broken rule when this side noticed it, else None. `code`: one of `REFUSALS` when the server does not
    take this client, else 0.
    """

    error: ProtocolError | None
    message: str
    code: int = 0
