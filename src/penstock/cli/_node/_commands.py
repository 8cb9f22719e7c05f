"""The commands of a node and its actors, as click knows them. Their work is in other modules, imported when a command runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import click

from penstock.cli._node._completion import actor_names
from penstock.cli._options import (
    SECONDS,
    JsonCommand,
    node_options,
    refuse_memory_urls,
    take_node_options,
    tls_of,
    tls_options,
    trust_of,
    trust_options,
)
from penstock.cli._run import run

#: How long calls, channels and actors may go on when a node is told to stop.
SERVER_GRACE_S: Final = 10.0

ID: Final = click.argument("actor", metavar="ID", shell_complete=actor_names)
ID_HELP: Final = "ID is the name of an actor, its id, or the beginning of its id."


# ── the node ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="Run a node: actors, a history, listeners.")
@click.argument("manifests", metavar="[MANIFEST]...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--listen", multiple=True, metavar="URL", help="Serve the actors at this URL as well; may be repeated.")
@click.option(
    "--history",
    metavar="PATH|none",
    help="Record events in this file, up to 1 GiB (default: a file in the user's state directory).",
)
@click.option("--name", default="", metavar="NAME", help="The name of the node.")
@click.option("--console", metavar="URL", help="Serve a live page of the node on this machine: http://127.0.0.1:7780.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=SERVER_GRACE_S,
    show_default=True,
    metavar="SECONDS",
    help="How long running calls, streams and channels may go on after the first signal.",
)
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without --tokens: every client may do everything.")
@trust_options
@tls_options
@node_options
def server(manifests: Sequence[str], listen: Sequence[str], history: str | None, name: str, grace: float, **values: Any) -> int:
    """Run a node in the foreground, with the actors of the manifests.

    A MANIFEST is a TOML file that names an actor; `penstock new actor` makes one.

    The other commands reach the node at its socket, which only this user can open. --listen URLs serve the actors to
    programs and other nodes. With --tokens, only clients with a token are taken, and --access says what each may do; those
    to whom it allows Penstock.Control/* may use the commands, too (`penstock --node URL`). Without --tokens, every client
    may use and stop the actors, so such a node listens at this machine only, unless --insecure is given.

    The first SIGINT or SIGTERM drains the node: running calls and channels have --grace SECONDS to end, then the actors
    stop, children first. A second signal stops at once.

    \b
    penstock server
    penstock server --listen tcp://127.0.0.1:7700 --history none counter.toml
    penstock server --console http://127.0.0.1:7780 counter.toml
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._node._server import ServerOptions, serve

    node = take_node_options(values)
    trust = {**trust_of(values), "insecure": values["insecure"]}
    tls = tls_of(listen, values, server=True) if listen or values["dev_tls"] or values["cert"] else None
    refuse_memory_urls(listen)
    stopping = asyncio.Event()
    return run(
        serve(ServerOptions(node, manifests, listen, history, name, grace, tls, values["console"], trust), stopping),
        on_signal=stopping.set,
    )


@click.command(short_help="Watch a node live: actors, mailboxes, streams, history.")
@click.option("--interval", type=SECONDS, default=1.0, show_default=True, metavar="SECONDS", help="Time between two updates.")
@click.option("--once", is_flag=True, help="Print one update and exit.")
@node_options
def top(interval: float, once: bool, **values: Any) -> int:  # noqa: FBT001 - click passes it by name
    """Watch a node live: actors with mailbox and messages per second, streams with rate, lag and credit, the history.

    In a pipe, or with --json, the updates are printed one below the other. LAG counts the items that were sent and not yet
    reported as received; consumers report in batches, so a small lag is normal. CREDIT is the number of items that the actor
    may still send before it waits.

    \b
    penstock top
    penstock top --once --json | jq .actors
    """  # noqa: D301
    from penstock.cli._node._top import watch

    return run(watch(take_node_options(values), interval, once=once))


# ── the life of actors ────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="Start the actor of a manifest.")
@click.argument("manifest", metavar="MANIFEST", type=click.Path())
@click.option("--id-only", is_flag=True, help="Print only the id.")
@node_options
def start(manifest: str, id_only: bool, **values: Any) -> int:  # noqa: FBT001
    """Start the actor of a manifest, and print the actor's name and id.

    MANIFEST is a TOML file that names an actor; `penstock new actor` makes one.

    \b
    penstock start counter.toml
    id=$(penstock start counter.toml --id-only)
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.start(take_node_options(values), manifest, id_only=id_only))


@click.command(short_help="Stop an actor, its children first.", epilog=ID_HELP)
@ID
@node_options
def stop(actor: str, **values: Any) -> int:
    """Stop an actor, its children first.

    \b
    penstock stop counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.stop(take_node_options(values), actor))


@click.command(short_help="Restart an actor with a fresh state.", epilog=ID_HELP)
@ID
@node_options
def restart(actor: str, **values: Any) -> int:
    """Restart an actor with a fresh state. The messages in its mailbox stay.

    Its code stays the same, too: to load a changed file, stop the actor and start it.

    \b
    penstock restart counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.restart(take_node_options(values), actor))


@click.command("list", short_help="List the actors.")
@click.argument("pattern", default="**")
@node_options
def list_actors(pattern: str, **values: Any) -> int:
    """List the actors whose names match PATTERN: * is one part of a name, ** any number of parts.

    \b
    penstock list
    penstock list 'chat/rooms/*'
    penstock list --json | jq -r '.[].id'
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.show_list(take_node_options(values), pattern))


@click.command(short_help="Show the attributes of an actor.", epilog=ID_HELP)
@ID
@node_options
def state(actor: str, **values: Any) -> int:
    """Show the attributes of an actor as JSON.

    \b
    penstock state counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.show_state(take_node_options(values), actor))


@click.command(short_help="Show everything about an actor.", epilog=ID_HELP)
@ID
@node_options
def inspect(actor: str, **values: Any) -> int:
    """Show everything about an actor.

    That is its state, the message it is handling, its methods with their types, its ports and attributes, and whether it
    takes channels and plain messages.

    \b
    penstock inspect counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.inspect(take_node_options(values), actor))


# ── talking to actors ─────────────────────────────────────────────────────────────────────────────────────────────────

_MESSAGE: Final = """JSON {"action": NAME, "params": …} calls the method NAME; params gives the arguments: an object by
    name, a list by place. For a method with one parameter, any other value is its argument, and so is an object or a list when
    its type is made of one. Any other JSON goes to the actor's `receive` as a message of type "message". A JSON of - reads it
    from standard input."""


@click.command(
    cls=JsonCommand,
    short_help="Send a message to an actor.",
    help=f"""Send a message to an actor without waiting for it to be handled.

    {_MESSAGE}

    \b
    penstock message counter '{{"action": "add", "params": {{"count": 5}}}}'
    penstock message counter '"hello"'
    """,
    epilog=ID_HELP,
)
@ID
@click.argument("message", metavar="JSON")
@node_options
def message(actor: str, message: str, **values: Any) -> int:
    """Send a message."""
    from penstock.cli._node import _messages

    return run(_messages.send(take_node_options(values), actor, message))


@click.command(
    cls=JsonCommand,
    short_help="Ask an actor and print its answer.",
    help=f"""Ask an actor and print its answer as JSON.

    {_MESSAGE}

    \b
    penstock request counter '{{"action": "add", "params": 5}}'
    penstock request counter '{{"action": "get"}}' --timeout 2
    """,
    epilog=ID_HELP,
)
@ID
@click.argument("message", metavar="JSON")
@click.option(
    "--timeout", type=SECONDS, default=30.0, show_default=True, metavar="SECONDS", help="How long to wait for the answer."
)
@node_options
def request(actor: str, message: str, timeout: float, **values: Any) -> int:
    """Ask an actor."""
    from penstock.cli._node import _messages

    return run(_messages.ask(take_node_options(values), actor, message, timeout))


@click.command(short_help="Print the items of a port or a stream, or the events of an actor.", epilog=ID_HELP)
@ID
@click.argument("port", metavar="[PORT|METHOD]", required=False)
@click.option("--params", metavar="JSON", help="The arguments of a streaming method, as those of `penstock request`.")
@click.option(
    "--buffer-size",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="ITEMS",
    help="How many items the actor may be ahead.",
)
@node_options
def subscribe(actor: str, port: str | None, params: str | None, buffer_size: int, **values: Any) -> int:
    """Print the items of a port or a streaming method of an actor as they come, one JSON value a line.

    Without PORT or METHOD, print the actor's events. With an ID of -, read ids from standard input, one a line.

    \b
    penstock subscribe hub readings | head -3
    penstock subscribe counter ticks --params '{"every_s": 0.5}'
    penstock start counter.toml --id-only | penstock subscribe -
    """  # noqa: D301
    from penstock.cli._node import _messages

    return run(_messages.subscribe(take_node_options(values), actor, _messages.SubscribeOptions(port, params, buffer_size)))


@click.group(short_help="Talk to an actor over a channel.")
def channel() -> None:
    """Talk to an actor over a channel."""


@channel.command("open", epilog=ID_HELP)
@ID
@click.option("-m", "--message", metavar="JSON", help="The payload that the channel is opened with.")
@click.option("-f", "--file", type=click.Path(exists=True, dir_okay=False), help="Read that payload from a file.")
@node_options
def channel_open(actor: str, message: str | None, file: str | None, **values: Any) -> int:
    """Open a channel to an actor, send the messages that you type, and print the messages that arrive.

    The prompt takes: send JSON, send --file PATH, close [REASON], exit, help. Text after `send` that does not begin with {, [
    or " and is not JSON is sent as a text.

    When standard input is not a terminal, the same commands are read from it, one a line. After `exit` or the end of input,
    further messages of the other side are printed until it closes the channel or is silent for 3 s; `close` closes at once.
    The exit code is 2 when one of the commands was wrong.

    \b
    penstock channel open consumer -m '{"stream": "demo"}'
    printf '%s\\n' 'send {"type": "data_item", "index": 1}' exit | penstock channel open consumer --json
    """  # noqa: D301
    from penstock.cli._node import _channel

    return run(_channel.open_channel(take_node_options(values), actor, _channel.opening(message, file)))


LIVE_COMMANDS: Final[tuple[click.Command, ...]] = (
    server,
    top,
    start,
    stop,
    restart,
    list_actors,
    state,
    inspect,
    message,
    request,
    subscribe,
    channel,
)
