"""The verbs of a node and its actors, as click knows them. What a verb does is elsewhere, and imported when it is run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from penstock.cli._node._client import Where
from penstock.cli._node._names import actor_names
from penstock.cli._options import SECONDS, tls_of, tls_options, together
from penstock.cli._run import run

C = TypeVar("C", bound=Callable[..., Any])

#: How long calls, channels and actors that run may go on when a node is told to stop.
GRACE_S: Final = 10.0

ID: Final = click.argument("actor", metavar="ID", shell_complete=actor_names)
JSON: Final = click.option("--json", "as_json", is_flag=True, help="JSON, one document or one a line, for programs.")
socket_option = click.option(
    "--socket", metavar="PATH", help="The node's socket ($PENSTOCK_SOCKET; default: the one of this user)."
)
node_options = together(JSON, socket_option)


def where(given: dict[str, Any]) -> Where:
    """Take the options of every verb out of what was given."""
    return Where(given.pop("socket"), given.pop("as_json"))


# ── the node ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="Run a node: actors, listeners, a history, until Ctrl-C.")
@click.argument("manifests", metavar="[MANIFEST]...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--listen", multiple=True, metavar="URL", help="Serve the actors there too; repeat it for more.")
@click.option(
    "--history", metavar="PATH|none", help="Where to record what happens, up to 1 GiB (default: in the user's state directory)."
)
@click.option("--name", default="", metavar="NAME", help="What the node is called in its history.")
@click.option("--grace", type=click.FloatRange(min=0), default=GRACE_S, show_default=True, metavar="SECONDS", help="See above.")
@tls_options
@node_options
def server(manifests: Sequence[str], listen: Sequence[str], history: str | None, name: str, grace: float, **given: Any) -> int:
    """Run a node in the foreground, with the actors of the manifests.

    The other commands reach it at its socket, which only this user can open. --listen URLs serve its actors to programs and
    other nodes: whoever connects there may use them, without being asked who they are; nobody can start one there.

    The first SIGINT or SIGTERM drains: calls and channels are told, and have --grace SECONDS; then the actors stop, children
    first. The second one ends at once.

    \b
    penstock server
    penstock server --listen tcp://127.0.0.1:7700 --history none counter.toml
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._node._server import Asked, serve

    place = where(given)
    tls = tls_of(listen, given, server=True) if listen or given["dev_tls"] or given["cert"] else None
    stopping = asyncio.Event()
    return run(serve(Asked(place, manifests, listen, history, name, grace, tls), stopping), ask=stopping.set)


@click.command(short_help="Watch the node live: actors, mailboxes, streams, history.")
@click.option("--interval", type=SECONDS, default=1.0, show_default=True, metavar="SECONDS", help="How often to look.")
@click.option("--once", is_flag=True, help="Look twice, print the difference, and end.")
@node_options
def top(interval: float, once: bool, **given: Any) -> int:  # noqa: FBT001 - click passes it by name
    """Watch the node live: actors with mailbox and messages a second, streams with rate, credit and lag, the history.

    In a pipe, and with --json, each look is printed below the other. LAG is what was sent and is not known to be taken yet:
    takers say so in batches, so some is normal. CREDIT is how much more may be sent before the actor waits.

    \b
    penstock top
    penstock top --once --json | jq .actors
    """  # noqa: D301
    from penstock.cli._node._top import watch

    return run(watch(where(given), interval, once=once))


# ── the life of actors ────────────────────────────────────────────────────────────────────────────────────────────────


@click.command(short_help="Start the actor of a manifest.")
@click.argument("manifest", metavar="MANIFEST", type=click.Path())
@click.option("--id-only", is_flag=True, help="Print only the id.")
@node_options
def start(manifest: str, id_only: bool, **given: Any) -> int:  # noqa: FBT001
    """Start the actor of a manifest, and print its name and id.

    \b
    penstock start counter.toml
    id=$(penstock start counter.toml --id-only)
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.start(where(given), manifest, id_only=id_only))


@click.command(short_help="Stop an actor, its children first.")
@ID
@node_options
def stop(actor: str, **given: Any) -> int:
    """Stop an actor, its children first. ID is an id, the beginning of one, or a name.

    \b
    penstock stop counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.stop(where(given), actor))


@click.command(short_help="Restart an actor with a fresh state.")
@ID
@node_options
def restart(actor: str, **given: Any) -> int:
    """Restart an actor with a fresh state; what waits in its mailbox stays.

    Its code stays too: after a change of its file, stop it and start it.

    \b
    penstock restart counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.restart(where(given), actor))


@click.command("list", short_help="List the actors.")
@click.argument("pattern", default="**")
@node_options
def list_actors(pattern: str, **given: Any) -> int:
    """List the actors whose names fit PATTERN: * is one part of a name, ** any number of them.

    \b
    penstock list
    penstock list 'chat/rooms/*'
    penstock list --json | jq -r '.[].id'
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.show_list(where(given), pattern))


