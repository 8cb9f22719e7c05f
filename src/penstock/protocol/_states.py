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

from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._frames import LAST, FrameType

Table = dict[str, dict[tuple[int, int], str]]

#: The mark of an `END` that has a reason, in the place of the flags: `END` has no flag on the wire.
CLOSING: Final = LAST

_OPEN, _ACCEPT, _ITEMS, _CREDIT = FrameType.OPEN, FrameType.ACCEPT, FrameType.ITEMS, FrameType.CREDIT
_END, _STATUS, _CANCEL = FrameType.END, FrameType.STATUS, FrameType.CANCEL

CALLER: Final[Table] = {
    "idle": {(_OPEN, 0): "open", (_OPEN, LAST): "ended"},
    "open": {
        (_ITEMS, 0): "open",
        (_ITEMS, LAST): "ended",
        (_END, 0): "ended",
        (_END, CLOSING): "closed",
        (_CREDIT, 0): "open",
        (_CANCEL, 0): "closed",
    },
    "ended": {(_CREDIT, 0): "ended", (_END, CLOSING): "closed", (_CANCEL, 0): "closed"},
    "closed": {},
}

CALLEE: Final[Table] = {
    "idle": {
        (_ACCEPT, 0): "open",
        (_ITEMS, LAST): "closed",
        (_STATUS, 0): "closed",
    },
    "open": {
        (_ITEMS, 0): "open",
        (_ITEMS, LAST): "closed",
        (_STATUS, 0): "closed",
        (_END, 0): "ended",
        (_CREDIT, 0): "open",
        (_CANCEL, 0): "open",
    },
    "ended": {(_STATUS, 0): "closed", (_CREDIT, 0): "ended", (_CANCEL, 0): "ended"},
    "closed": {},
}


def step_name(kind: int, flags: int) -> str:
    """Return the name of a step as PROTOCOL.md writes it."""
    return FrameType(kind).name + ("" if not flags & LAST else "+reason" if kind == _END else "+LAST")


def advance(table: Table, state: str, kind: int, flags: int, *, remote: bool) -> str:
    """Return the state after this frame; raise `ProtocolError` (rule 3.4) when the table has no such step."""
    following = table[state].get((kind, flags & LAST))
    if following is None:
        side = "caller" if table is CALLER else "callee"
        step = step_name(kind, flags)
        raise ProtocolError("3.4", f"{step} from the {side} of a stream whose direction is {state}", remote=remote)
    return following
