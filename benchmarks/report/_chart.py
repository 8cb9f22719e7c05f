"""The chart: one bar for each contender, items per second on a log scale, as hand-written SVG. It reads no file.

Each contender stands with its better event loop, so that no peer is shown at its worse one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from benchmarks.figures import Outcome
from benchmarks.figures._abc import show

_CHARTED = ("pipe", "server-stream", "client-stream", "bidirectional", "chunks", "in-flight", "unary")
_WIDTH, _LEFT, _RIGHT = 960, 230, 90
_BAR, _GAP, _GROUP = 16, 5, 34
_TOP = 74
_LEAST, _MOST = 1e3, 1e7
_OURS, _PEER, _INK, _FAINT = "#0b6e99", "#b9bec5", "#1f2933", "#e3e6ea"
_SUBTITLE = "One machine, two processes except for the pipe; median of the rounds; each at its better event loop"
_STYLE = (
    "text{font:13px 'DejaVu Sans',Verdana,sans-serif;fill:" + _INK + "}"
    ".title{font-size:18px;font-weight:bold}.group{font-weight:bold}.small,.value{font-size:11px;fill:#5b6570}"
    ".value{paint-order:stroke;stroke:#ffffff;stroke-width:4px}"
)


@dataclass(frozen=True)
class _Bar:
    label: str
    per_s: float


def draw(outcomes: dict[str, Outcome]) -> str:
    """Return the chart of every charted figure that was measured, as an SVG document."""
    groups = [(outcomes[name].title, bars) for name in _CHARTED if name in outcomes and (bars := _bars(outcomes[name]))]
    height = _TOP + sum(_GROUP + len(bars) * (_BAR + _GAP) for _, bars in groups) + 24
    body = [*_axis(height), *_groups(groups)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            '<text class="title" x="16" y="28">Items (or calls) per second, log scale</text>',
            f'<text class="small" x="16" y="46">{_SUBTITLE}</text>',
            *body,
            "</svg>\n",
        ]
    )


def _bars(outcome: Outcome) -> list[_Bar]:
    best: dict[str, float] = {}
    for kept in outcome.rounds.values():
        answers = kept["answers"]
        assert isinstance(answers, dict)
        for label, rounds in answers.items():
            per_s = statistics.median(answer["per_s"] for answer in rounds)
            best[label] = max(per_s, best.get(label, 0.0))
    return sorted((_Bar(label, per_s) for label, per_s in best.items()), key=lambda bar: -bar.per_s)


def _x(per_s: float) -> float:
    share = math.log(max(per_s, _LEAST) / _LEAST) / math.log(_MOST / _LEAST)
    return _LEFT + min(share, 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _axis(height: int) -> Iterator[str]:
    ticks = int(math.log10(_MOST / _LEAST))
    for power in range(ticks + 1):
        per_s = _LEAST * 10**power
        x = _x(per_s)
        name = f"{per_s / 1e6:g} M" if per_s >= 1e6 else f"{per_s / 1e3:g} k"
        yield f'<line x1="{x:.1f}" y1="{_TOP - 4}" x2="{x:.1f}" y2="{height - 16}" stroke="{_FAINT}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{_TOP - 8}" text-anchor="middle">{name}</text>'


def _groups(groups: list[tuple[str, list[_Bar]]]) -> Iterator[str]:
    y = _TOP
    for title, bars in groups:
        yield f'<text class="group" x="16" y="{y + 20}">{escape(title)}</text>'
        y += _GROUP - 6
        for bar in bars:
            yield from _draw_bar(bar, y)
            y += _BAR + _GAP
        y += 6


def _draw_bar(bar: _Bar, y: int) -> Iterator[str]:
    fill = _OURS if bar.label.startswith("penstock") else _PEER
    end = _x(bar.per_s)
    yield f'<text x="{_LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>'
    yield f'<rect x="{_LEFT}" y="{y}" width="{max(end - _LEFT, 1):.1f}" height="{_BAR}" rx="2" fill="{fill}"/>'
    yield f'<text class="value" x="{end + 6:.1f}" y="{y + 12}">{show(bar.per_s, "per_s")}</text>'
