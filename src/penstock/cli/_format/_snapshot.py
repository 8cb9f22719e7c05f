"""A snapshot of a node as a picture for `penstock top`, with the rates between two snapshots. `rich` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from penstock._texts import one_line
from penstock.actors import ActorInfo, StreamInfo
from penstock.cli._format._text import duration
from penstock.node import HistoryView, NodeView, Snapshot

_STATE_COLOURS: Final = {
    "running": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "stopping": "yellow",
    "stopped": "red",
}
#: A mailbox is yellow from this share on, and red from this one.
_YELLOW_SHARE, _RED_SHARE = 0.5, 0.9
_BAR: Final = 10
#: Lines of the screen that are neither an actor nor a stream: heads, gaps, the history, hints.
_FRAME_LINES: Final = 13
#: A terminal of this many columns shows every column.
ALL_COLUMNS_MIN: Final = 100
_WIDE_ONLY: Final = ("MESSAGES", "RESTARTS", "UPTIME")
_TEXTS: Final = ("ACTOR", "STATE", "BUSY", "MAILBOX", "STREAM", "CONSUMER")
_WIDTHS: Final = {"ACTOR": 8, "STATE": 8, "BUSY": 4, "MAILBOX": 9, "STREAM": 8, "CONSUMER": 8}


class RatedActor(ActorInfo, frozen=True, kw_only=True):
    """An actor with the messages that it handled a second."""

    messages_per_s: float


class RatedStream(StreamInfo, frozen=True, kw_only=True):
    """A stream or channel with the items that it sent a second."""

    items_per_s: float


class RatedHistory(HistoryView, frozen=True, kw_only=True):
    """The history with the events that it recorded a second."""

    events_per_s: float


class RatedSnapshot(msgspec.Struct, frozen=True):
    """A snapshot with rates; its JSON is the output of `penstock top --json`."""

    node: NodeView
    actors: list[RatedActor]
    streams: list[RatedStream]
    history: RatedHistory | None
    streams_left_out: int = 0


def with_rates(now: Snapshot, before: Snapshot) -> RatedSnapshot:
    """Return `now` with rates since `before`; an actor or stream that `before` does not have has a rate of 0."""
    passed_s = now.node.time_s - before.node.time_s
    handled = {info.id: info.messages for info in before.actors}
    sent = {_key(stream): stream.sent for stream in before.streams}
    return RatedSnapshot(
        now.node,
        [RatedActor(**_fields(i), messages_per_s=_rate(i.messages, handled.get(i.id), passed_s)) for i in now.actors],
        [RatedStream(**_fields(s), items_per_s=_rate(s.sent, sent.get(_key(s)), passed_s)) for s in now.streams],
        _rated_history(now.history, before.history, passed_s),
        now.streams_left_out,
    )


def _rated_history(now: HistoryView | None, before: HistoryView | None, passed_s: float) -> RatedHistory | None:
    if now is None:
        return None
    return RatedHistory(**_fields(now), events_per_s=_rate(now.events, None if before is None else before.events, passed_s))


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(struct)


def _key(stream: StreamInfo) -> tuple[str, int]:
    return stream.address, stream.number


def _rate(now: int, before: int | None, passed_s: float) -> float:
    return 0.0 if before is None or passed_s <= 0 else max(0.0, (now - before) / passed_s)


# ── the picture ───────────────────────────────────────────────────────────────────────────────────────────────────────


def draw(snapshot: RatedSnapshot, width: int, height: int | None = None, hint: str = "") -> Any:
    """Return the picture of a snapshot, with `hint` in its last line.

    Busy actors and fast streams come first. On a low terminal the others are left out, and a line says how many.
    """
    from rich.console import Group
    from rich.text import Text

    busy_first = sorted(snapshot.actors, key=lambda info: (-info.messages_per_s, not info.handling, info.address))
    fast_first = sorted(snapshot.streams, key=lambda stream: -stream.items_per_s)
    streams = fast_first if height is None else fast_first[: max(1, height // 4)]
    frame = _FRAME_LINES + (snapshot.node.stalls > 0)
    actors = busy_first if height is None else busy_first[: max(1, height - frame - len(streams))]
    parts: list[Any] = [_head(snapshot.node, len(snapshot.actors)), Text(), _actors(actors, wide=width >= ALL_COLUMNS_MIN)]
    parts += _left_out(len(busy_first) - len(actors))
    if streams:
        parts += [Text(), _streams(streams, snapshot.node.socket, wide=width >= ALL_COLUMNS_MIN)]
        parts += _left_out(len(fast_first) - len(streams) + snapshot.streams_left_out)
    if snapshot.history:
        parts += [Text(), _history(snapshot.history)]
    if hint:
        parts += [Text(), Text(hint, "dim")]
    return Group(*parts)


def _left_out(count: int) -> list[Any]:
    from rich.text import Text

    return [Text(f"… {count} more: make the window higher, or use `penstock top --once | less`", "dim")] if count else []


def _head(node: NodeView, actors: int) -> Any:
    """Return the first line: the name of the node, its age, its counts and URLs."""
    from rich.text import Text

    name = one_line(node.name) or "node"
    facts = [
        f"pid {node.pid}",
        f"up {duration(node.uptime_s)}",
        _count(actors, "actor"),
        _count(node.dead_letters, "dead letter"),
    ]
    where = "  ".join(map(one_line, node.urls or [node.socket or ""]))
    head = Text.assemble(("penstock top  ", "bold cyan"), (name, "bold"), "  ", "  ".join(facts), "  ", (where, "dim"))
    if node.stalls:
        times = "once" if node.stalls == 1 else f"{node.stalls:,} times"
        last = f"the last time {node.stalled_s * 1000:,.0f} ms in {one_line(node.stalled_in)}"
        head.append(f"\nthe event loop has stood still {times}, {last}", "yellow")
    return head


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _table(*heads: str) -> Any:
    """Return an empty table; columns of numbers are aligned to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(
            head, justify="left" if head in _TEXTS else "right", no_wrap=True, min_width=_WIDTHS.get(head, len(head))
        )
    return table


