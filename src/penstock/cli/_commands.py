"""The commands and their options, as click knows them. Their work is in other modules, imported when a command runs."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from penstock.cli._new import TOOLS
from penstock.cli._node import NODE_COMMANDS
from penstock.cli._options import (
    EXIT_CODES,
    SECONDS,
    JsonCommand,
    Reach,
    client_options,
    metadata_option,
    options_of,
    pairs,
    place_of,
    reach_options,
    refuse_memory_urls,
    tls_of,
    tls_options,
    trust_of,
    trust_options,
)
from penstock.cli._run import INTERRUPTED, fill_standard_descriptors, output_error, print_notice, run
from penstock.cli._typescript import typescript

#: The commands in the order of the help.
SECTIONS: Final = {
    "Services": ("serve", "describe", "call", "follow", "demo"),
    "A node": ("server", "top"),
    "Actors": (
        "start",
        "stop",
        "restart",
        "list",
        "message",
        "request",
        "subscribe",
        "channel",
        "state",
        "inspect",
    ),
    "History": ("logs", "events", "replay", "verify"),
    "Tools": ("new", "token", "typescript", "completion"),
}
#: The default of `serve --listen`: this machine only.
DEFAULT_URL: Final = "tcp://127.0.0.1:7700"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    fill_standard_descriptors()
    if sys.stdout is None:  # closed by the shell (`>&-`): writing to it is an error, as for a full disk
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, open to the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open as long as the program
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # no terminal and no file is too old for the text of an actor
            stream.reconfigure(errors="replace")
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python must not complain once more about its buffer
        return code or output_error(error)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line; errors of click become exit codes."""
    try:
        result = commands.main(arguments, prog_name="penstock", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        print_notice(error.format_message())
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        return output_error(error)
    return result if isinstance(result, int) else 0


def _show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        from importlib.metadata import version

        python = ".".join(map(str, sys.version_info[:3]))
        click.echo(f"penstock {version('penstock')} (Python {python})")
        context.exit()


class Sectioned(click.Group):
    """A group whose help lists its commands in sections."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            rows = [(f"{name:{width}}", self.commands[name].get_short_help_str(80)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=Sectioned, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version.")
@reach_options
@click.pass_context
def commands(context: click.Context, /, node: str | None, token_file: str | None, **tls: Any) -> None:
    """Typed streams under backpressure, from the command line.

    \b
    penstock serve shop.py:Prices                     serve a class
    penstock describe tcp://127.0.0.1:7700            show its methods
    penstock call tcp://127.0.0.1:7700 Prices/watch '"AAPL"' | head -3
    penstock demo                                     watch two processes at work

    \b
    penstock server                                   run a node: actors, a history
    penstock new project greetings                    begin a project

    \b
    penstock --node tls://10.1.2.3:7700 --token-file token list
    """  # noqa: D301 - click wants the character, not the backslash
    context.obj = Reach(node, token_file, tls)


# ── the commands ──────────────────────────────────────────────────────────────────────────────────────────────────────


@commands.command(cls=JsonCommand, epilog=EXIT_CODES)
@click.argument("url")
@click.argument("method", metavar="SERVICE/METHOD")
@click.argument("argument", metavar="[JSON]", required=False)
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Time limit of the whole call.")
@click.option("--idle-timeout", type=SECONDS, metavar="SECONDS", help="Time limit between two items.")
@click.option("--buffer-size", type=click.IntRange(min=1), metavar="ITEMS", help="How many items the producer may be ahead.")
@click.option(
    "--priority",
    type=click.Choice(["interactive", "normal", "bulk"]),
    default="normal",
    help="Precedence over other calls.",
)
@metadata_option
@click.option("--pretty", is_flag=True, help="Indent the JSON.")
@client_options
def call(url: str, method: str, argument: str | None, **values: Any) -> int:
    """Call a method of a service, with JSON in and out. /ACTOR/METHOD calls a method of an actor of a node.

    The types of an actor's method are asked for first, by a message `accepts` that stands in its history, too.

    JSON gives the arguments: an object by name, an array by place. For a method with one parameter, any other JSON is its
    argument, and so is an object or an array when its type is made of one. A JSON of - reads it from standard input. Write
    bytes as base64.

    A method that takes a stream reads its items from standard input, one JSON value a line, as fast as the server takes
    them. A stream of results is printed one JSON value a line. Ctrl-C cancels the call.

    \b
    penstock call tcp://127.0.0.1:7700 Prices/quote '"AAPL"'
    penstock call tcp://127.0.0.1:7700 Prices/watch '{"symbol": "AAPL"}' --buffer-size 8
    penstock call tcp://127.0.0.1:7700 Prices/record < prices.ndjson
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._call import CallArguments
    from penstock.cli._call import call as make_call

    tls = tls_of([url], values, server=False)
    return run(make_call(CallArguments(url, method, argument, tls, options_of(values), values["pretty"])))


@commands.command(short_help="Follow a retained stream of a server.")
@click.argument("url")
@click.argument("name")
@click.option("--since", metavar="OFFSET", default="0", help="The first item: its offset, oldest, or now (default: 0).")
@click.option("--latest", is_flag=True, help="Only the newest item, when the output is slower than the stream.")
@click.option("--describe", "action", flag_value="describe", help="Show what is known of the stream, and end.")
@click.option("--stop", "action", flag_value="stop", help="Stop the stream and its writer, and end.")
@metadata_option
@client_options
def follow(url: str, name: str, since: str, action: str | None, latest: bool, **values: Any) -> int:  # noqa: FBT001 - as click calls it
    """Follow a stream that a server keeps (penstock.retained), one JSON value a line, from any item on.

    It goes on through lost connections, and through restarts of the server when the stream is durable. It ends with the stream;
    Ctrl-C ends the command only, and --stop ends the stream.

    \b
    penstock follow tcp://127.0.0.1:7700 run-7
    penstock follow tcp://127.0.0.1:7700 run-7 --since 120
    penstock follow tcp://127.0.0.1:7700 run-7 --describe
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._call import FollowArguments
    from penstock.cli._call import follow as start

    tls = tls_of([url], values, server=False)
    metadata = pairs(values["metadata"])
    return run(start(FollowArguments(url, name, place_of(since), action or "read", tls, metadata, latest)))


@commands.command()
@click.argument("services", metavar="MODULE:CLASS...", nargs=-1, required=True)
@click.option(
    "--listen",
    multiple=True,
    metavar="URL",
    default=[DEFAULT_URL],
    show_default=True,
    help="The URL to listen at; may be repeated.",
)
@click.option("--expose-errors", is_flag=True, help="Send the text of unexpected errors to callers (for development).")
@click.option("--origin", multiple=True, metavar="ORIGIN", help="Let web pages of this origin connect; may be repeated.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running calls may go on after the first signal.",
)
@trust_options
@tls_options
def serve(services: Sequence[str], listen: Sequence[str], expose_errors: bool, grace: float, **values: Any) -> int:  # noqa: FBT001
    """Serve classes or objects until Ctrl-C or SIGTERM.

    MODULE:CLASS names a class in a module that can be imported from here, or in a file: path/to/file.py:Class. It may also
    name an object, or a function that returns one. An object that is an async context manager is entered and left.

    A URL is tcp://host:port (port 0 takes a free port), tls://host:port, unix:///path, ws:// or wss:// for WebSocket, and
    http:// or https:// for that and calls with JSON. With --tls-ca, a tls:// server accepts only clients with a certificate
    of that authority. Pages of other sites may connect when --origin names theirs, as http://localhost:5173.

    The first signal drains the server: it accepts no new calls, and running calls have --grace SECONDS to end. A second
    signal stops at once.
    """
    from penstock.cli._load import load
    from penstock.cli._serve import ServeOptions
    from penstock.cli._serve import serve as start

    hint = ["--dev-tls"] if values["dev_tls"] else []
    trust = trust_of(values)
    tls = tls_of(listen, values, server=True)
    refuse_memory_urls(listen)
    loaded = [(spec, load(spec)) for spec in services]
    stopping = asyncio.Event()
    options = ServeOptions(loaded, listen, tls, expose_errors, grace, hint, values["origin"], trust)
    return run(start(options, stopping), on_signal=stopping.set)


@commands.command(short_help="Show the services of a server.")
@click.argument("url")
@click.argument("service", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON with JSON Schema on a terminal, too.")
@metadata_option
@client_options
def describe(url: str, service: str | None, as_json: bool, **values: Any) -> int:  # noqa: FBT001 - click passes it by name
    """Show the services of a server: an outline on a terminal, else JSON with JSON Schema.

    The actors of a node are not services: `penstock call URL /ACTOR/accepts` shows the methods of one.

    SERVICE is one service, or one method as Service/method; the default is all services.
    """
    from penstock.cli._describe import show

    tls = tls_of([url], values, server=False)
    return run(show(url, service, tls, pairs(values["metadata"]), as_json=as_json))


@commands.command(short_help="Watch two processes at work: a tour of the promises.")
@click.option("--plain", is_flag=True, help="Print lines instead of a live view, for pipes and logs.")
@click.option(
    "--size", type=click.IntRange(min=1), metavar="MB", default=200, show_default=True, help="Size of the file to transfer."
)
@click.option("--seconds", type=SECONDS, metavar="SECONDS", help="Approximate length of the scenes (default: 25).")
def demo(plain: bool, size: int, seconds: float | None) -> int:  # noqa: FBT001 - click passes them by name
    """Watch two processes at work: metrics of this machine, a large file, a chat, a slow consumer that is never flooded."""
    from penstock.demo import run_demo

    code: int = run_demo(plain=plain, file_mb=size, seconds=seconds)
    return code


for _command in (*NODE_COMMANDS, *TOOLS, typescript):
    commands.add_command(_command)
