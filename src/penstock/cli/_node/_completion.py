"""Completion of actors' names in a shell, asked of the node. Errors are swallowed: a prompt has no place for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import click
from click.shell_completion import CompletionItem

from penstock._texts import one_line
from penstock.actors import ActorInfo
from penstock.cli._options import NodeOptions
from penstock.errors import PenstockError

#: How long a prompt waits for the names.
COMPLETION_S: Final = 0.5


def actor_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the actors whose name or id begins with the typed text."""
    with suppress(PenstockError, click.ClickException, OSError, TimeoutError):
        actors = asyncio.run(_actors(context.params.get("socket")))
        return [CompletionItem(one_line(info.address), help=info.state) for info in actors if _begins(info, begun)]
    return []


def _begins(info: ActorInfo, begun: str) -> bool:
    return info.address.startswith(begun) or (bool(begun) and info.id.startswith(begun))


async def _actors(socket: str | None) -> list[ActorInfo]:
    from penstock.cli._node._client import connected_node

    async with asyncio.timeout(COMPLETION_S), connected_node(NodeOptions(socket, as_json=True)) as node:
        return await node.control.list()
