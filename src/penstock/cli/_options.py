"""Options that several commands share, their checks, and the exit codes of all commands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import click

from penstock.cli._run import Unusable

if TYPE_CHECKING:
    from penstock import TLS
    from penstock.service import CallOptions

C = TypeVar("C", bound=Callable[..., Any])

EXIT_CODES: Final = """\b
Exit codes:
    0   success
    1   any other failure
    2   the command line is wrong
    3   verify or replay found a difference
    4   replay could not compare every message
    5   replay compared no message
   65   cancelled               73   failed precondition
   66   unknown                 74   aborted
   67   invalid argument        75   out of range
   68   deadline exceeded       76   unimplemented
   69   not found               77   internal
   70   already exists          78   unavailable, connection lost
   71   permission denied       79   data loss
   72   resource exhausted      80   unauthenticated
  130   Ctrl-C                 141   the reader of the output went away
  143   SIGTERM
"""


def together(*decorators: Callable[[C], C]) -> Callable[[C], C]:
    """Return one decorator that applies all of these, the last one first."""

    def decorate(command: C) -> C:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


EXISTING_FILE: Final = click.Path(exists=True, dir_okay=False)
#: The environment variable with a token for servers.
TOKEN_VARIABLE: Final = "PENSTOCK_TOKEN"  # noqa: S105 - the name of a variable
_NEGATIVE: Final = re.compile(r"-\d")
SECONDS: Final = click.FloatRange(min=0, min_open=True)

tls_options = together(
    click.option("--dev-tls", is_flag=True, help="Use a throw-away certificate, made once for this user and machine."),
    click.option(
        "--tls-ca",
        "--ca",
        type=EXISTING_FILE,
        metavar="PATH",
        help="Trust the authorities in this PEM file (default: those of the system).",
    ),
    click.option("--cert", type=EXISTING_FILE, metavar="PATH", help="Present this certificate, a PEM file."),
    click.option(
        "--key", type=EXISTING_FILE, metavar="PATH", help="The private key of --cert, a PEM file (default: in the same file)."
    ),
)
trust_options = together(
    click.option(
        "--tokens", type=EXISTING_FILE, metavar="PATH", help="Take only clients with a token of this file (penstock token)."
    ),
    click.option(
        "--access",
        type=EXISTING_FILE,
        metavar="PATH",
        help="Give clients the rights in the table [access] of this TOML file (default: everything but to end things and to "
        "use the commands).",
    ),
)


def trust_of(values: dict[str, Any]) -> dict[str, Any]:
    """Remove the values of `trust_options`, and return the arguments of `serve`. Raises `Unusable` for a wrong file."""
    tokens, access = values.pop("tokens"), values.pop("access")
    if access and not tokens:
        raise click.UsageError("--access needs --tokens, by which clients are known")
    if not tokens:
        return {}
    from penstock import auth
    from penstock.errors import InvalidArgument

    try:
        rights = auth.Access.from_file(access) if access else None
        return {"authenticate": auth.Tokens.from_file(tokens), "authorize": rights}
    except InvalidArgument as error:
        raise Unusable(error.message) from None


metadata_option = click.option(
    "-m", "--metadata", multiple=True, metavar="KEY=VALUE", help="Send this pair of strings with the call; may be repeated."
)


class JsonCommand(click.Command):
    """A command with an argument in JSON: a word that begins as a negative number is one, and not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a space, which JSON allows, before each such word: click takes a word that begins with "-" for an option."""
        return super().parse_args(ctx, [f" {word}" if _NEGATIVE.match(word) else word for word in args])


class Reach(NamedTuple):
    """How the commands reach a server, by the options before the name of a command.

    node: the URL of the node; None for the socket of this user. token_file: the file with the token to show. tls: the values of
    `tls_options`, for the node, and for a command with a URL that has none of its own.
    """

    node: str | None = None
    token_file: str | None = None
    tls: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def here(cls) -> Reach:
        """Return that of the command that runs."""
        context = click.get_current_context(silent=True)
        found = None if context is None else context.find_root().obj
        return found if isinstance(found, Reach) else cls()

    def token(self) -> str:
        """Return the token: from the file, else from the environment, else none. Raises `Unusable` for an unreadable file."""
        if self.token_file is None:
            return os.environ.get(TOKEN_VARIABLE, "")
        try:
            return Path(self.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{self.token_file}: the token cannot be read: {error}") from None


def _show_token_of(context: click.Context, _parameter: click.Parameter, path: str | None) -> str | None:
    """Have the command that runs show the token in this file, as if the option stood before its name."""
    if path is not None and context.parent is not None:
        context.find_root().obj = Reach.here()._replace(token_file=path)
    return path


def _token_option(**more: Any) -> Callable[[C], C]:
    text = f"Show the token in this file to the server (default: ${TOKEN_VARIABLE})."
    return click.option("--token-file", type=EXISTING_FILE, metavar="PATH", help=text, **more)


reach_options = together(
    click.option("--node", metavar="URL", help="Use the node at this URL (default: the socket of this user)."),
    _token_option(),
    tls_options,
)
#: Those of a command that connects to the server at a URL of its own. They may stand before its name, too.
client_options = together(_token_option(callback=_show_token_of, expose_value=False), tls_options)


class NodeOptions(NamedTuple):
    """The options of every command that talks to a node.

    socket: the path of the node's socket; None for the default one. as_json: the output is for a program. reach: how another
    node is reached.
    """

    socket: str | None
    as_json: bool
    reach: Reach = Reach()


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: one document, or one a line.")
socket_option = click.option(
    "--socket", metavar="PATH", help="The socket of the node (default: $PENSTOCK_SOCKET, or the socket of this user)."
)
node_options = together(json_option, socket_option)


def take_node_options(values: dict[str, Any]) -> NodeOptions:
    """Remove the values of `node_options` from the values of a command, and return them."""
    options = NodeOptions(values.pop("socket"), values.pop("as_json"), Reach.here())
    if options.reach.node is not None and options.socket is not None:
        raise click.UsageError("--node reaches a node over the network, --socket one of this user: give one of them")
    return options


def refuse_memory_urls(urls: Sequence[str]) -> None:
    """Raise `Unusable` for a listener that no other process could reach."""
    if any(url.startswith("memory://") for url in urls):
        raise Unusable("memory:// cannot be reached from another process; listen at tcp://, tls:// or unix://")


def tls_of(urls: Sequence[str], values: dict[str, Any], *, server: bool) -> TLS | None:
    """Return the TLS configuration for `urls`, None when none of them is encrypted.

    A client takes those before the name of its command where it has none of its own. Raises `click.UsageError` for options that
    contradict each other or the URLs.
    """
    from penstock import TLS
    from penstock.cli._serve import is_encrypted

    names = ("dev_tls", "cert", "key", "tls_ca")
    given = {name: values.pop(name) for name in names}
    if not server and not any(given.values()):
        given |= Reach.here().tls
    dev, cert, key, ca = (given[name] for name in names)
    own = cert or key or ca
    if dev and own:
        raise click.UsageError("--dev-tls brings its own certificate; leave out --cert, --key and --tls-ca")
    if key and not cert:
        raise click.UsageError("--key needs --cert, the certificate of that key")
    if not any(map(is_encrypted, urls)):
        if dev or own:
            raise click.UsageError(f"{', '.join(urls)} is not encrypted, so TLS options do not apply; did you mean tls://…?")
        return None
    if server and not (dev or cert):
        raise click.UsageError("tls:// needs a certificate: --dev-tls makes one for this machine, --cert and --key use yours")
    return TLS.development() if dev else TLS.production(cert, key, ca)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return a dict of pairs written as "key=value". Raises `click.UsageError` for one without an equals sign."""
    for pair in texts:
        if not pair.partition("=")[1]:
            raise click.UsageError(f"-m {pair}: metadata is written key=value")
    return {key: value for key, _, value in (pair.partition("=") for pair in texts)}


def options_of(values: dict[str, Any]) -> CallOptions:
    """Return the options of a call from the values of the command."""
    from penstock.service import CallOptions

    names = ("timeout", "idle_timeout", "buffer_size", "priority")
    return CallOptions(**{name: values[name] for name in names}, metadata=pairs(values["metadata"]))


def place_of(text: str) -> int | Literal["oldest", "now"]:
    """Return the place in a stream that is written as an offset, "oldest" or "now". Raises `click.UsageError`."""
    match text:
        case "oldest":
            return "oldest"
        case "now":
            return "now"
    if text.isdecimal() and text.isascii():
        return int(text)
    raise click.UsageError(f"--since {text}: it is the offset of an item, 0 or more, or oldest, or now")
