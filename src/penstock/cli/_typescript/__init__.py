"""`penstock typescript`: the types of services for programs in TypeScript."""

from penstock.cli._typescript._commands import typescript

__all__ = ["typescript"]
