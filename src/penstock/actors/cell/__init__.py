"""The run-time of one actor: mailbox, messages, life, failures, work beside the mailbox. It finds no other actor."""

from penstock.actors._supervision import Supervision
from penstock.actors.cell._asking import ask, call_of, letter_for, port_of
from penstock.actors.cell._beside import STOP_GRACE_S, Beside
from penstock.actors.cell._cell import Cell
from penstock.actors.cell._cycles import Waiting, check_cycle, check_read, is_waited_for
from penstock.actors.cell._instant import handle_now, place_of
from penstock.actors.cell._letter import TAKEN, Letter, handling, sender_here
from penstock.actors.cell._life import HOOKS, profile_of, record_spawn, restart_asked, start
from penstock.actors.cell._mailbox import DEFAULT_MAILBOX, LARGE_BYTES, Mailbox
from penstock.actors.cell._stop import stop
from penstock.actors.cell._timer import Timer
from penstock.actors.cell._world import World

__all__ = [
    "DEFAULT_MAILBOX",
    "HOOKS",
    "LARGE_BYTES",
    "STOP_GRACE_S",
    "TAKEN",
    "Beside",
    "Cell",
    "Letter",
    "Mailbox",
    "Supervision",
    "Timer",
    "Waiting",
    "World",
    "ask",
    "call_of",
    "check_cycle",
    "check_read",
    "handle_now",
    "handling",
    "is_waited_for",
    "letter_for",
    "place_of",
    "port_of",
    "profile_of",
    "record_spawn",
    "restart_asked",
    "sender_here",
    "start",
    "stop",
]
