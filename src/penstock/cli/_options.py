"""What several commands take: options, their checks, and the exit codes of all. It runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from penstock import TLS
    from penstock.service import CallOptions

C = TypeVar("C", bound=Callable[..., Any])

EXIT_CODES: Final = """\b
Exit codes:
    0   it ended well
    1   something else went wrong
    2   the command cannot be run as it was given
    3   verify or replay found a difference
    4   replay could not compare every message
   65   cancelled               73   failed precondition
   66   unknown                 74   aborted
   67   invalid argument        75   out of range
   68   deadline exceeded       76   unimplemented
   69   not found               77   internal
   70   already exists          78   unavailable, connection lost
   71   permission denied       79   data loss
   72   resource exhausted      80   unauthenticated
  130   Ctrl-C                 141   nobody reads the output
  143   SIGTERM
"""


def together(*decorators: Callable[[C], C]) -> Callable[[C], C]:
    """Return the one decorator that all of these are."""

    def decorate(command: C) -> C:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


FILE: Final = click.Path(exists=True, dir_okay=False)
SECONDS: Final = click.FloatRange(min=0, min_open=True)

tls_options = together(
    click.option("--dev-tls", is_flag=True, help="Use the throw-away certificate of this user and machine."),
    click.option(
        "--tls-ca", "--ca", type=FILE, metavar="PATH", help="Whom to trust, as PEM (default: the system's authorities)."
    ),
    click.option("--cert", type=FILE, metavar="PATH", help="The certificate of this side, as PEM."),
    click.option("--key", type=FILE, metavar="PATH", help="Its private key, as PEM (default: in the file of --cert)."),
)
metadata_option = click.option(
    "-m", "--metadata", multiple=True, metavar="KEY=VALUE", help="Send a pair of strings with the call; repeat it for more."
)


def tls_of(urls: Sequence[str], given: dict[str, Any], *, server: bool) -> TLS | None:
    """Make of the TLS options what `urls` need, and see that they fit together."""
    from penstock import TLS
    from penstock.cli._serve import is_encrypted

    dev, cert, key, ca = (given.pop(name) for name in ("dev_tls", "cert", "key", "tls_ca"))
    own = cert or key or ca
    if dev and own:
        raise click.UsageError("--dev-tls makes its own certificate; leave out --cert, --key and --tls-ca")
    if key and not cert:
        raise click.UsageError("--key needs --cert, the certificate that it belongs to")
    if not any(map(is_encrypted, urls)):
        if dev or own:
            raise click.UsageError(f"{', '.join(urls)} is not encrypted, so it takes no certificate; did you mean tls://…?")
        return None
    if server and not (dev or cert):
        raise click.UsageError("tls:// needs a certificate: --dev-tls makes one for this machine, --cert and --key use yours")
    return TLS.development() if dev else TLS.production(cert, key, ca)


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Return the pairs that were given as "key=value"."""
    for pair in given:
        if not pair.partition("=")[1]:
            raise click.UsageError(f"-m {pair}: metadata is written key=value")
    return {key: value for key, _, value in (pair.partition("=") for pair in given)}


def options_of(given: dict[str, Any]) -> CallOptions:
    """Return the options of a call."""
    from penstock.service import CallOptions

    names = ("timeout", "idle_timeout", "buffer_size", "priority")
    return CallOptions(**{name: given[name] for name in names}, metadata=pairs(given["metadata"]))
