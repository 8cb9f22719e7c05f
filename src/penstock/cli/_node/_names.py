"""Completion of actors' names in a shell, asked of the node. It is quiet: a prompt is no place for an error."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from penstock.cli._run import one_line
from penstock.errors import PenstockError

#: A prompt does not wait longer than that.
PATIENCE_S: Final = 0.5


def actor_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the actors whose name or id begins with what was typed."""
    with suppress(PenstockError, click.ClickException, OSError, TimeoutError):
        found = asyncio.run(_listed(context.params.get("socket")))
        return [CompletionItem(one_line(info["address"]), help=info["state"]) for info in found if _begins(info, begun)]
    return []


def _begins(info: dict[str, Any], begun: str) -> bool:
    return str(info["address"]).startswith(begun) or (bool(begun) and str(info["id"]).startswith(begun))


async def _listed(socket: str | None) -> list[dict[str, Any]]:
    from penstock.cli._node._client import Where, reached

    async with asyncio.timeout(PATIENCE_S), reached(Where(socket, as_json=True)) as node:
        found: list[dict[str, Any]] = await node.ask("list", "**")
        return found
