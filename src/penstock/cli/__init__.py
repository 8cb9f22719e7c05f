"""The command `penstock`."""

from penstock.cli._commands import main

__all__ = ["main"]
