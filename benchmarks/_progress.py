"""What people see while it runs: one line on stderr. This module never writes to stdout."""

from __future__ import annotations

import sys
import time


class Progress:
    """One line that changes on a terminal; one line for each new step elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._live = sys.stderr.isatty()
        self._last = ""

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def step(self, text: str) -> None:
        """Show what is being done now; on a terminal the next call replaces it."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K[{self.elapsed_s():4.0f} s] {text}")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Show a line that stays."""
        start = "\r\x1b[K" if self._live else ""
        sys.stderr.write(f"{start}[{self.elapsed_s():4.0f} s] {text}\n")
        sys.stderr.flush()
