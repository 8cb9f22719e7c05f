"""The life of actors, asked of a node: start, stop, restart, list, state, inspect. This module sends no message."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from penstock.cli._node._client import Where, reached, show
from penstock.cli._node._shown import doing, duration, room, state, table, value
from penstock.cli._outline import draw_methods
from penstock.cli._run import OK, Unusable, one_line
from penstock.service import MethodDescription

_HEADS: Final = ("NAME", "ID", "STATE", "BUSY", "MAILBOX", "MESSAGES", "RESTARTS", "UPTIME", "ACTOR")
#: What a narrow terminal does without, in this order.
_LEAST: Final = ("RESTARTS", "ACTOR", "UPTIME", "MESSAGES", "ID")


async def start(where: Where, manifest: str, *, id_only: bool) -> int:
    """Start the actor of a manifest and print its name and id."""
    path = _existing(manifest)
    async with reached(where) as node:
        started = await node.ask("start", str(path))
    if id_only:
        print(started["id"])
    elif where.as_json:
        show(started, where)
    else:
        print("started", one_line(started["address"]))
        print("id     ", started["id"])
    return OK


def _existing(manifest: str) -> Path:
    path = Path(manifest).expanduser().absolute()
    if not path.is_file():
        beside = (
            ", ".join(sorted(each.name for each in path.parent.glob("*.toml") if each.is_file())[:5])
            if path.parent.is_dir()
            else ""
        )
        raise Unusable(f"there is no manifest {manifest}" + (f"; here are: {beside}" if beside else ""))
    return path


async def stop(where: Where, actor: str) -> int:
    """Stop an actor, its children first."""
    return await _told(where, "stop", "stopped", actor)


async def restart(where: Where, actor: str) -> int:
    """Restart an actor with a fresh state."""
    return await _told(where, "restart", "restarted", actor)


async def _told(where: Where, method: str, done: str, actor: str) -> int:
    async with reached(where) as node:
        found = await node.ask(method, actor)
    if where.as_json:
        show(found, where)
    else:
        print(done, one_line(found["address"]))
    return OK


async def show_list(where: Where, pattern: str) -> int:
    """Print a line for each actor."""
    async with reached(where) as node:
        found = await node.ask("list", pattern)
    if where.as_json:
        show(found, where)
    elif found:
        click.echo(table(_HEADS, [_row(info) for info in found], width=room(), least=_LEAST))
    elif sys.stdout.isatty():
        print("no actors yet; start one with `penstock start MANIFEST`" if pattern == "**" else f"no actor is called {pattern}")
    return OK


def _row(info: dict[str, Any]) -> tuple[str, ...]:
    return (
        info["address"],
        info["id"],
        info["state"],
        info["handling"] or "-",
        f"{info['mailbox']}/{info['mailbox_size']}",
        str(info["messages"]),
        str(info["restarts"]),
        duration(info["uptime_s"]),
        info["actor"],
    )


async def show_state(where: Where, actor: str) -> int:
    """Print the attributes of an actor."""
    async with reached(where) as node:
        found = await node.ask("state", actor)
    show(found, where)
    return OK


async def inspect(where: Where, actor: str) -> int:
    """Print everything about an actor: how it stands, what it can be asked, its state."""
    async with reached(where) as node:
        found = await node.ask("inspect", actor)
    if where.as_json:
        show(found, where)
    else:
        _draw(found)
    return OK


#: How what an actor takes besides its methods is said.
_TAKES: Final = {"channels": "channels: penstock channel open {}", "messages": "plain messages (receive)"}


# ── inspect on a terminal ─────────────────────────────────────────────────────────────────────────────────────────────


def _draw(found: dict[str, Any]) -> None:
    info = found["info"]
    click.echo(f"{click.style(one_line(info['address']), bold=True)}  {state(info['state'])}")
    for name, text in _facts(info, found["doing"]):
        click.echo(f"  {name:10}{text}")
    if found["takes"]:
        click.echo(f"  {'takes':10}{', '.join(_TAKES[what].format(one_line(info['address'])) for what in found['takes'])}")
    if found["methods"]:
        click.echo(click.style("\nmethods", bold=True))
        draw_methods(msgspec.convert(found["methods"], list[MethodDescription]))
    if found["ports"]:
        click.echo(click.style("\nports", bold=True))
        click.echo("  " + ", ".join(one_line(port) for port in found["ports"]))
    if found["state"]:
        click.echo(click.style("\nstate", bold=True))
        for name, held in found["state"].items():
            click.echo(f"  {one_line(name)} = {value(held)}")


def _facts(info: dict[str, Any], busy: dict[str, Any] | None) -> list[tuple[str, str]]:
    facts = [
        ("id", info["id"]),
        ("actor", one_line(info["actor"])),
        ("busy with", "nothing" if busy is None else doing(busy)),
        ("mailbox", f"{info['mailbox']} of {info['mailbox_size']}"),
        ("messages", str(info["messages"])),
        ("streams", str(info["streams"])),
        ("channels", str(info["channels"])),
        ("children", str(info["children"])),
        ("restarts", str(info["restarts"])),
        ("uptime", duration(info["uptime_s"])),
    ]
    return facts + ([("error", click.style(one_line(info["error"]), fg="red"))] if info["error"] else [])
