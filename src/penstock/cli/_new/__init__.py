"""`penstock new` and `penstock completion`: a project or an actor to begin with, and completion for a shell."""

from penstock.cli._new._commands import TOOLS

__all__ = ["TOOLS"]
