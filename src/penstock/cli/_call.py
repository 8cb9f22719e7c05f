"""`penstock call`, one call of any kind with JSON lines in and out, and `penstock follow`, a retained stream as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import msgspec

from penstock import TLS, Follower, Reconnect
from penstock.calls import RemoteStream, Request, call_unary
from penstock.cli import _stdio as stdio
from penstock.cli._describe import CONNECT_TIMEOUT_S, connecting
from penstock.cli._format import json_of
from penstock.cli._run import OK, Unusable
from penstock.codec import JSON
from penstock.errors import DataLoss, EndOfStream, InvalidArgument
from penstock.peer import Peer, method_called
from penstock.protocol import CallKind
from penstock.service import CallOptions, MethodDescription, written_arguments

#: Items that are written at a time, at most: those that have arrived go out together, without waiting for more.
BATCH_ITEMS: Final = 1024

#: Values stay encoded as JSON between the connection and the terminal.
_RAW_JSON: Final = JSON.decode_for(msgspec.Raw)


class CallArguments(NamedTuple):
    """The arguments and options of `penstock call`."""

    url: str
    target: str
    argument: str | None
    tls: TLS | None
    options: CallOptions
    pretty: bool


async def call(arguments: CallArguments) -> int:
    """Make the call and print its result or its items. Cancelling it cancels the call."""
    value = None if arguments.argument in {None, "-"} else _checked(str(arguments.argument))
    output = stdio.Output(pretty=arguments.pretty)
    timeout = min(CONNECT_TIMEOUT_S, arguments.options.timeout or CONNECT_TIMEOUT_S)
    async with output.until_broken(), connecting(arguments.url, arguments.tls, timeout) as peer:
        method = await method_called(peer, arguments.target, arguments.options.metadata, timeout)
        if arguments.argument == "-":
            value = await _from_input(method)
        kind = CallKind.labelled(method.kind)
        argument = None if value is None else written_arguments(method.parameters, bytes(value))
        with _pointing_to_its_description(arguments.url, method):
            await _run(peer, Request(method.target, kind, JSON, argument, _RAW_JSON, arguments.options), output)
    return OK


@contextmanager
def _pointing_to_its_description(url: str, method: MethodDescription) -> Iterator[None]:
    """Add a note to an argument or item that the server refused; input that is not JSON has not reached it."""
    try:
        yield
    except InvalidArgument as error:
        if not isinstance(error, stdio.InvalidInput):
            error.add_note(f"`{_describing_command(url, method.target)}` shows its parameters")
        raise


def _describing_command(url: str, target: str) -> str:
    """Return the command that describes a method: actors describe their methods themselves."""
    if not target.startswith("/"):
        return f"penstock describe {url} {target}"
    return f"penstock call {url} {target.rpartition('/')[0]}/accepts"


async def _run(peer: Peer, request: Request, output: stdio.Output) -> None:
    """Make a call of any kind; its items come from standard input."""
    if request.kind == CallKind.UNARY:
        await output.write([await call_unary(peer._scope, request)])
        return
    async with RemoteStream[msgspec.Raw](
        peer._scope, request, _requests() if request.kind & CallKind.CLIENT_STREAMING else None
    ) as stream:
        if request.kind & CallKind.SERVER_STREAMING:
            async for batch in stream.batches(BATCH_ITEMS):
                await output.write(batch)
        else:
            await output.write([await _only(stream)])


async def _only(stream: RemoteStream[msgspec.Raw]) -> msgspec.Raw:
    try:
        return await stream.receive()
    except EndOfStream:
        raise DataLoss(f"{stream.target}: the call ended without a result") from None


def _requests() -> AsyncIterator[msgspec.Raw]:
    if stdio.is_terminal(stdio.STDIN):
        print("type one JSON value a line; Ctrl-D ends the input", file=sys.stderr)
    return stdio.items()


# ── the argument ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _from_input(method: MethodDescription) -> msgspec.Raw:
    if method.request is not None:
        raise Unusable(f"{method.target} reads items from standard input; write its argument on the command line, not as -")
    return stdio.json_value(await stdio.argument(), "the input")


def _checked(text: str) -> msgspec.Raw:
    try:
        return stdio.json_value(text.encode(errors="surrogateescape"), "the argument")
    except InvalidArgument as error:
        quoted = stdio.QUOTES_HINT if text[:1].isalpha() else ""
        raise Unusable(f"{error}{quoted}") from None


# ── a retained stream ─────────────────────────────────────────────────────────────────────────────────────────────────


class FollowArguments(NamedTuple):
    """The arguments and options of `penstock follow`. action: "read", "describe" or "stop"."""

    url: str
    name: str
    since: int | Literal["oldest", "now"]
    action: str
    tls: TLS | None
    metadata: dict[str, str]
    latest: bool


async def follow(arguments: FollowArguments) -> int:
    """Write the items of a stream to its end, or what is known of it, or stop it."""
    url, name, since, action, tls, metadata, latest = arguments
    output = stdio.Output(pretty=action == "describe")
    reconnect = Reconnect() if action == "read" else None
    options = CallOptions(metadata=metadata)
    async with (
        output.until_broken(),
        connecting(url, tls, reconnect=reconnect) as peer,
        peer.follow(name, since=since, latest=latest, options=options) as follower,
    ):
        if action == "stop":
            await follower.stop()
        elif action == "describe":
            await output.write([msgspec.Raw(json_of(await follower.describe()))])
        else:
            await _write(follower, output)
    return OK


async def _write(follower: Follower[object], output: stdio.Output) -> None:
    async for batch in follower.batches(BATCH_ITEMS):
        await output.write([msgspec.Raw(json_of(item)) for item in batch])
