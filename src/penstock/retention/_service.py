"""The built-in service by which other processes follow retained streams: `follow` and `stop` (PROTOCOL.md 14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from penstock.calls import context
from penstock.errors import Aborted, InvalidArgument
from penstock.retention._kept import StreamDescription, checked_since
from penstock.retention._stream import Retained
from penstock.retention._streams import streams_here

#: Seconds that a follower which comes back waits for its stream: after a restart, the program may make it a moment later.
APPEAR_S: Final = 2.0


class Following:
    """The service of the streams that are kept here."""

    service_name = "Penstock"

    async def follow(self, name: str, since: int | str, stream_id: bytes | None, latest: bool) -> AsyncIterator[Any]:  # noqa: FBT001
        """Return a `Place`, the items of a stream from `since` on, and then live ones.

        stream_id: that of the stream, from a follower that has begun before; None from a new one.

        Raises `NotFound` when the stream is not kept, `Aborted` when another stream has its name now, and `OutOfRange`.
        """
        _check_access(name, "follow")
        stream = streams_here().find(name) if stream_id is None else await _returned(name)
        _check_same(stream, stream_id)
        try:
            follower = stream._announced(checked_since(since), latest=latest)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        call = context()
        follower.by = call._scope.remote if call._scope is not None else ""
        if call.draining:
            follower.leave()
        elif call._scope is not None:
            call._scope.movable.add(follower)
        return follower

    async def kept(self, name: str, stream_id: bytes | None) -> StreamDescription:
        """Describe a stream. Raises as `stop`."""
        _check_access(name, "follow")
        stream = streams_here().find(name)
        _check_same(stream, stream_id)
        return stream._kept.describe()

    async def stop(self, name: str, stream_id: bytes | None) -> None:
        """Stop a stream, and return when its writer has cleaned up. Raises as `follow`; without an id, it is any stream."""
        _check_access(name, "stop")
        stream = streams_here().find(name)
        _check_same(stream, stream_id)
        await stream.stop()


def _check_access(name: str, verb: str) -> None:
    """Raise `PermissionDenied` unless the caller may do this to the stream, which perhaps there is not."""
    scope = context()._scope
    if scope is not None:
        scope.check_access(f"streams/{name}", verb)


def _check_same(stream: Retained[Any], stream_id: bytes | None) -> None:
    """Raise `Aborted` unless the stream is the one with this id: its offsets are not those of another one."""
    if stream_id is not None and stream._kept.id != stream_id:
        raise Aborted(f"stream {stream.name!r} is another one than the one that was followed, which is forgotten")


async def _returned(name: str) -> Retained[Any]:
    """Return the stream with this name; wait `APPEAR_S` for it. Raises `NotFound`."""
    streams = streams_here()
    with suppress(TimeoutError):
        async with asyncio.timeout(APPEAR_S):
            await streams.appear(name)
    return streams.find(name)


FOLLOWING: Final = Following()
