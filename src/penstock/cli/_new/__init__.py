"""Tools for who begins: a project or an actor that runs, and completion for a shell. No other folder imports it."""

from penstock.cli._new._commands import TOOLS

__all__ = ["TOOLS"]
