"""`penstock top`: a node, live. The one place where `rich` draws it; this module changes nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from penstock.cli import _stdio as stdio
from penstock.cli._node._client import Node, Where, reached
from penstock.cli._node._keys import keys_read
from penstock.cli._node._shown import as_json, duration
from penstock.cli._run import OK, one_line

Look = Mapping[str, Any]

_STATE_COLOURS: Final = {
    "running": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "stopping": "yellow",
    "stopped": "red",
}
#: From how full on a mailbox is shown in yellow, and in red.
_WARM, _HOT = 0.5, 0.9
_BAR: Final = 10
#: Lines of the screen that are neither an actor nor a stream: heads, gaps, the history, hints.
_FRAME_LINES: Final = 13
#: From how many columns on a terminal shows everything.
WIDE: Final = 100
_WIDE_ONLY: Final = ("MESSAGES", "RESTARTS", "UPTIME")
_TEXTS: Final = ("ACTOR", "STATE", "BUSY", "MAILBOX", "STREAM", "CONSUMER")
_WIDTHS: Final = {"ACTOR": 8, "STATE": 8, "BUSY": 4, "MAILBOX": 9, "STREAM": 8, "CONSUMER": 8}
#: What is not written to a terminal has this many columns.
_PRINTED_WIDTH: Final = 140


async def watch(where: Where, interval_s: float, *, once: bool) -> int:
    """Show how a node stands every `interval_s` seconds until it is cancelled; `once` ends after the first difference."""
    async with stdio.Output().until_broken(), reached(where) as node:
        if sys.stdout.isatty() and not (once or where.as_json):
            await _live(node, interval_s)
        else:
            await _printed(node, where, interval_s, once=once)
    return OK


async def _printed(node: Node, where: Where, interval_s: float, *, once: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PRINTED_WIDTH)
    before = await node.ask("snapshot")
    while True:
        await asyncio.sleep(interval_s)
        now = await node.ask("snapshot")
        with_rates(now, before)
        if where.as_json:
            print(as_json(now), flush=True)
        else:
            console.print(draw(now, console.width))
            sys.stdout.flush()
        if once:
            return
        before = now


async def _live(node: Node, interval_s: float) -> None:
    from rich.live import Live

    before = await node.ask("snapshot")
    with_rates(before, before)
    leaving = asyncio.Event()
    with keys_read({"q": leaving.set, "Q": leaving.set}) as with_keys, Live(screen=True, auto_refresh=False) as live:
        hint = "q or Ctrl-C ends" if with_keys else "Ctrl-C ends"
        live.update(draw(before, *live.console.size, hint), refresh=True)
        while not await _is_set_within(leaving, interval_s):
            now = await node.ask("snapshot")
            with_rates(now, before)
            live.update(draw(now, *live.console.size, hint), refresh=True)
            before = now


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


def with_rates(now: dict[str, Any], before: Look) -> None:
    """Write into `now` how much each actor and stream did a second since `before`."""
    passed = now["node"]["time_s"] - before["node"]["time_s"]
    handled = {info["id"]: info["messages"] for info in before["actors"]}
    sent = {_key(stream): stream["sent"] for stream in before["streams"]}
    for info in now["actors"]:
        info["messages_per_s"] = _rate(info["messages"], handled.get(info["id"]), passed)
    for stream in now["streams"]:
        stream["items_per_s"] = _rate(stream["sent"], sent.get(_key(stream)), passed)
    if now["history"] and before["history"]:
        now["history"]["events_per_s"] = _rate(now["history"]["events"], before["history"]["events"], passed)


def _key(stream: Look) -> tuple[Any, ...]:
    return stream["address"], stream["number"]


def _rate(now: int, before: int | None, passed_s: float) -> float:
    return 0.0 if before is None or passed_s <= 0 else max(0.0, (now - before) / passed_s)


# ── the picture ───────────────────────────────────────────────────────────────────────────────────────────────────────


def draw(look: Look, width: int, height: int | None = None, hint: str = "") -> Any:
    """Return the picture of one look, `hint` below it; a small terminal gets less of it, and is told how much less."""
    from rich.console import Group
    from rich.text import Text

    busy_first = sorted(look["actors"], key=lambda info: (-info["messages_per_s"], not info["handling"], info["address"]))
    fast_first = sorted(look["streams"], key=lambda stream: -stream["items_per_s"])
    streams = fast_first if height is None else fast_first[: max(1, height // 4)]
    actors = busy_first if height is None else busy_first[: max(1, height - _FRAME_LINES - len(streams))]
    parts: list[Any] = [_head(look["node"], len(look["actors"])), Text(), _actors(actors, wide=width >= WIDE)]
    parts += _not_shown(len(busy_first) - len(actors))
    if streams:
        parts += [Text(), _streams(streams, look["node"]["socket"], wide=width >= WIDE)]
        parts += _not_shown(len(fast_first) - len(streams))
    if look["history"]:
        parts += [Text(), _history(look["history"])]
    if hint:
        parts += [Text(), Text(hint, "dim")]
    return Group(*parts)


def _not_shown(count: int) -> list[Any]:
    from rich.text import Text

    return [Text(f"… {count} more: make the window higher, or pipe `penstock top --once`", "dim")] if count else []


def _head(node: Look, actors: int) -> Any:
    from rich.text import Text

    name = one_line(node["name"]) or "node"
    facts = [
        f"pid {node['pid']}",
        f"up {duration(node['uptime_s'])}",
        _count(actors, "actor"),
        _count(node["dead_letters"], "dead letter"),
    ]
    where = [one_line(url) for url in (node["urls"] or [node["socket"]])]
    return Text.assemble(
        ("penstock top  ", "bold cyan"), (name, "bold"), "  ", "  ".join(facts), "  ", ("  ".join(where), "dim")
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _table(*heads: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(
            head, justify="left" if head in _TEXTS else "right", no_wrap=True, min_width=_WIDTHS.get(head, len(head))
        )
    return table


def _actors(actors: Sequence[Look], *, wide: bool) -> Any:
    from rich.text import Text

    table = _table("ACTOR", "STATE", "BUSY", "MAILBOX", "MSG/S", "STREAMS", "CHANNELS", *(_WIDE_ONLY if wide else ()))
    for info in actors:
        row = [
            Text(one_line(info["address"])),
            Text(info["state"], _STATE_COLOURS.get(info["state"], "")),
            Text(one_line(info["handling"]) or "-"),
            _filled(info["mailbox"], info["mailbox_size"], _BAR if wide else 0),
            f"{info['messages_per_s']:,.0f}",
            str(info["streams"]),
            str(info["channels"]),
        ]
        more = [f"{info['messages']:,}", str(info["restarts"]), duration(info["uptime_s"])]
        table.add_row(*row, *(more if wide else ()))
    return table


def _filled(held: int, size: int, bar_width: int = _BAR) -> Any:
    """Draw how full something is."""
    from rich.text import Text

    share = held / size if size else 0.0
    colour = "red" if share >= _HOT else "yellow" if share >= _WARM else "green"
    full = min(bar_width, round(share * bar_width)) if held else 0
    bar = "█" * full + ("▏" if held and not full and bar_width else "")
    gap = " " if bar_width else ""
    return Text.assemble((f"{bar:·<{bar_width}}", colour), f"{gap}{held:,}/{size:,}")


def _consumer(peer: str, socket: str | None) -> str:
    """Say who is at the other end."""
    if not peer:
        return "here"
    return "a command" if socket is not None and peer.endswith(socket) else one_line(peer)


def _streams(streams: Sequence[Look], socket: str | None, *, wide: bool) -> Any:
    from rich.text import Text

    table = _table("STREAM", *(("CONSUMER",) if wide else ()), "ITEMS/S", "SENT", "LAG", "CREDIT", "STATE")
    for stream in streams:
        starving = stream["credit"] == 0 and stream["lag"]
        table.add_row(
            Text(f"{one_line(stream['address'])} {'channel' if stream['channel'] else one_line(stream['name'])}"),
            *([Text(_consumer(stream["peer"], socket), "dim")] if wide else []),
            f"{stream['items_per_s']:,.0f}",
            f"{stream['sent']:,}",
            Text(f"{stream['lag']:,}", "yellow" if starving else ""),
            f"{stream['credit']:,}",
            Text("waits for its consumer", "yellow") if starving else Text(stream["state"], "green"),
        )
    return table


def _history(history: Look) -> Any:
    from rich.text import Text

    problem = Text(f"  {one_line(history['problem'])}", "red") if history["problem"] else Text()
    rate = history.get("events_per_s", 0.0)
    facts = f"  {history['events']:,} events  {rate:,.0f}/s  {history['unrecorded']:,} unrecorded  queue "
    return Text.assemble(("HISTORY", "bold"), facts, _filled(history["waiting"], history["waiting_max"]), problem)
