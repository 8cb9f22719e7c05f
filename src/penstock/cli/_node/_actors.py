"""`penstock start`, `stop`, `restart`, `list`, `state` and `inspect`: the life and state of actors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from penstock._texts import one_line
from penstock.actors import ActorInfo
from penstock.cli._format import doing, draw_methods, duration, room, state, table, value
from penstock.cli._node._client import connected_node, show
from penstock.cli._options import NodeOptions
from penstock.cli._run import OK, Unusable, print_traceback
from penstock.errors import StatusError
from penstock.node import Activity, Inspection

_HEADS: Final = ("NAME", "ID", "STATE", "BUSY", "MAILBOX", "MESSAGES", "RESTARTS", "UPTIME", "ACTOR")
#: Columns that a narrow terminal leaves out, the first one first.
_OPTIONAL: Final = ("RESTARTS", "ACTOR", "UPTIME", "MESSAGES", "ID")
#: Manifests that an error lists when the one that was named does not exist.
_LISTED_MAX: Final = 5
#: The words for the things that an actor takes besides calls of its methods.
_TAKES: Final = {"channels": "channels: penstock channel open {}", "messages": "plain messages (receive)"}


async def start(options: NodeOptions, manifest: str, *, id_only: bool) -> int:
    """Start the actor of a manifest and print its name and id."""
    path = _existing(manifest)
    async with connected_node(options) as node:
        try:
            started = await node.control.start(str(path))
        except StatusError as error:
            print_traceback(error)
            raise
    if id_only:
        print(started.id)
    elif options.as_json:
        show(started, options)
    else:
        print("started", one_line(started.address))
        print("id     ", started.id)
    return OK


def _existing(manifest: str) -> Path:
    """Return the path of a manifest. Raises `Unusable` that lists the manifests beside it when there is none."""
    path = Path(manifest).expanduser().absolute()
    if path.is_file():
        return path
    beside = sorted(each.name for each in path.parent.glob("*.toml") if each.is_file()) if path.parent.is_dir() else []
    hint = f"; TOML files there: {', '.join(beside[:_LISTED_MAX])}" if beside else ""
    raise Unusable(f"no manifest {manifest}{hint}")


async def stop(options: NodeOptions, actor: str) -> int:
    """Stop an actor, its children first."""
    async with connected_node(options) as node:
        _show_done("stopped", await node.control.stop(actor), options)
    return OK


async def restart(options: NodeOptions, actor: str) -> int:
    """Restart an actor with a fresh state."""
    async with connected_node(options) as node:
        _show_done("restarted", await node.control.restart(actor), options)
    return OK


def _show_done(done: str, info: ActorInfo, options: NodeOptions) -> None:
    if options.as_json:
        show(info, options)
    else:
        print(done, one_line(info.address))


async def show_list(options: NodeOptions, pattern: str) -> int:
    """Print a line for each actor."""
    async with connected_node(options) as node:
        actors = await node.control.list(pattern)
    if options.as_json:
        show(actors, options)
    elif actors:
        click.echo(table(_HEADS, [_row(info) for info in actors], width=room(), optional=_OPTIONAL))
    elif sys.stdout.isatty():
        print("no actors yet; start one with `penstock start MANIFEST`" if pattern == "**" else f"no actor matches {pattern}")
    return OK


def _row(info: ActorInfo) -> tuple[str, ...]:
    """Return the cells of an actor in the order of `_HEADS`."""
    return (
        info.address,
        info.id,
        info.state,
        info.handling or "-",
        f"{info.mailbox}/{info.mailbox_size}",
        str(info.messages),
        str(info.restarts),
        duration(info.uptime_s),
        info.actor,
    )


async def show_state(options: NodeOptions, actor: str) -> int:
    """Print the attributes of an actor."""
    async with connected_node(options) as node:
        show(await node.control.state(actor), options)
    return OK


async def inspect(options: NodeOptions, actor: str) -> int:
    """Print everything about an actor: its state, its methods with their types, its ports, its attributes."""
    async with connected_node(options) as node:
        inspection = await node.control.inspect(actor)
    if options.as_json:
        show(inspection, options)
    else:
        _draw(inspection)
    return OK


# ── inspect on a terminal ─────────────────────────────────────────────────────────────────────────────────────────────


def _draw(inspection: Inspection) -> None:
    """Print an inspection: facts, methods, ports and attributes, leaving out empty sections."""
    info = inspection.info
    name = one_line(info.address)
    click.echo(f"{click.style(name, bold=True)}  {state(info.state)}")
    for label, text in _facts(info, inspection.doing):
        click.echo(f"  {label:10}{text}")
    if inspection.takes:
        click.echo(f"  {'takes':10}{', '.join(_TAKES[kind].format(name) for kind in inspection.takes)}")
    if inspection.methods:
        click.echo(click.style("\nmethods", bold=True))
        draw_methods(inspection.methods)
    if inspection.ports:
        click.echo(click.style("\nports", bold=True))
        click.echo("  " + ", ".join(one_line(port) for port in inspection.ports))
    if inspection.state:
        click.echo(click.style("\nstate", bold=True))
        for attribute, held in inspection.state.items():
            click.echo(f"  {one_line(attribute)} = {value(held)}")


def _facts(info: ActorInfo, activity: Activity | None) -> list[tuple[str, str]]:
    """Return the labels and values of the first section."""
    facts = [
        ("id", info.id),
        ("actor", one_line(info.actor)),
        ("busy with", "nothing" if activity is None else doing(activity.handling, activity.since_s)),
        ("mailbox", f"{info.mailbox} of {info.mailbox_size}"),
        ("messages", str(info.messages)),
        ("streams", str(info.streams)),
        ("channels", str(info.channels)),
        ("children", str(info.children)),
        ("restarts", str(info.restarts)),
        ("uptime", duration(info.uptime_s)),
    ]
    return facts + ([("error", click.style(one_line(info.error), fg="red"))] if info.error else [])