@click.command(short_help="Show the attributes of an actor.")
@ID
@node_options
def state(actor: str, **given: Any) -> int:
    """Show the attributes of an actor as JSON.

    \b
    penstock state counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.show_state(where(given), actor))


@click.command(short_help="Show an actor: how it stands, what it takes, its state.")
@ID
@node_options
def inspect(actor: str, **given: Any) -> int:
    """Show everything about an actor: how it stands and what it is busy with, what it takes, its state.

    It takes calls of its methods, which are shown with their types, and perhaps channels and plain messages; its ports can be
    subscribed to.

    \b
    penstock inspect counter
    """  # noqa: D301
    from penstock.cli._node import _actors

    return run(_actors.inspect(where(given), actor))


# ── talking to actors ─────────────────────────────────────────────────────────────────────────────────────────────────

_MESSAGE: Final = """JSON {"action": NAME, "params": …} calls the method NAME; params is an object by name, a list by place,
    or may be left out. Any other JSON goes to the actor's `receive` as a message of the type "message". - reads it from
    standard input."""


@click.command(
    short_help="Send a message to an actor.",
    help=f"""Send a message to an actor, and do not wait for what it does.

    {_MESSAGE}

    \b
    penstock message counter '{{"action": "add", "params": {{"k": 5}}}}'
    penstock message counter '"hello"'
    """,
)
@ID
@click.argument("message", metavar="JSON")
@node_options
def message(actor: str, message: str, **given: Any) -> int:
    """Send a message."""
    from penstock.cli._node import _talk

    return run(_talk.send(where(given), actor, message))


@click.command(
    short_help="Ask an actor and print its answer.",
    help=f"""Ask an actor and print its answer as JSON.

    {_MESSAGE}

    \b
    penstock request counter '{{"action": "add", "params": [5]}}'
    penstock request counter '{{"action": "get"}}' --timeout 2
    """,
)
@ID
@click.argument("message", metavar="JSON")
@click.option("--timeout", type=SECONDS, default=30.0, show_default=True, metavar="SECONDS", help="How long to wait.")
@node_options
def request(actor: str, message: str, timeout: float, **given: Any) -> int:
    """Ask an actor."""
    from penstock.cli._node import _talk

    return run(_talk.ask(where(given), actor, message, timeout))


@click.command(short_help="Follow a port, a stream or the events of actors.")
@ID
@click.argument("port", metavar="[PORT|METHOD]", required=False)
@click.option("--params", metavar="JSON", help="What a streaming method takes: an object by name, a list by place.")
@click.option("--buffer-size", type=click.IntRange(min=1), default=100, show_default=True, help="Items it may be ahead.")
@node_options
def subscribe(actor: str, port: str | None, params: str | None, buffer_size: int, **given: Any) -> int:
    """Follow a port or a streaming method of an actor, one JSON value a line, or, without one, its events.

    ID - reads ids from standard input, one a line.

    \b
    penstock subscribe hub readings | head -3
    penstock subscribe counter ticks --params '{"every_s": 0.5}'
    penstock start counter.toml --id-only | penstock subscribe -
    """  # noqa: D301
    from penstock.cli._node import _talk

    return run(_talk.subscribe(where(given), actor, _talk.Wish(port, params, buffer_size)))


@click.group(short_help="Talk to an actor over a channel.")
def channel() -> None:
    """Talk to an actor over a channel."""


@channel.command("open")
@ID
@click.option("-m", "--message", metavar="JSON", help="What the channel is opened with.")
@click.option("-f", "--file", type=click.Path(exists=True, dir_okay=False), help="The same, from a file.")
@node_options
def channel_open(actor: str, message: str | None, file: str | None, **given: Any) -> int:
    """Open a channel to an actor, send what is typed, print what arrives.

    The prompt takes: send JSON, send --file PATH, close [REASON], exit, help. What does not begin with {, [ or " and is no
    JSON is sent as a text.

    When standard input is no terminal, the same commands are read from it line by line. After `exit` or its end, what the other
    side still says is printed until it closes, or says nothing for 3 s; `close` closes at once. A command that could not be
    obeyed makes the exit code 2.

    \b
    penstock channel open consumer -m '{"stream": "demo"}'
    printf '%s\\n' 'send {"type": "data_item", "index": 1}' exit | penstock channel open consumer --json
    """  # noqa: D301
    from penstock.cli._node import _channel

    return run(_channel.open_channel(where(given), actor, _channel.opening(message, file)))


VERBS: Final[tuple[click.Command, ...]] = (
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
