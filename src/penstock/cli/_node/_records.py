"""The verbs of a history, as click knows them. What a verb does is elsewhere, and imported when it is run."""

from __future__ import annotations

from typing import Any, Final

import click

from penstock.cli._node._verbs import ID, JSON, node_options, socket_option, where
from penstock.cli._options import together
from penstock.cli._run import run
from penstock.observe import KINDS

#: What can happen to an actor, and to the history itself.
_KINDS: Final = (*KINDS, "unrecorded", "torn")
_TIME: Final = "15 min, 2026-11-20, 14:30, an ISO 8601 time, or the number of an event"

range_options = together(
    click.option("--from", "begin", metavar="WHEN", help=f"Only from then on: {_TIME}."),
    click.option("--to", "end", metavar="WHEN", help="Only until then."),
    click.option("--search", metavar="TEXT", help="Only events that have this text in them, in any case."),
)


@click.command(short_help="Show what an actor logged, and what became of it.")
@ID
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="COUNT", help="Only the last COUNT.")
@range_options
@node_options
def logs(actor: str, **given: Any) -> int:
    """Show what an actor logged, its starts and crashes, and what went over its channels.

    \b
    penstock logs consumer
    penstock logs consumer -f -n 20
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._node import _history

    place = where(given)
    return run(_history.logs(place, _history.asked(actor, **given)))


@click.command(short_help="Show every event of an actor.", epilog=f"Kinds: {', '.join(_KINDS)}.")
@ID
@click.option(
    "--type", "kinds", multiple=True, type=click.Choice(_KINDS), metavar="KIND", help="Only these, as they are listed below."
)
@range_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="COUNT", help="Only the last COUNT.")
@click.option(
    "--format", "form", type=click.Choice(["pretty", "compact", "json", "csv"]), help="pretty on a terminal, else compact."
)
@click.option(
    "--export", type=click.Path(dir_okay=False, writable=True), metavar="FILE", help="Write them to a file (as json)."
)
@node_options
def events(actor: str, form: str | None, export: str | None, **given: Any) -> int:
    """Show every event of an actor, the oldest first; json is one event a line. ID ** is all actors.

    \b
    penstock events counter --type message --type reply
    penstock events counter --from '15 min' --search timeout
    penstock events counter --format csv --export counter.csv
    """  # noqa: D301
    from penstock.cli._node import _history

    place = where(given)
    return run(_history.events(place, _history.asked(actor, **given), form, export))


@click.command(short_help="Run what an actor was told once more and compare.")
@ID
@node_options
def replay(actor: str, **given: Any) -> int:
    """Give the recorded messages of an actor to a fresh one in the node, and compare what comes of them with what is recorded.

    The actor that runs is left alone; what its methods do outside of it is done once more. Says where the first difference
    is, and ends with 3 when there is one, with 4 when some message could not be compared. It begins where the actor was last
    spawned; what it logs appears in the log of the server with "(replay)".

    \b
    penstock replay counter
    """  # noqa: D301
    from penstock.cli._node import _history

    return run(_history.replay(where(given), actor))


@click.command(short_help="Check the hashes of a history.")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@together(JSON, socket_option)
def verify(file: str | None, **given: Any) -> int:
    """Check that no event of a history was changed or removed: that of the node, or FILE.

    Says which event is wrong, and ends with 3 when one is.

    \b
    penstock verify
    penstock verify backup/history.db
    """  # noqa: D301
    from penstock.cli._node import _history

    return run(_history.verify(where(given), file))


RECORDS: Final[tuple[click.Command, ...]] = (logs, events, replay, verify)
