"""The receiving end of a stream as a value: `SourceRef`. It is a `Source` wherever it is used."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, TypeVar

from penstock.calls import RemoteStream, Request
from penstock.codec import MSGPACK, ExtensionCode, decode_marked, register_extension
from penstock.errors import Busy, StatusError
from penstock.protocol import CallKind
from penstock.refs._offers import RefLocation
from penstock.refs._routes import route_to
from penstock.refs._state import RefState, released, travelling
from penstock.service import CallOptions
from penstock.streams import Dropped, Source, Statistics, source_of

T = TypeVar("T")

CLAIM: Final = "Penstock/claim_source"


class SourceRef(Source[T]):
    """The receiving end of a stream as a value: put it into any message, argument or result, and use it where it arrives.

    ``SourceRef(source)`` takes a `Source` or any async iterable. In one process it passes by reference. Sent elsewhere it is
    on offer for `RECLAIM_S` seconds; the first use there claims it over the connection it came by, with the demand of that
    side. ``SourceRef[Price]`` in a type hint decodes the items as `Price`, a plain `SourceRef` as builtin types.

    It is a `Source` with one user, who may read it once: leaving a loop over it ends the stream, wherever it began. Its
    first use raises `FailedPrecondition` when somebody else has claimed it, `NotFound` when it was reclaimed, `Unavailable`
    when no connection leads to where it is.
    """

    __slots__ = ("_held", "_source")

    def __init__(self, source: AsyncIterable[T]) -> None:
        if not isinstance(source, AsyncIterable):
            raise TypeError(f"{type(source).__name__} is no Source and no async iterable")
        self._held: RefState[AsyncIterable[T]] = RefState(source)
        self._source: Source[T] | None = None

    def claim(self, *, buffer_size: int | None = None) -> Source[T]:
        """Return the source itself, which is this side's from now on.

        `buffer_size` (items) is how far the other process may be ahead of this one, kept exactly; unset, it tunes itself. In
        the process that made the ref it changes nothing. Using the ref claims it without one. Raises what the class says.
        """
        if self._source is None:
            left = self._held.use("SourceRef")
            self._source = self._call(left, buffer_size) if isinstance(left, RefLocation) else source_of(left)
        return self._source

    def _call(self, location: RefLocation, buffer_size: int | None) -> RemoteStream[T]:
        argument = MSGPACK.encode((location.token, buffer_size))
        decode = decode_marked(MSGPACK, self._held.item, Dropped)
        request = Request(CLAIM, CallKind.SERVER_STREAMING, MSGPACK, argument, decode, CallOptions(buffer_size=buffer_size))
        return RemoteStream(route_to(location), request)

    def __aiter__(self) -> AsyncIterator[T]:
        source = self.claim()
        return aiter(source) if isinstance(source, RemoteStream) else self._iterate(source)

    async def _iterate(self, source: Source[T]) -> AsyncIterator[T]:
        try:
            async for item in source:
                yield item
        except Busy:
            source = source_of(_nothing())
            raise
        finally:
            await source.aclose()

    async def aclose(self) -> None:
        if self._source is not None:
            await self._source.aclose()
        elif self._held.gone is None:
            await _end(self._held.use("SourceRef"))

    def statistics(self) -> Statistics:
        source = self._source or self._held.end
        return source.statistics() if isinstance(source, Source) else Statistics("open", 0, 0, 0, 0, 0, 0)

    def _take(self, max_items: int) -> list[T]:
        return self.claim()._take(max_items)

    async def _readable(self) -> None:
        await self.claim()._readable()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        source = self._held.end if isinstance(self._held.end, Source) else self.claim()
        source._watch(on_change)

    # ── for the table of offers ───────────────────────────────────────────────────────────────────────────────────────

    def leave(self, refusal: StatusError) -> Callable[[int | None], AsyncIterable[T]]:
        """Give the source to somebody elsewhere; what is returned makes it, for the demand of that side."""
        left = self._held.leave(refusal)
        return lambda buffer_size: self._call(left, buffer_size) if isinstance(left, RefLocation) else left

    async def drop(self, why: StatusError) -> None:
        """End the stream: nobody will read it."""
        await _end(self._held.leave(why))

    def __repr__(self) -> str:
        if self._source is not None:
            return f"<SourceRef of {self._source!r}>"
        return f"<SourceRef {self._held.describe()}>"


async def _end(left: AsyncIterable[Any] | RefLocation) -> None:
    """Close a source that nobody has read."""
    if isinstance(left, RefLocation):
        await released(left)
    else:
        await source_of(left).aclose()


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


def _make(held: RefState[Any]) -> SourceRef[Any]:
    ref: SourceRef[Any] = SourceRef.__new__(SourceRef)
    ref._held, ref._source = held, None
    return ref


register_extension(SourceRef, travelling(ExtensionCode.SOURCE_REF, lambda ref: ref._held, _make))
