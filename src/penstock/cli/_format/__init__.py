"""Text for people: tables, values, types, outlines. Events as lines are in `_event_lines`, which imports the history."""

from penstock.cli._format._outline import draw, draw_methods
from penstock.cli._format._schema import example
from penstock.cli._format._text import (
    as_json,
    clock,
    counted,
    doing,
    duration,
    iso,
    json_of,
    put_beside,
    room,
    state,
    table,
    value,
)

__all__ = [
    "as_json",
    "clock",
    "counted",
    "doing",
    "draw",
    "draw_methods",
    "duration",
    "example",
    "iso",
    "json_of",
    "put_beside",
    "room",
    "state",
    "table",
    "value",
]