def _actors(actors: Sequence[RatedActor], *, wide: bool) -> Any:
    """Return the table of actors; a narrow one has no bars and fewer columns."""
    from rich.text import Text

    table = _table("ACTOR", "STATE", "BUSY", "MAILBOX", "MSG/S", "STREAMS", "CHANNELS", *(_WIDE_ONLY if wide else ()))
    for info in actors:
        row = [
            Text(one_line(info.address)),
            Text(info.state, _STATE_COLOURS.get(info.state, "")),
            Text(one_line(info.handling) or "-"),
            _filled(info.mailbox, info.mailbox_size, _BAR if wide else 0),
            f"{info.messages_per_s:,.0f}",
            str(info.streams),
            str(info.channels),
        ]
        more = [f"{info.messages:,}", str(info.restarts), duration(info.uptime_s)]
        table.add_row(*row, *(more if wide else ()))
    return table


def _filled(held: int, size: int, bar_width: int = _BAR) -> Any:
    """Return a bar that shows how full a queue is, with its two numbers."""
    from rich.text import Text

    share = held / size if size else 0.0
    colour = "red" if share >= _RED_SHARE else "yellow" if share >= _YELLOW_SHARE else "green"
    full = min(bar_width, round(share * bar_width)) if held else 0
    bar = "█" * full + ("▏" if held and not full and bar_width else "")
    gap = " " if bar_width else ""
    return Text.assemble((f"{bar:·<{bar_width}}", colour), f"{gap}{held:,}/{size:,}")


def _consumer(peer: str, socket: str | None) -> str:
    """Name the other end of a stream: this process, a command at the node's own socket, or a peer."""
    if not peer:
        return "here"
    return "a command" if socket is not None and peer.endswith(socket) else one_line(peer)


def _streams(streams: Sequence[RatedStream], socket: str | None, *, wide: bool) -> Any:
    """Return the table of streams and channels; one that waits for its consumer is yellow."""
    from rich.text import Text

    table = _table("STREAM", *(("CONSUMER",) if wide else ()), "ITEMS/S", "SENT", "LAG", "CREDIT", "STATE")
    for stream in streams:
        starving = stream.credit == 0 and stream.lag > 0
        table.add_row(
            Text(f"{one_line(stream.address)} {'channel' if stream.channel else one_line(stream.name)}"),
            *([Text(_consumer(stream.peer, socket), "dim")] if wide else []),
            f"{stream.items_per_s:,.0f}",
            f"{stream.sent:,}",
            Text(f"{stream.lag:,}", "yellow" if starving else ""),
            f"{stream.credit:,}",
            Text("waits for its consumer", "yellow") if starving else Text(stream.state, "green"),
        )
    return table


def _history(history: RatedHistory) -> Any:
    from rich.text import Text

    problem = Text(f"  {one_line(history.problem)}", "red") if history.problem else Text()
    facts = f"  {history.events:,} events  {history.events_per_s:,.0f}/s  {history.unrecorded:,} unrecorded  queue "
    return Text.assemble(("HISTORY", "bold"), facts, _filled(history.waiting, history.waiting_max), problem)
