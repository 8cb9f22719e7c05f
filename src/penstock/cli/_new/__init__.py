"""`penstock new`, `penstock token` and `penstock completion`: files to begin with, a token, completion for a shell."""

from penstock.cli._new._commands import TOOLS

__all__ = ["TOOLS"]
