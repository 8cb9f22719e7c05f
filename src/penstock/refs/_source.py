"""`SourceRef`: the receiving end of a stream as a value."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from penstock.calls import CallScope, RemoteStream, Request, Stream
from penstock.codec import MSGPACK, ExtensionCode, decode_marked, register_extension
from penstock.errors import FailedPrecondition, StatusError
from penstock.protocol import CallKind
from penstock.refs._offers import RefLocation, offers
from penstock.refs._routes import guarded, route_to
from penstock.refs._state import RefState, ref_extension, send_release
from penstock.service import CallOptions
from penstock.streams import Demand, Dropped, Iteration, Source, Statistics, checked_size, source_of

T = TypeVar("T")

CLAIM: Final = "Penstock/claim_source"


class SourceRef(Source[T]):
    """The receiving end of a stream as a value: put it into any message, argument or result, and use it where it arrives.

    source: a `Source` or any async iterable. Raises `TypeError` for any other object.

    In one process the ref passes by reference. Sent to another process, it is on offer for 30 s; its first use there claims it,
    over a live connection to the process that sent it, and the demand of the reader reaches the producer. ``SourceRef[Price]``
    in a type hint decodes the items as `Price`, a plain `SourceRef` as builtin types.

    A ref is a `Source` with one user, and can be read once: leaving a loop over it ends the stream in all processes. Its first
    use raises `FailedPrecondition` when the ref has another user, `NotFound` when it was reclaimed, and `Unavailable` without
    a connection to its process. Call `aclose` on a ref that you do not read; dropping it does the same.
    """

    __slots__ = ("__weakref__", "_read", "_source", "_state")

    def __init__(self, source: AsyncIterable[T]) -> None:
        if not isinstance(source, AsyncIterable):
            raise TypeError(f"{type(source).__name__} is not a Source or an async iterable")
        if isinstance(source, Source):
            source._keep_ahead(0)  # until its reader is known, whose demand it follows
        self._state: RefState[AsyncIterable[T]] = RefState(source)
        self._source: Source[T] | None = None
        self._read = False

    def claim(self, *, buffer_size: int | None = None) -> Source[T]:
        """Return the source of the ref. Only this side can use the stream from now on. The first use claims it, too.

        buffer_size: how many items the producer may be ahead of this reader, kept exactly, also when the ref came through
            other processes; by default the window of each connection tunes itself. The stream of an actor makes nothing before
            the claim, and keeps to the number in its own process, too; the buffer of a pipe stays as it is.

        Raises the errors of a first use, as the class says.
        """
        if buffer_size is not None:
            buffer_size = checked_size("buffer_size", buffer_size)
        if self._source is None:
            end = self._state.use("SourceRef")
            self._source = _claimed(self._state, end, buffer_size) if isinstance(end, RefLocation) else source_of(end)
            self._source._keep_ahead(buffer_size)
        return self._source

    def __aiter__(self) -> Iteration[T]:
        return Iteration(self._one_reader()._iterate, self._on_loop_left)

    def batches(self, max_items: int = 256) -> Iteration[list[T]]:
        return Iteration(partial(self._one_reader()._batches, max_items), self._on_loop_left)

    def _one_reader(self) -> Source[T]:
        """Return the source for the one loop over this ref. Raises `FailedPrecondition` for a second loop."""
        source = self.claim()
        if self._read:
            raise FailedPrecondition("another loop reads this SourceRef, or has read it: a ref can be read once")
        self._read = True
        return source

    def _on_loop_left(self) -> None:
        source = self._source
        if isinstance(source, Stream):
            source.cancel()
        elif source is not None:
            offers().run_clean_up(source.aclose())

    async def aclose(self) -> None:
        if self._source is not None:
            await self._source.aclose()
        elif self._state.refusal is None:
            await _end(self._state.use("SourceRef"))

    def statistics(self) -> Statistics:
        source = self._source or self._state.end
        return source.statistics() if isinstance(source, Source) else Statistics("open", 0, 0, 0, 0, 0, 0)

    def _take(self, max_items: int) -> list[T]:
        return self.claim()._take(max_items)

    async def _readable(self) -> None:
        await self.claim()._readable()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        source = self._state.end if isinstance(self._state.end, Source) else self.claim()
        source._watch(on_change)

    def _follow(self) -> Demand | None:
        return self.claim()._follow()

    # ── for the table of offers ───────────────────────────────────────────────────────────────────────────────────────

    def _hand_over(self, refusal: StatusError) -> Callable[[int | None], AsyncIterable[T]]:
        """Return a function that makes the source for its claimer, from the `buffer_size` of that side."""
        end = self._state.hand_over(refusal)
        return lambda buffer_size: _claimed(self._state, end, buffer_size, relays=True) if isinstance(end, RefLocation) else end

    async def _end_unused(self, why: StatusError) -> None:
        """End the stream: its ref was not claimed."""
        await _end(self._state.hand_over(why))

    def __repr__(self) -> str:
        if self._source is not None:
            return f"<SourceRef of {self._source!r}>"
        return f"<SourceRef {self._state.describe()}>"


def _claimed(
    state: RefState[Any], location: RefLocation, buffer_size: int | None, *, relays: bool = False
) -> RemoteStream[Any]:
    """Begin the call that claims a source in another process. relays: its items are for a reader in a third one."""
    argument = MSGPACK.encode((location.token, buffer_size))
    decode = decode_marked(MSGPACK, state.item, Dropped)
    request = Request(CLAIM, CallKind.SERVER_STREAMING, MSGPACK, argument, decode, CallOptions(buffer_size=buffer_size))
    scope = route_to(location)
    return (RelayedStream if relays and buffer_size else RemoteStream)(scope, guarded(scope, request))


class RelayedStream(RemoteStream[T]):
    """A claimed source that is passed on with a window of the same size.

    Its items count as consumed when the last reader has them. So the process of the source is one window ahead of that reader,
    and not one for each connection on the way. Windows that tune themselves are one for each connection.
    """

    __slots__ = ("_passed_on",)

    def __init__(self, scope: CallScope, request: Request) -> None:
        super().__init__(scope, request)
        self._passed_on = passed_on = deque[tuple[int, int]]()

        def count(_wire: object, items: int, size: int) -> bool:
            passed_on.append((items, size))
            return False

        self._count = count

    def _follow(self) -> Demand | None:
        counted = 0

        def demand(_limit: int, consumed: int) -> None:
            nonlocal counted
            handle = self._handle
            while self._passed_on and counted < consumed and handle is not None:
                items, size = self._passed_on.popleft()
                left = items - (consumed - counted)
                if left > 0:
                    self._passed_on.appendleft((left, size))
                    items, size = items - left, 0
                counted += items
                handle.consume(items, size)

        return demand


async def _end(end: AsyncIterable[Any] | RefLocation) -> None:
    """Close a source that was never read, here or in its process."""
    if isinstance(end, RefLocation):
        await send_release(end)
    else:
        await source_of(end).aclose()


def _make(state: RefState[Any]) -> SourceRef[Any]:
    ref: SourceRef[Any] = SourceRef.__new__(SourceRef)
    ref._state, ref._source, ref._read = state, None, False
    return ref


register_extension(SourceRef, ref_extension(ExtensionCode.SOURCE_REF, lambda ref: ref._state, _make))
