"""The commands of a history, as click knows them. Their work is in `_history`, imported when a command runs."""

from __future__ import annotations

from typing import Any, Final

import click

from penstock.cli._node._commands import ID, ID_HELP
from penstock.cli._options import json_option, node_options, socket_option, take_node_options, together
from penstock.cli._run import run
from penstock.observe import KINDS

#: Where `logs`, `events` and `replay` find a history.
_LIVE: Final = (
    "The history is that of a running node. For the file of a node that is down, run `penstock server --history FILE`."
)

#: The kinds of events of an actor, and of the history itself.
_KINDS: Final = (*KINDS, "unrecorded", "torn")
_TIME: Final = (
    "a span back from now (15 min, 2 days), today, yesterday, a time (14:30, 2026-11-20T14:30), or the number of an event"
)

range_options = together(
    click.option("--from", "begin", metavar="WHEN", help=f"Only events from then on: {_TIME}."),
    click.option("--to", "end", metavar="WHEN", help="Only events before then."),
    click.option("--search", metavar="TEXT", help="Only events that contain this text, in any case."),
)


@click.command(short_help="Show the log of an actor, its starts and crashes.", epilog=f"{ID_HELP}\n\n{_LIVE}")
@ID
@click.option("-f", "--follow", is_flag=True, help="Go on with new events as they happen.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="COUNT", help="Only the last COUNT events.")
@range_options
@node_options
def logs(actor: str, **values: Any) -> int:
    """Show the log lines of an actor, its starts, ends and crashes, and the messages of its channels.

    \b
    penstock logs consumer
    penstock logs consumer -f -n 20
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._node import _history

    node = take_node_options(values)
    return run(_history.logs(node, _history.query_of(actor, **values)))


@click.command(short_help="Show every event of an actor.", epilog=f"{ID_HELP}\n\n{_LIVE}\n\nKinds: {', '.join(_KINDS)}.")
@ID
@click.option(
    "--type",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    metavar="KIND",
    help="Only this kind, see below; may be repeated.",
)
@range_options
@click.option("-f", "--follow", is_flag=True, help="Go on with new events as they happen.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="COUNT", help="Only the last COUNT events.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["pretty", "compact", "json", "csv"]),
    help="The output format (default: pretty on a terminal, else compact).",
)
@click.option(
    "--export",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the events to a regular file (default format: json).",
)
@node_options
def events(actor: str, form: str | None, export: str | None, **values: Any) -> int:
    """Show every event of an actor, the oldest first. The ID ** stands for all actors. json prints one event a line.

    \b
    penstock events counter --type message --type reply
    penstock events counter --from '15 min' --search timeout
    penstock events counter --format csv --export counter.csv
    """  # noqa: D301
    from penstock.cli._node import _history

    node = take_node_options(values)
    return run(_history.events(node, _history.query_of(actor, **values), form, export))


@click.command(short_help="Send the recorded messages to a fresh actor and compare.", epilog=f"{ID_HELP}\n\n{_LIVE}")
@ID
@node_options
def replay(actor: str, **values: Any) -> int:
    """Send the recorded messages of an actor to a fresh one in the node, and compare the outcomes with the recorded ones.

    The running actor is left alone, but side effects of its methods outside the actor happen once more. The replay begins
    where the actor was last spawned; its log lines appear in the log of the server, marked with "(replay)". Prints the first
    difference. The exit code is 3 when there is one, 4 when some messages could not be compared, and 5 when none was.

    \b
    penstock replay counter
    """  # noqa: D301
    from penstock.cli._node import _history

    return run(_history.replay(take_node_options(values), actor))


@click.command(short_help="Check the hashes of a history.")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@together(json_option, socket_option)
def verify(file: str | None, **values: Any) -> int:
    """Check that no event of a history was changed or removed. FILE is a history; the default is that of the node.

    Prints the first event that is wrong; the exit code is then 3.

    \b
    penstock verify
    penstock verify backup/history.db
    """  # noqa: D301
    from penstock.cli._node import _history

    return run(_history.verify(take_node_options(values), file))


HISTORY_COMMANDS: Final[tuple[click.Command, ...]] = (logs, events, replay, verify)
