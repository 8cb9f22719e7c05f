"""The demo on a terminal, live. The only file of the demo that imports `rich`."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from penstock.demo._board import MARKS, Board, Card, Row, State, Verdict
from penstock.demo._plain import closing

STYLES: Final[dict[State, str]] = {"waiting": "bright_black", "running": "cyan", "held": "green", "broken": "red"}
COLUMNS: Final = " ▁▂▃▄▅▆▇█"
LABEL: Final = 14
#: Border and padding of a card, left and right together.
FRAME: Final = 4
#: A terminal of this many columns has room for a wide graph.
WIDE: Final = 100


class LiveScreen:
    """Draws the board over the whole terminal, and restores the terminal at the end."""

    every_s = 0.2

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def draw(self, board: Board) -> None:
        """Redraw the whole screen."""
        width, height = self._console.size
        self._live.update(Group(*_page(board, width, height)), refresh=True)

    def summarize(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Print a table that stays on the terminal."""
        table = Table("", "Promised", "Measured", box=box.ROUNDED, border_style="bright_black", header_style="bold")
        for verdict in verdicts:
            state: State = "held" if verdict.held else "broken"
            table.add_row(Text(MARKS[state], STYLES[state]), verdict.promise, Text(verdict.measured, STYLES[state]))
        held = all(verdict.held for verdict in verdicts)
        self._console.print(table)
        self._console.print(Text(closing(verdicts, seconds), "bold green" if held else "bold red"))


def _page(board: Board, width: int, height: int) -> list[RenderableType]:
    open_cards = _opened(board, height - 2)
    heading = _between(Text.assemble(("Penstock ", "bold cyan"), board.heading), f"{board.elapsed_s:.1f} s", width)
    cards = [_panel(card, width) if card in open_cards else _line(card, width) for card in board.cards]
    return [heading, *cards, Text("Ctrl-C ends the demo early and leaves nothing behind.", "bright_black")]


def _opened(board: Board, room: int) -> list[Card]:
    """Choose the cards that are shown whole: the running ones, then finished ones while there is room, the latest first."""
    candidates = [card for card in reversed(board.cards) if card.state == "running"]
    candidates += [card for card in reversed(board.cards) if card.state in {"held", "broken"}]
    opened: list[Card] = []
    room -= len(board.cards)
    for card in candidates:
        if room < card.height + 1:
            break
        room -= card.height + 1  # the frame has two lines, and the line that the card has anyway is one of them
        opened.append(card)
    return opened


def _panel(card: Card, width: int) -> Panel:
    style = STYLES[card.state]
    title = Text.assemble((f"{MARKS[card.state]} {card.title}", f"bold {style}"), (f" · {card.about}", "bright_black"))
    title.truncate(width - 2 * FRAME, overflow="ellipsis")
    rows = [_row(row, width - FRAME) for row in card.rows[: card.height]]
    rows += [Text()] * (card.height - len(rows))
    return Panel(Group(*rows), title=title, title_align="left", box=box.ROUNDED, border_style=style, width=width)


def _line(card: Card, width: int) -> Text:
    style = STYLES[card.state]
    brief = card.brief if card.state in {"held", "broken"} else card.about
    line = Text.assemble((f"  {MARKS[card.state]} ", style), (f"{card.title:<{LABEL}} ", style), (brief, "bright_black"))
    line.truncate(width, overflow="ellipsis")
    return line


def _row(row: Row, width: int) -> Text:
    line = Text.assemble((f"{row.label:<{LABEL}}", "bright_black"), row.value)
    if row.fraction is None and not row.levels:
        line.truncate(width, overflow="ellipsis")
        return line
    room = 31 if width >= WIDE - FRAME else 18
    return _between(line, _graph(row, room), width)


def _graph(row: Row, room: int) -> Text:
    """Return a chart of levels, a bar, or a row of slots."""
    if row.levels:
        return _chart(row.levels, room)
    steps = row.slots or room
    full = round(min(max(row.fraction or 0.0, 0.0), 1.0) * steps)
    if not row.slots:
        return Text.assemble(("━" * full, "cyan"), ("─" * (room - full), "grey35"))
    gap = " " if room >= 2 * row.slots - 1 else ""
    taken, free = [("■", "cyan")] * full, [("□", "grey35")] * (steps - full)
    return Text(gap).join(Text(*slot) for slot in taken + free)


def _chart(levels: Sequence[float], room: int) -> Text:
    steps = len(COLUMNS) - 1
    latest = levels[-room:]
    columns = "".join(COLUMNS[round(min(max(level, 0.0), 1.0) * steps)] for level in latest)
    return Text(columns.rjust(room), "cyan")


def _between(left: Text, right: Text | str, width: int) -> Text:
    """Put one text at each edge; the left one is cut when there is not enough room."""
    right = Text(right, "bright_black") if isinstance(right, str) else right
    left.truncate(width - len(right) - 1, overflow="ellipsis", pad=True)
    return Text.assemble(left, " ", right)
