"""The legal order of frames (PROTOCOL.md §3), as tables: an absent key *is* the error.

A stream has two directions, and each side walks through its own table with the frames that it sends::

    caller   idle ──OPEN──▶ open ──ITEMS*──▶ open ──END | ITEMS+LAST──▶ ended ──CANCEL──▶ closed
    callee   idle ──ACCEPT──▶ open ──ITEMS*──▶ open ──END──▶ ended ──STATUS──▶ closed
                                               open ──STATUS | ITEMS+LAST──▶ closed

The callee may answer without `ACCEPT` when its first message is its last one. A frame that closes a direction closes the
stream. A `CANCEL` by the callee asks the caller to end its direction and changes nothing else. `END` with a reason closes both
directions; in the tables it is a step of its own, `END` with `CLOSING`.
"""

from __future__ import annotations

from typing import Final, NoReturn

from penstock.errors import ProtocolError
from penstock.protocol._frames import (
    ACCEPT,
    CANCEL,
    CREDIT,
    END,
    ITEMS,
    LAST,
    OPEN,
    STATUS,
    FrameType,
)

Table = dict[str, dict[tuple[int, int], str]]

#: The mark of an `END` that has a reason, in the place of the flags: `END` has no flag on the wire.
CLOSING: Final = LAST


CALLER: Final[Table] = {
    "idle": {(OPEN, 0): "open", (OPEN, LAST): "ended"},
    "open": {
        (ITEMS, 0): "open",
        (ITEMS, LAST): "ended",
        (END, 0): "ended",
        (END, CLOSING): "closed",
        (CREDIT, 0): "open",
        (CANCEL, 0): "closed",
    },
    "ended": {(CREDIT, 0): "ended", (END, CLOSING): "closed", (CANCEL, 0): "closed"},
    "closed": {},
}

CALLEE: Final[Table] = {
    "idle": {
        (ACCEPT, 0): "open",
        (ITEMS, LAST): "closed",
        (STATUS, 0): "closed",
    },
    "open": {
        (ITEMS, 0): "open",
        (ITEMS, LAST): "closed",
        (STATUS, 0): "closed",
        (END, 0): "ended",
        (CREDIT, 0): "open",
        (CANCEL, 0): "open",
    },
    "ended": {(STATUS, 0): "closed", (CREDIT, 0): "ended", (CANCEL, 0): "ended"},
    "closed": {},
}


def step_name(frame_type: int, flags: int) -> str:
    """Return the name of a step as PROTOCOL.md writes it."""
    return FrameType(frame_type).name + ("" if not flags & LAST else "+reason" if frame_type == END else "+LAST")


def refuse_step(table: Table, state: str, frame_type: int, flags: int, *, remote: bool) -> NoReturn:
    """Raise `ProtocolError` (rule 3.4): the table has no such step."""
    side = "caller" if table is CALLER else "callee"
    step = step_name(frame_type, flags)
    raise ProtocolError("3.4", f"{step} from the {side} of a stream whose direction is {state}", remote=remote)
