"""The command `penstock`: call, serve, describe, demo. No other folder imports it."""

from penstock.cli._commands import main

__all__ = ["main"]
