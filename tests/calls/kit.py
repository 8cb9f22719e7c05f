"""A server and a client that are joined, and the gate: no call leaves anything behind in either session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import penstock
from tests.session.kit import held_for_peer
from tests.streams.kit import ended, rest, started  # noqa: F401 - the tests of calls take them from here

T = TypeVar("T")

URL = "memory://test"
#: How long handlers of a test may take to clean up, in virtual seconds.
CLEAN_UP_S = 2.0


@dataclass
class Pair:
    """`peer` is what the client holds, `served` what the server holds."""

    server: penstock.Server
    peer: penstock.Peer

    @property
    def served(self) -> penstock.Peer:
        (served,) = self.server.peers
        return served

    def stub(self, cls: type[T], **options: Any) -> T:
        stub = self.peer.service(cls)
        return penstock.options(stub, **options) if options else stub

    def left_over(self) -> dict[str, object]:
        """What calls have left behind, by side; empty when all is well."""
        sides = {"client": self.peer, "server": self.served}
        return {f"{side} {what}": found for side, peer in sides.items() for what, found in _left_over(peer).items()}


def _left_over(peer: penstock.Peer) -> dict[str, object]:
    session = peer._scope.session
    found = {
        "streams": session._connection.streams.all(),
        "bytes that wait": held_for_peer(session),
        "sinks that wait": list(session.waiting_sinks),
        "tasks": list(peer._scope.tasks),
        "unary calls": session.unary_calls,
        "something to write": session._connection.has_data(),
    }
    return {what: value for what, value in found.items() if value}


@asynccontextmanager
async def linked(*services: object, url: str = URL, gate: bool = True, **options: Any) -> AsyncIterator[Pair]:
    """Serve and connect. Options that begin with `client_` are those of `connect`. With `gate`, nothing may be left behind."""
    client = {name.removeprefix("client_"): options.pop(name) for name in list(options) if name.startswith("client_")}
    tls = {"tls": options["tls"]} if "tls" in options else {}
    async with penstock.serve(*services, listen=url, **options) as server:
        async with penstock.connect(server.urls[0], **tls, **client) as peer:
            pair = Pair(server, peer)
            yield pair
            if gate:
                await rest()
                left = pair.left_over()
                assert not left, f"left behind: {left}"
        await asyncio.sleep(CLEAN_UP_S)
        assert not server.peers


async def collected(items: Any) -> tuple[list[Any], Exception | None]:
    """Read a stream to its end; return its items and what it failed with."""
    found: list[Any] = []
    try:
        async for item in items:
            found.append(item)  # noqa: PERF401 - what came before a failure counts
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return found, error
    return found, None


async def read_on(stream: Any) -> None:
    """Receive for ever: what comes is dropped, what ends it is raised."""
    while True:
        await stream.receive()


def now() -> float:
    return asyncio.get_running_loop().time()


class Log(list[str]):
    """What happened, in order."""

    def around(self, name: str, *, before: Callable[[], Any] | None = None, after: Callable[[], Any] | None = None) -> Any:
        """Make an interceptor that writes down how it is entered and left."""

        @asynccontextmanager
        async def interceptor(call: penstock.CallInfo) -> AsyncIterator[None]:
            self.append(f"{name} in")
            if before is not None:
                await before()
            try:
                yield
            except BaseException as error:
                self.append(f"{name} {type(error).__name__}")
                raise
            self.append(f"{name} out")
            if after is not None:
                await after()

        return interceptor


def urls(schemes: Sequence[str], folder: Any) -> list[str]:
    places = {"memory": URL, "tcp": "tcp://127.0.0.1:0", "tls": "tls://127.0.0.1:0", "unix": f"unix://{folder}/s"}
    return [places[scheme] for scheme in schemes]
