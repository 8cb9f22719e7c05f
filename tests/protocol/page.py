"""The parts of PROTOCOL.md that are made from the code, so that the two cannot disagree. It never touches the prose."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from penstock import errors
from penstock.protocol import Grant, Limit, Settings
from penstock.protocol._frames import FLAGS, FrameType
from penstock.protocol._states import CALLEE, CALLER, Table, step_name
from tests.protocol.kit import FLAG_NAMES
from tests.protocol.vectors_frames import fragments

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "PROTOCOL.md"
_BLOCK: Final = re.compile(r"(<!-- made from the code: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def states(table: Table) -> str:
    """Draw a table of states."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> idle"]
    for state, steps in table.items():
        arrows: dict[str, list[str]] = {}
        for (kind, flags), following in steps.items():
            arrows.setdefault(following, []).append(step_name(kind, flags))
        lines += [f"    {state} --> {following}: {', '.join(names)}" for following, names in arrows.items()]
    return "\n".join([*lines, "    closed --> [*]", "```"])


def types() -> str:
    """List the types of frames with their numbers and flags."""
    lines = ["| number | type | flags it may carry | stream id |", "|---|---|---|---|"]
    for kind in FrameType:
        flags = ", ".join(name for name, bit in FLAG_NAMES.items() if FLAGS[kind] & bit) or "–"
        of = "0" if kind.name in {"HELLO", "PING", "PONG", "GOAWAY", "ACK", "RESUMED"} else "of its stream"
        lines.append(f"| {int(kind)} | `{kind.name}` | {flags} | {of} |")
    return "\n".join(lines)


def codes() -> str:
    """List the codes of errors, with the reasons that narrow them."""
    lines = ["| code | reason | what it says |", "|---|---|---|", "| 0 | *(empty)* | The normal end. |"]
    for kind in sorted(_subclasses(errors.StatusError), key=lambda kind: (kind.code, _depth(kind))):
        first = (kind.__doc__ or "").split("\n")[0]
        lines.append(f"| {kind.code} | `{kind.reason}` | {first} |")
    return "\n".join(lines)


def _subclasses(kind: type) -> list[type]:
    found = [own for own in kind.__subclasses__() if own.__module__ == errors.__name__]
    return found + [leaf for branch in found for leaf in _subclasses(branch)]


def _depth(kind: type) -> int:
    return len(kind.__mro__)


def limits() -> str:
    """List the default of every limit."""
    lines = ["| setting | default | where it is told |", "|---|---|---|"]
    told = {"max_frame_bytes", "max_item_bytes", "max_header_bytes", "max_streams", "max_ahead_items", "max_ahead_bytes"}
    names = ("max_item_values", "max_connection_bytes", "max_process_bytes", "max_unsent_bytes", "max_connections", *_TIMES)
    for name in (*sorted(told, key=list(Settings.__struct_fields__).index), *names):
        value = getattr(Settings(), name)
        amount = f"{value:g} s" if name.endswith("_s") else f"{value:,}"
        lines.append(f"| `{name}` | {amount} | {'`HELLO`' if name in told else 'not told'} |")
    return "\n".join(lines)


_TIMES: Final = ("handshake_timeout_s", "keepalive_s")


def fragment() -> str:
    """Show the first vector of fragments, byte by byte."""
    (large, *_) = fragments()
    lines = ["```text"]
    for piece in large["frames"]:
        data, flags = bytes.fromhex(piece["hex"]), "+".join(piece["frame"]["flags"])
        parts = [data[:4], data[4:5], data[5:6], data[6:14], data[14:22], data[22:26]]
        payload = data[26:].hex()
        shown = payload if len(payload) <= 24 else f"{payload[:18]}…{payload[-4:]}"
        lines.append(f"{' '.join(part.hex() for part in parts)} {shown}  {flags}, {len(data) - 26} bytes of payload")
    return "\n".join([*lines, "```"])


def credit() -> str:
    """Play the worked example of credit: window 4 items and 1,000 bytes, every batch one item of 400 bytes."""
    grant, limit, sent = Grant(4, 1000), Limit(4, 1000), 0
    rows = ["| what happens | sent: items, bytes | credit: items, bytes | consumed |", "|---|---|---|---|"]

    def row(what: str) -> None:
        rows.append(f"| {what} | {sent}, {sent * 400:,} | {limit.items}, {limit.bytes:,} | {grant.consumed_items} |")

    row("the consumer opens the direction with its first credit")
    for turn in range(3):
        while sent < limit.items and sent * 400 < limit.bytes:
            sent += 1
            row(f"item {sent - 1} is begun at byte {(sent - 1) * 400:,}, below {limit.bytes:,}")
        if turn == 2:
            break
        row(f"{sent * 400:,} ≥ {limit.bytes:,}: the sender waits, by bytes; by items it might send {limit.items - sent} more")
        grant.consume(1, 400)
        row(f"item {grant.consumed_items - 1} is consumed: less than half a window, nothing is said")
        grant.consume(1, 400)
        told = grant.next_credit(10.0 * turn, 0.001)
        limit.raise_to(told, sent)
        row(f"item {grant.consumed_items - 1} is consumed: `CREDIT` ({told.items}, {told.bytes:,}, {told.consumed})")
    return "\n".join(rows)


MADE: Final[dict[str, Callable[[], str]]] = {
    "types": types,
    "caller": lambda: states(CALLER),
    "callee": lambda: states(CALLEE),
    "credit": credit,
    "fragment": fragment,
    "codes": codes,
    "limits": limits,
}


def made_anew(text: str) -> str:
    """Return the page with every part made anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{MADE[match['name']]()}\n{match[3]}", text)


def names_of_parts(text: str) -> list[str]:
    return [match["name"] for match in _BLOCK.finditer(text)]
