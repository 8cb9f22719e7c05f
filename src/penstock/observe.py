"""The one tap: everything that happens to actors, as typed events. This module keeps nothing and waits for nothing by itself.

What happens is told where it happens, by ``tap.record``; who listens (a history, a log, a screen) implements `Tap`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final, Literal, Protocol, get_args

#: What can happen to an actor; `data` of each is a map:
#:
#: ================= ==========================================================================================
#: spawned           actor ("module:Class"), id, parent, args, kwargs: how to make a fresh one
#: started           restarts: how many times before
#: message           n (its number at this actor), via (tell, ask, timer, system), type, args; kwargs, sender if any
#: reply             n, result
#: error             n, error (class), text: the handler raised a `StatusError`, which is an answer
#: crashed           n or None, error, text: the handler raised anything else
#: restarted         after_s: the back-off that was waited for, reason
#: stopped           reason
#: timer             type: a tick that found its last one still waiting and was left out
#: stream_started    stream (a number), type, args, kwargs
#: stream_ended      stream, items, outcome (ended, failed, cancelled, lost), text
#: channel_opened    channel (an id), initiator, payload
#: channel_accepted  channel, payload
#: channel_rejected  channel, reason
#: channel_message   channel, direction (in, out), message
#: channel_closed    channel, outcome (closed, lost), reason
#: dropped           type, sender: a full mailbox dropped its oldest message
#: dead_letter       type, sender, reason: a message that nobody will handle
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
    """Who is told what happens. `record` runs on the event loop, in the middle of things: it never waits and never raises."""

    @abstractmethod
    def record(self, actor: str, kind: Kind, data: dict[str, Any]) -> None:
        """Take one event. Values in `data` may change afterwards: what is kept of them is kept now."""

    @property
    @abstractmethod
    def full(self) -> bool:
        """Whether no more should be recorded before `room` has returned: an actor handles no further message until then."""

    @abstractmethod
    async def room(self) -> None:
        """Wait until more can be recorded. Safe to cancel."""
