"""`retained`: the one call that makes, finds and goes on with a retained stream."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar

from penstock.retention._kept import Notes
from penstock.retention._log import Limits
from penstock.retention._stream import Retained
from penstock.retention._streams import Streams, checked_name, streams_here
from penstock.streams import checked_seconds, checked_size

T = TypeVar("T")

#: The limits of a stream that sets none.
TTL_S: Final = 300.0
MAX_ITEMS: Final = 65_536
MAX_BYTES: Final = 16 * 1024 * 1024
#: The longest time, a year: a clock cannot count with any number.
TTL_MAX_S: Final = 366 * 86_400.0


def retained(
    name: str,
    items: AsyncIterable[T] | Iterable[T] | Callable[[int], AsyncIterable[T] | Iterable[T]] | None = None,
    *,
    type: Any = None,
    durable: str | PathLike[str] | None = None,
    ttl_s: float = TTL_S,
    max_items: int = MAX_ITEMS,
    max_bytes: int = MAX_BYTES,
) -> Retained[T]:
    """Return the stream that is kept under a name; the first call makes it, and lets `items` write it.

    A handler that returns it offers it to its caller, from the first item on: ``return penstock.retained(name, generate())``.
    Leaving the stream then stops neither the generator nor other readers. `Peer.follow` follows it by its name, from any item
    on, also after a lost connection; `Retained.follow` does so in this process; `Retained.stop` ends the generator.

    name: 1 to 256 characters, the same for all who follow it. While a stream of that name is kept, also after its end, each
        call returns it; the options of later calls are not used.
    items: the items of the stream: an async generator or another iterable, or a function that gets the offset of the next item
        and returns one. It is pulled without regard to followers, in a task of its own that ends with the event loop, and
        outside of the call that is handled here. A stream that is open and has such a task leaves later `items` unused. None
        for a stream that the program writes by `Retained.send`.
    type: the type of the items for readers in this process; by default the class that each item had, and builtin types for a
        durable stream.
    durable: the path of a file that keeps the stream through the end of the program, also by ``kill -9``; None for memory. An
        item is in the file when `Retained.send` or `Retained.flush` returns, or a follower has it; a power failure may take the
        last moment. After a restart, the first call with this path takes up all streams of the file. One that was open is gone
        on with by `items`, or by `send`; without that it fails with `Aborted` after its `ttl_s`. One program at a time has the
        file, and its event loop closes it.
    ttl_s: seconds for which the stream is kept after its end; 300 by default.
    max_items, max_bytes: how much of the stream is kept, 65,536 items and 16 MiB by default. The oldest items go first; a
        follower that still needs them gets `OutOfRange`.

    Raises `TypeError` for `items` of another type, `ValueError` for a name or limit out of range, `ResourceExhausted` for too
    many streams, `AlreadyExists` for a name that is kept elsewhere than in `durable`, `RuntimeError` without a running event
    loop; for `durable`, `FailedPrecondition` for a file of another kind, of another process or with a second name,
    `Unavailable` for one that cannot be opened, and `DataLoss` for a damaged one. It never waits, but for a program that locks
    the file: a second at most.
    """
    if not (items is None or callable(items) or isinstance(items, AsyncIterable | Iterable)):
        raise TypeError(f"the items of stream {name!r} are {items!r:.100}: they take an async generator or another iterable")
    seconds = checked_seconds("ttl_s", ttl_s)
    limits = Limits(
        TTL_MAX_S if seconds is None else min(seconds, TTL_MAX_S),
        checked_size("max_items", max_items),
        checked_size("max_bytes", max_bytes),
    )
    streams = streams_here()
    stream: Retained[T] = streams.make(checked_name(name), limits, type, None if durable is None else Path(durable))
    if type is not None and not stream._kept.wanted:  # it was made over HTTP, or read from its file
        stream._kept.item_type = type
    stream._kept.wanted = True
    if items is not None and stream._kept.state == "open" and (stream._writer is None or stream._writer.done()):
        streams.begin(stream, items)
    return stream


def made_for_others(
    streams: Streams, name: str, notes: Notes, *, durable: str | PathLike[str] | None, max_items: int, max_bytes: int
) -> Retained[Any]:
    """Make a stream that others than the program write, whose name is not in use. Its notes say how long it lives.

    Raises as `retained`.
    """
    limits = Limits(TTL_MAX_S, max_items, max_bytes)
    stream = streams.make(checked_name(name), limits, None, None if durable is None else Path(durable))
    stream._kept.notes = notes
    stream._kept.noted()
    return stream
