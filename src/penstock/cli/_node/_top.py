"""`penstock top`: the state of a node, again and again, on a terminal or as lines."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

from penstock.cli import _stdio as stdio
from penstock.cli._format import _snapshot as picture
from penstock.cli._format import as_json
from penstock.cli._keys import keys_read
from penstock.cli._node._client import NodeConnection, connected_node
from penstock.cli._options import NodeOptions
from penstock.cli._run import OK

#: The columns of an output that is not a terminal.
_PRINTED_WIDTH: Final = 140


async def watch(options: NodeOptions, interval_s: float, *, once: bool) -> int:
    """Show the state of a node every `interval_s` seconds until cancelled; `once` ends after the first interval."""
    async with stdio.Output().until_broken(), connected_node(options) as node:
        if sys.stdout.isatty() and not (once or options.as_json):
            await _live(node, interval_s)
        else:
            await _printed(node, options, interval_s, once=once)
    return OK


async def _printed(node: NodeConnection, options: NodeOptions, interval_s: float, *, once: bool) -> None:
    """Print one picture, or one line of JSON, after each interval."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PRINTED_WIDTH)
    before = await node.control.snapshot()
    while True:
        await asyncio.sleep(interval_s)
        now = await node.control.snapshot()
        rated = picture.with_rates(now, before)
        if options.as_json:
            print(as_json(rated), flush=True)
        else:
            console.print(picture.draw(rated, console.width))
            sys.stdout.flush()
        if once:
            return
        before = now


async def _live(node: NodeConnection, interval_s: float) -> None:
    """Redraw the whole terminal after each interval, until a key or a signal ends it."""
    from rich.live import Live

    before = await node.control.snapshot()
    leaving = asyncio.Event()
    with keys_read({"q": leaving.set, "Q": leaving.set}) as with_keys, Live(screen=True, auto_refresh=False) as live:
        hint = "q or Ctrl-C quits" if with_keys else "Ctrl-C quits"
        live.update(picture.draw(picture.with_rates(before, before), *live.console.size, hint), refresh=True)
        while not await _is_set_within(leaving, interval_s):
            now = await node.control.snapshot()
            live.update(picture.draw(picture.with_rates(now, before), *live.console.size, hint), refresh=True)
            before = now


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
