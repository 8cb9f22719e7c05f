"""What people read of a node: tables, values, and events as lines. It asks nobody."""

from penstock.cli._node._shown._lines import (
    CSV_HEAD,
    LOG_KINDS,
    compact_line,
    csv_event,
    csv_line,
    log_line,
    pretty_lines,
)
from penstock.cli._node._shown._text import clock, duration, fitted, state, table, value

__all__ = [
    "CSV_HEAD",
    "LOG_KINDS",
    "clock",
    "compact_line",
    "csv_event",
    "csv_line",
    "duration",
    "fitted",
    "log_line",
    "pretty_lines",
    "state",
    "table",
    "value",
]
