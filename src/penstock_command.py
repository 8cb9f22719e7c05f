"""The start of the command `penstock`. It stands outside the package, because importing the package takes most of the start."""

from __future__ import annotations


def main() -> int:
    """Run the command line and return its exit code. Ctrl-C ends it without a traceback, also while it is being imported."""
    try:
        from penstock.cli import main as run
    except KeyboardInterrupt:
        return 130  # as `penstock.cli._run.INTERRUPTED`, which is not imported yet
    return run()
