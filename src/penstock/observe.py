"""The tap: everything that happens to actors, as typed events.

Actors, channels and the actor system call ``tap.record`` where something happens. A listener (a history, a log, a screen)
implements `Tap`; an actor system has one of them at most.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final, Literal, Protocol, get_args

#: The kinds of events of an actor. The `data` of each is a map with these keys:
#:
#: ================= ==========================================================================================
#: spawned           actor ("module:Class"), id, parent, args, kwargs: enough to make a fresh one
#: started           restarts: the number of restarts so far
#: message           n (its number at this actor), via (tell, ask, timer, system), type, args; kwargs, sender if any
#: reply             n, result
#: error             n, error (class), text: the handler raised a `StatusError`, which is an answer
#: crashed           n or None, error, text: the handler raised anything else
#: restarted         after_s: the back-off before it, reason
#: stopped           reason
#: timer             type: a tick that was left out because the last one still waited in the mailbox
#: stream_started    stream (a number), type, args, kwargs
#: stream_ended      stream, items, outcome (ended, failed, cancelled, deadline, lost), text
#: channel_opened    channel (an id), initiator, payload
#: channel_accepted  channel, payload
#: channel_rejected  channel, reason
#: channel_message   channel, direction (in, out), message
#: channel_closed    channel, outcome (closed, lost), reason
#: dropped           type, sender: a full mailbox dropped its oldest message
#: dead_letter       type, sender, reason: a message that will never be handled
#: log               level, text
#: ================= ==========================================================================================
Kind = Literal[
    "spawned",
    "started",
    "message",
    "reply",
    "error",
    "crashed",
    "restarted",
    "stopped",
    "timer",
    "stream_started",
    "stream_ended",
    "channel_opened",
    "channel_accepted",
    "channel_rejected",
    "channel_message",
    "channel_closed",
    "dropped",
    "dead_letter",
    "log",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Tap(Protocol):
    """A listener for the events of actors.

    `record` is called on the event loop, in the middle of a message: an implementation never waits there and never raises. To
    slow the actors down, it reports `full`, and lets `room` wait.
    """

    @abstractmethod
    def record(self, actor: str, kind: Kind, data: dict[str, Any]) -> None:
        """Take one event of the actor with this address.

        Values in `data` may change after the call: encode or copy those to be kept.
        """

    @property
    @abstractmethod
    def full(self) -> bool:
        """Whether the listener has no room: an actor begins no further message until `room` has returned."""

    @abstractmethod
    async def room(self) -> None:
        """Wait until there is room for more events. Safe to cancel; several actors wait at the same time."""
