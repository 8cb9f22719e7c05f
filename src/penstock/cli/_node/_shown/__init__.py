"""What people read of a node: tables, values, and events as lines. It asks nobody."""

from penstock.cli._node._shown._lines import (
    CSV_HEAD,
    LOG_KINDS,
    compact_line,
    csv_event,
    csv_line,
    json_event,
    log_line,
    pretty_lines,
)
from penstock.cli._node._shown._text import as_json, clock, counted, doing, duration, room, state, table, value

__all__ = [
    "CSV_HEAD",
    "LOG_KINDS",
    "as_json",
    "clock",
    "compact_line",
    "counted",
    "csv_event",
    "csv_line",
    "doing",
    "duration",
    "json_event",
    "log_line",
    "pretty_lines",
    "room",
    "state",
    "table",
    "value",
]
