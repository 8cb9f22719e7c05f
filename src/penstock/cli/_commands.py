"""The commands and their options, as click knows them. What a command does is elsewhere, and imported when it is run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from penstock.cli._new import TOOLS
from penstock.cli._node import VERBS
from penstock.cli._options import EXIT_CODES, SECONDS, metadata_option, options_of, pairs, tls_of, tls_options
from penstock.cli._run import BROKEN_PIPE, INTERRUPTED, run, tell

#: The commands as the help lists them.
SECTIONS: Final = {
    "Services": ("serve", "describe", "call", "demo"),
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
    "Tools": ("new", "completion"),
}
#: Where `serve` listens unless it is told: this machine only.
DEFAULT_URL: Final = "tcp://127.0.0.1:7700"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if sys.stdout is None:  # who started it has closed it (`>&-`)
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it is open as long as the program
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except OSError:  # it was told, or is a broken pipe: what Python still holds goes nowhere, without a complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = commands.main(arguments, prog_name="penstock", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        tell(error.format_message())
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    return result if isinstance(result, int) else 0


def _show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click calls it so
    if wanted:
        from importlib.metadata import version

        python = ".".join(map(str, sys.version_info[:3]))
        click.echo(f"penstock {version('penstock')} (Python {python})")
        context.exit()


class Sectioned(click.Group):
    """A group whose help lists its commands by what they are about."""

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
def commands() -> None:
    """Typed streams under backpressure, from the command line.

    \b
    penstock serve shop.py:Prices                     serve a class
    penstock describe tcp://127.0.0.1:7700            what is there
    penstock call tcp://127.0.0.1:7700 Prices/watch '"AAPL"' | head -3
    penstock demo                                     two processes, live

    \b
    penstock server                                   a node: actors, a history, these commands
    penstock new project greetings                    a place to begin
    """  # noqa: D301 - click wants the character, not the backslash


# ── the commands ──────────────────────────────────────────────────────────────────────────────────────────────────────


@commands.command(epilog=EXIT_CODES)
@click.argument("url")
@click.argument("method", metavar="SERVICE/METHOD")
@click.argument("argument", metavar="[JSON]", required=False)
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="The whole call must be over by then.")
@click.option(
    "--idle-timeout", type=SECONDS, metavar="SECONDS", help="Every item must come within this time of the one before."
)
@click.option("--buffer-size", type=click.IntRange(min=1), metavar="ITEMS", help="How far the producer may be ahead.")
@click.option("--priority", type=click.Choice(["interactive", "normal", "bulk"]), default="normal", help="Who goes first.")
@metadata_option
@click.option("--pretty", is_flag=True, help="Indent the JSON.")
@tls_options
def call(url: str, method: str, argument: str | None, **given: Any) -> int:
    """Call a method of any kind, with JSON in and out.

    JSON is the argument: an object whose keys are all names of parameters gives them by name, an array gives several
    parameters by place, anything else is the one argument; - reads it from standard input. bytes are written as base64.

    /ACTOR/METHOD calls a method of an actor of a node.

    A method that takes a stream reads its items from standard input, one JSON value a line, as fast as they are wanted.
    A stream of results is printed one JSON value a line. Ctrl-C cancels the call.

    \b
    penstock call tcp://127.0.0.1:7700 Prices/quote '"AAPL"'
    penstock call tcp://127.0.0.1:7700 Prices/watch '{"symbol": "AAPL"}' --buffer-size 8
    penstock call tcp://127.0.0.1:7700 Prices/record < prices.ndjson
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._call import Wanted
    from penstock.cli._call import call as make_call

    tls = tls_of([url], given, server=False)
    return run(make_call(Wanted(url, method, argument, tls, options_of(given), given["pretty"])))


@commands.command()
@click.argument("services", metavar="MODULE:CLASS...", nargs=-1, required=True)
@click.option(
    "--listen", multiple=True, metavar="URL", default=[DEFAULT_URL], show_default=True, help="Where; repeat it for more."
)
@click.option("--expose-errors", is_flag=True, help="Send the text of unexpected errors to the caller, for development.")
@click.option("--grace", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS", help="See above.")
@tls_options
def serve(services: Sequence[str], listen: Sequence[str], expose_errors: bool, grace: float, **given: Any) -> int:  # noqa: FBT001
    """Serve classes or objects until Ctrl-C or SIGTERM.

    MODULE:CLASS is importable from here, or path/to/file.py:Class. It may also name an object, or a function that
    returns one; what is an async context manager is entered and left.

    URLs: tcp://host:port (port 0 takes a free one), tls://host:port, unix:///path. With --tls-ca a tls:// server lets in
    only clients whose certificate it signed.

    The first signal stops politely: no new calls, and those that run have --grace SECONDS; the second one stops at once.
    """
    from penstock.cli._load import load
    from penstock.cli._serve import Served
    from penstock.cli._serve import serve as start

    hint = ["--dev-tls"] if given["dev_tls"] else []
    tls = tls_of(listen, given, server=True)
    found = [(spec, load(spec)) for spec in services]
    stopping = asyncio.Event()
    return run(start(Served(found, listen, tls, expose_errors, grace, hint), stopping), ask=stopping.set)


@commands.command(short_help="Show what a server serves.")
@click.argument("url")
@click.argument("service", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON with JSON Schema also on a terminal.")
@metadata_option
@tls_options
def describe(url: str, service: str | None, as_json: bool, **given: Any) -> int:  # noqa: FBT001 - click passes it by name
    """Show what a server serves: an outline on a terminal, else JSON with JSON Schema."""
    from penstock.cli._describe import show

    tls = tls_of([url], given, server=False)
    return run(show(url, service, tls, pairs(given["metadata"]), as_json=as_json))


@commands.command(short_help="Two processes, live.")
@click.option("--plain", is_flag=True, help="Lines instead of a live view, for pipes and logs.")
@click.option(
    "--size", type=click.IntRange(min=1), metavar="MB", default=200, show_default=True, help="Size of the file that is carried."
)
@click.option("--seconds", type=SECONDS, metavar="SECONDS", help="About how long the scenes take (default: 25).")
def demo(plain: bool, size: int, seconds: float | None) -> int:  # noqa: FBT001 - click passes them by name
    """Two processes, live: metrics of this machine, a large file, a chat, and a slow consumer that is never flooded."""
    from penstock.cli._demo import run_demo

    code: int = run_demo(plain=plain, file_mb=size, seconds=seconds)
    return code


for _command in (*VERBS, *TOOLS):
    commands.add_command(_command)
