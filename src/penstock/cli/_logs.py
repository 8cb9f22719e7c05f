"""The log of `penstock serve` and `penstock server`: one line a record, in which no text of a peer can steer the terminal."""

from __future__ import annotations

import logging
import sys
from typing import Final

import click

from penstock._texts import one_line

_LEVELS: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red", "DEBUG": "bright_black"}


class _LogFormatter(logging.Formatter):
    """Formats time, level, logger and message. A traceback is indented, so that no line of it looks like a line of the log."""

    def format(self, record: logging.LogRecord) -> str:
        level = click.style(f"{record.levelname:7}", fg=_LEVELS.get(record.levelname))
        logger = "" if hasattr(record, "actor") or record.name == "penstock.actor" else f"{record.name}: "
        text = f"{self.formatTime(record, '%H:%M:%S')} {level} {logger}{one_line(record.getMessage())}"
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        if trace:
            text += "".join(f"\n    {one_line(line)}" for line in trace.split("\n"))
        return text if sys.stderr.isatty() else click.unstyle(text)


def log_to_stderr() -> None:
    """Write the log of this program to stderr, in colour only on a terminal."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
