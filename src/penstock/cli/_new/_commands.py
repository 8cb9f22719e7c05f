"""`penstock new`, `penstock token` and `penstock completion`, as click knows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click
from click.shell_completion import get_completion_class

from penstock.cli._run import OK, run


@click.group(short_help="Begin a project, or add an actor to one.")
def new() -> None:
    """Begin a project, or add an actor to one. The files run as they are, and come with a test."""


@new.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the names of the files as JSON.")
def project(name: str, as_json: bool) -> int:  # noqa: FBT001 - click passes it by name
    """Make the folder NAME with an actor, its manifest, a test and a README.

    \b
    penstock new project greetings
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._new._write import new_project

    made, then = new_project(name)
    return _print_files(made, then, as_json=as_json)


@new.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the names of the files as JSON.")
def actor(name: str, as_json: bool) -> int:  # noqa: FBT001
    """Make NAME.py, NAME.toml and test_NAME.py in this folder.

    \b
    penstock new actor counter
    """  # noqa: D301
    from penstock.cli._new._write import new_actor

    made, then = new_actor(name)
    return _print_files(made, then, as_json=as_json)


@click.command(short_help="Make a token, by which a server knows a client.")
@click.argument("name")
@click.option("--role", multiple=True, metavar="ROLE", help="A role of the client; may be repeated.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="The last day of the token (UTC).")
@click.option("--file", "path", type=click.Path(dir_okay=False), metavar="PATH", help="Add its line to this file of tokens.")
def token(name: str, role: Sequence[str], expires: datetime | None, path: str | None) -> int:
    """Make a token for the client NAME, and print it: show it to `connect(token=)`, or save it for --token-file.

    The file of a server has the hash of the token alone, in a line with the name and the roles. Without --file, the line is
    printed to standard error. The token itself is shown this once.

    \b
    penstock token alice --role reader --file tokens.txt > alice.token
    penstock server --listen tls://0.0.0.0:7700 --cert node.pem --tokens tokens.txt
    """  # noqa: D301 - click wants the character, not the backslash
    from penstock.cli._new._token import make

    return run(make(name, role, expires.date() if expires else None, path))


def _print_files(made: list[str], then: list[str], *, as_json: bool) -> int:
    """Print the files that were made, and the next commands."""
    if as_json:
        click.echo(json.dumps({"files": made, "next": then}))
        return OK
    for path in made:
        click.echo(f"made {path}")
    click.echo("next:")
    for line in then:
        click.echo(f"  {line}")
    return OK


@click.command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the script that completes commands, options and the names of actors in SHELL.

    \b
    eval "$(penstock completion bash)"                                      in ~/.bashrc
    eval "$(penstock completion zsh)"                                       in ~/.zshrc
    penstock completion fish > ~/.config/fish/completions/penstock.fish
    """  # noqa: D301
    cls: Any = get_completion_class(shell)
    root = context.find_root()
    click.echo(cls(root.command, {}, "penstock", "_PENSTOCK_COMPLETE").source())
    return OK


TOOLS: Final[tuple[click.Command, ...]] = (new, token, completion)
