"""The run-time of one actor: mailbox, messages, life, failures, side tasks. It knows no other actor by name."""

from penstock.actors._supervision import Supervision
from penstock.actors.cell._asking import (
    ask,
    call_here,
    call_of,
    caller_here,
    deadline_here,
    envelope_for,
    handle_now,
    subscribe,
    subscriber_size,
)
from penstock.actors.cell._belongings import STOP_GRACE_S
from penstock.actors.cell._cell import Cell, inline_context
from penstock.actors.cell._context import own_context
from penstock.actors.cell._cycles import Waiting, check_cycle, check_read, is_waited_for
from penstock.actors.cell._envelope import NO_REPLY, Envelope, handling, sender_here
from penstock.actors.cell._incarnation import restart_asked, start
from penstock.actors.cell._lifecycle import Lifecycle
from penstock.actors.cell._mailbox import DEFAULT_MAILBOX, Mailbox, Overflow
from penstock.actors.cell._profile import HOOKS, is_actor_class, profile_of
from penstock.actors.cell._side_work import SideTask, Timer

__all__ = [
    "DEFAULT_MAILBOX",
    "HOOKS",
    "NO_REPLY",
    "STOP_GRACE_S",
    "Cell",
    "Envelope",
    "Lifecycle",
    "Mailbox",
    "Overflow",
    "SideTask",
    "Supervision",
    "Timer",
    "Waiting",
    "ask",
    "call_here",
    "call_of",
    "caller_here",
    "check_cycle",
    "check_read",
    "deadline_here",
    "envelope_for",
    "handle_now",
    "handling",
    "inline_context",
    "is_actor_class",
    "is_waited_for",
    "own_context",
    "profile_of",
    "restart_asked",
    "sender_here",
    "start",
    "subscribe",
    "subscriber_size",
]
