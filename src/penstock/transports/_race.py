"""Connect to the first address of a host that answers (RFC 8305). The loops' own way loses a socket when it is cancelled."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, cast

#: How long one address of a name may take before the next is tried beside it (RFC 8305 recommends 250 ms).
NEXT_ADDRESS_DELAY_S: Final = 0.25

Address = tuple[str | int, ...]
Endpoint = tuple[int, Address]


async def resolved(host: str, port: int, flags: int = 0) -> list[tuple[Any, ...]]:
    """Return the addresses of a host, as `socket.getaddrinfo`.

    Raises `socket.gaierror`, and another `OSError` when this process has no descriptor left: a resolver without one says that
    the name is unknown, or that some resource is busy.
    """
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except OSError:
        socket.socket().close()
        raise


async def endpoints_of(host: str, port: int) -> list[Endpoint]:
    """Return the family and address of each address of a host, the families alternately. Raises `socket.gaierror`.

    A literal address is read here; only a name needs a thread.
    """
    found: Sequence[tuple[Any, ...]]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await resolved(host, port)
    counts: Counter[int] = Counter()
    ranked: list[tuple[int, Endpoint]] = []
    for family, _type, _protocol, _name, address in found:
        ranked.append((counts[family], (family, cast("Address", address))))
        counts[family] += 1
    return [endpoint for _rank, endpoint in sorted(ranked, key=lambda one: one[0])]


async def connected_socket(endpoints: Sequence[Endpoint]) -> socket.socket:
    """Return a socket that is connected to the first endpoint that answers. Raises the first error when none does.

    Cancelling it closes every socket that it has made.
    """
    if len(endpoints) == 1:
        return await _attempt(*endpoints[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    try:
        for endpoint in endpoints:
            attempts.append(asyncio.ensure_future(_attempt(*endpoint)))
            if await _first(attempts, NEXT_ADDRESS_DELAY_S) is not None:
                break
        winner = await _first(attempts, None)
        if winner is None:
            return attempts[0].result()  # raises its error
        attempts.remove(winner)
        return winner.result()
    finally:
        await _close(attempts)


async def _attempt(family: int, address: Address) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def _first(attempts: list[asyncio.Task[socket.socket]], timeout_s: float | None) -> asyncio.Task[socket.socket] | None:
    """Return the first attempt that has succeeded; None when all have failed or, with a time-out, when that has passed."""
    while True:
        for attempt in attempts:
            if attempt.done() and attempt.exception() is None:
                return attempt
        running = [attempt for attempt in attempts if not attempt.done()]
        if not running:
            return None
        done, _running = await asyncio.wait(running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return None


async def _close(attempts: list[asyncio.Task[socket.socket]]) -> None:
    """End the attempts that have lost, and close the sockets of those that came second."""
    for attempt in attempts:
        attempt.cancel()
        attempt.add_done_callback(_close_socket)
    if attempts:
        await asyncio.wait(attempts)


def _close_socket(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
