"""The run-time of one actor: mailbox, messages, life, failures, work beside the mailbox. It finds no other actor."""

from penstock.actors._supervision import Supervision
from penstock.actors.cell._asking import ask, call_of, envelope_for, port_of
from penstock.actors.cell._cell import Cell
from penstock.actors.cell._cycles import Waiting, check_cycle, check_read, is_waited_for
from penstock.actors.cell._envelope import NO_REPLY, Envelope, handling, sender_here
from penstock.actors.cell._host import Host
from penstock.actors.cell._inline import handle_now, inline_context
from penstock.actors.cell._life import HOOKS, profile_of, record_spawn, restart_asked, start
from penstock.actors.cell._mailbox import DEFAULT_MAILBOX, LARGE_BYTES, OVERFLOWS, Mailbox, Overflow
from penstock.actors.cell._side_task import STOP_GRACE_S, SideTask
from penstock.actors.cell._stop import stop
from penstock.actors.cell._timer import Timer

__all__ = [
    "DEFAULT_MAILBOX",
    "HOOKS",
    "LARGE_BYTES",
    "NO_REPLY",
    "OVERFLOWS",
    "STOP_GRACE_S",
    "Cell",
    "Envelope",
    "Host",
    "Mailbox",
    "Overflow",
    "SideTask",
    "Supervision",
    "Timer",
    "Waiting",
    "ask",
    "call_of",
    "check_cycle",
    "check_read",
    "envelope_for",
    "handle_now",
    "handling",
    "inline_context",
    "is_waited_for",
    "port_of",
    "profile_of",
    "record_spawn",
    "restart_asked",
    "sender_here",
    "start",
    "stop",
]
