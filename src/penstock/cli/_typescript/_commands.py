"""The command. Its work is in other modules, imported when it runs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import click

from penstock.cli._options import EXIT_CODES, JsonCommand
from penstock.cli._run import OK, run


@click.command(cls=JsonCommand, short_help="Write the types of services for TypeScript.", epilog=EXIT_CODES)
@click.argument("services", metavar="MODULE:CLASS...", nargs=-1, required=True)
def typescript(services: Sequence[str]) -> int:
    """Write the methods and types of services as a TypeScript module, for @penstock/client.

    MODULE:CLASS names a class, of which no object is made, or an object or function as for `penstock serve`.

    A moment (datetime) is a string: say Annotated[datetime, msgspec.Meta(tz=True)], and it is a Date.

    \b
    penstock typescript prices:Prices > prices.ts
    """  # noqa: D301 - click wants the character, not the backslash
    return run(_write(services))


async def _write(specs: Sequence[str]) -> int:
    from penstock.cli._load import load, make
    from penstock.cli._typescript._module import module
    from penstock.service import describe, served, service_of

    schemas: list[Any] = []
    async with AsyncExitStack() as stack:
        for spec in specs:
            loaded = load(spec)
            schemas.append(service_of(loaded) if inspect.isclass(loaded) else served(await make(loaded, spec, stack)).schema)
    print(module([describe(schema) for schema in schemas]), end="")
    return OK
