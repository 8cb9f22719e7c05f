"""`RemoteFollower`: a follower across a connection. It goes on by its offset, also at a server that was started anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from msgspec import structs

from penstock.calls import CallScope, RemoteStream, Request, call_unary, untyped_request
from penstock.codec import MSGPACK, decode_marked
from penstock.errors import Aborted, Cancelled, ConnectionLost, EndOfStream, NotFound, StatusError, Unavailable
from penstock.protocol import CallKind
from penstock.retention._follower import MOVED, Follower, Place, places
from penstock.retention._kept import Since, StreamDescription, checked_since
from penstock.service import CallOptions
from penstock.streams import Dropped

T = TypeVar("T")

_FOLLOW: Final = "Penstock/follow"
_KEPT: Final = "Penstock/kept"
_STOP: Final = "Penstock/stop"


class RemoteFollower(Follower[T]):
    """A `Follower` of a stream that another process keeps. It sends nothing before its first use.

    wait_connected: waits until the other side can be reached. item_type: the type of the items. options: those of its calls.
    """

    __slots__ = ("_id", "_make", "_options", "_placed", "_scope", "_since", "_stream", "_wait_connected", "_woken")

    def __init__(
        self,
        scope: CallScope,
        wait_connected: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        since: Since,
        *,
        item_type: Any,
        options: CallOptions,
        latest: bool,
    ) -> None:
        super().__init__(name, since if isinstance(since, int) else None, latest=latest)
        self._scope = scope
        self._wait_connected = wait_connected
        self._since: Since = checked_since(since)
        self._options = options
        self._id: bytes | None = None  # of the stream, once a server has said it
        self._stream: RemoteStream[Any] | None = None
        self._placed = False  # whether the place of the present call has arrived
        self._woken: asyncio.Future[None] | None = None  # done when this follower is closed while it waits for its server
        decode = decode_marked(MSGPACK, item_type, Dropped, Place)

        def make(since: Since, stream_id: bytes | None) -> Request:
            request = untyped_request(_FOLLOW, CallKind.SERVER_STREAMING, (name, since, stream_id, latest), options)
            return structs.replace(request, decode=decode, label=f"stream {name!r}")

        self._make: Callable[[Since, bytes | None], Request] = make

    async def describe(self) -> StreamDescription:
        """See `Follower.describe`."""
        described: StreamDescription = await self._call(_KEPT, StreamDescription)
        return described

    async def stop(self) -> None:
        """See `Follower.stop`."""
        await self._call(_STOP, None)

    async def _call(self, target: str, result: Any) -> Any:
        arguments = (self.name, self._id)
        return await call_unary(self._scope, untyped_request(target, CallKind.UNARY, arguments, self._options, type=result))

    def _load(self) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            taken = stream._take(self.page_items)
        except (StatusError, EndOfStream) as error:
            self._stream = None
            if not self._goes_on(stream, error):
                outcome = self._outcome_of(error, stream)
                self._finish("lost" if isinstance(outcome, ConnectionLost) else stream.statistics().state, outcome)
            return
        for item in taken:
            if not self._placed and type(item) is Place:
                self._placed = True
                self._id, self._next = item.id, item.offset
            else:
                self._next += places(item)
                self._buffer.append(item)
        if taken and not self._buffer:  # behind the place there may be the end
            self._load()

    def _goes_on(self, stream: RemoteStream[Any], error: Exception) -> bool:
        """Whether to follow again: the server shuts down, the session of the call is lost, or the call did not reach one."""
        if self._scope.next_session is None or not isinstance(error, Unavailable):
            return False
        session = stream.call._session
        away = session is None or not session.takes_calls
        return error.details.get(MOVED) is True or (away and (isinstance(error, ConnectionLost) or not error.started))

    def _outcome_of(self, error: StatusError | EndOfStream, stream: RemoteStream[Any] | None = None) -> Exception:
        """Return the outcome for the program. A stream that is not there any more was lost with its server."""
        refused = self._id is not None and not self._placed  # at another server than the one before
        if refused and isinstance(error, NotFound | Aborted):
            error = ConnectionLost(f"stream {self.name!r} was lost with its server: {error.message}")
        if isinstance(error, Cancelled) and self._scope.closing:
            error = ConnectionLost(f"this side has closed the connection; stream {self.name!r} goes on")
        elif isinstance(error, Unavailable) and error.details.get(MOVED) is True:
            error = ConnectionLost(f"stream {self.name!r} goes on, but its server has left: {error.message}")
        if isinstance(error, ConnectionLost):
            error.offset = self.offset
        return error

    async def _fill(self) -> None:
        stream = self._stream
        if stream is None:
            try:
                await self._reach()
            except StatusError as error:
                self._finish("lost", self._outcome_of(error))
            if self._outcome is not None:
                return
            stream = self._begin_call()
        self._load()
        if self._stream is stream and not self._buffer:
            await stream._readable()

    async def _reach(self) -> None:
        """Wait until the other side can be reached, or this follower is closed. Raises the loss that is the end."""
        self._woken = asyncio.get_running_loop().create_future()
        reaching = asyncio.ensure_future(self._wait_connected())
        try:
            await asyncio.wait([reaching, self._woken], return_when=asyncio.FIRST_COMPLETED)
            if reaching.done():
                reaching.result()
        finally:
            reaching.cancel()
            await asyncio.wait([reaching])

    def _begin_call(self) -> RemoteStream[Any]:
        """Begin a call that follows the stream from the next item on. Raises as a call that cannot begin."""
        since: Since = self._since if self._id is None or self._next is None else self._next
        self._placed = False
        stream: RemoteStream[Any] = RemoteStream(self._scope, self._make(since, self._id))
        self._stream = stream
        return stream

    async def aclose(self) -> None:
        """Stop reading. The stream goes on. Idempotent."""
        await super().aclose()
        self._wake()

    def _on_loop_left(self) -> None:
        """End the call, and drop what it has brought: a follower that is used again goes on at its offset, by another one."""
        stream, following = self._stream, self.offset
        if stream is not None and not self._waits:
            if following is not None:
                self._next = following
            self._buffer.clear()
            self._stream = None
            stream.cancel()

    def _wake(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
