"""An actor as a value: `ActorRef`, what can be done with one by address, and `Router`, the same verbs by name.

Where the actor lives is the business of the subclasses; this module opens nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import msgspec

from penstock.calls import CancelToken, EventStream, Stream
from penstock.service import CallOptions, Method
from penstock.streams import Source

if TYPE_CHECKING:
    from penstock.channel import Channel

#: What the untyped verbs take when nobody says otherwise, in seconds and items: a router's caller waits, but not for ever.
ASK_TIMEOUT_S: Final = 30.0
STREAM_TIMEOUT_S: Final = 60.0
STREAM_BUFFER_SIZE: Final = 100

Chunk = Callable[[Any], Awaitable[None] | None]


class AskOptions(TypedDict, total=False):
    """Options of `ActorRef.ask`."""

    timeout: float | None
    cancel: CancelToken | None


class StreamOptions(TypedDict, total=False):
    """Options of `ActorRef.stream`."""

    buffer_size: int
    timeout: float | None
    idle_timeout: float | None
    events: bool
    cancel: CancelToken | None


class ChannelOptions(TypedDict, total=False):
    """Options of `ActorRef.open_channel`."""

    messages: Any
    timeout: float | None
    buffer_size: int


class PortOptions(TypedDict, total=False):
    """Options of `ActorRef.subscribe`."""

    buffer_size: int | None
    overflow: str | None


class Message(msgspec.Struct, frozen=True):
    """A message that no method answers, as `Actor.receive` gets it. `sender` is an address, None for one from outside."""

    type: str
    payload: Any = None
    sender: str | None = None


class ActorRef(ABC):
    """An actor, by its address, wherever it lives. It can travel in messages.

    `address` is its name, `id` is unique for ever. Two refs of the same actor are equal.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def address(self) -> str:
        """Its name."""

    @property
    @abstractmethod
    def id(self) -> str:
        """What no other actor has."""

    @abstractmethod
    async def tell(self, type: str, payload: Any = None) -> None:
        """Send a message and wait for nothing but room in the mailbox.

        Raises `ActorStopped`, `MailboxFull` of a mailbox that rejects. A cancelled `tell` sends nothing.
        """

    @abstractmethod
    async def ask(self, type: str, payload: Any = None, **options: Unpack[AskOptions]) -> Any:
        """Send a message and return its answer. Options: `timeout` (seconds, 30), `cancel` (a `CancelToken`).

        Raises what the actor raised, `ActorStopped`, `MailboxFull`, `DeadlineExceeded`, `ReentrancyError` for an ask that
        would wait for itself, `Unimplemented` for a type the actor does not know. Cancelling it gives the message up if it
        has not begun; one that has begun is finished, and its answer dropped.
        """

    @abstractmethod
    def _stream(self, type: str, payload: Any, options: CallOptions) -> Stream[Any]:
        """Begin a streaming method."""

    @abstractmethod
    async def open_channel(self, payload: Any = None, **options: Unpack[ChannelOptions]) -> Channel[Any]:
        """Open a channel to the actor and wait until it is accepted.

        Options: `messages`, the type of what will arrive (anything); `timeout` (seconds, 30); `buffer_size`, how many messages
        may wait here (16). Raises `ChannelRejected` with the reason, `ActorStopped`, `DeadlineExceeded`. Cancelling it
        withdraws the opening.
        """

    @abstractmethod
    def subscribe(self, port: str, **options: Unpack[PortOptions]) -> Source[Any]:
        """Receive what a port of the actor publishes from now on.

        Options: `buffer_size` (items) and `overflow`, both the port's own if left out. Leaving the loop unsubscribes. To
        another process, as many items again are on their way; one if nothing was set, more for who keeps up.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop the actor after the message it is handling, and wait until it has stopped. Cancelling it does not undo it."""

    def stream(self, type: str, payload: Any = None, **options: Unpack[StreamOptions]) -> Stream[Any]:
        """Iterate over what a streaming method yields. Leaving the loop stops the producer.

        Options: `buffer_size` (items, 100), how far the producer may be ahead; `timeout` (seconds, 60) for the whole stream;
        `idle_timeout` (seconds, none) for the wait for each item; `cancel` (a `CancelToken`); `events=True` yields
        `StreamEvent`s, and then an error is the last event instead of raised.
        """
        cancel = options.get("cancel")
        if cancel is not None:
            cancel.check()
        chosen = CallOptions(
            timeout=options.get("timeout", STREAM_TIMEOUT_S),
            idle_timeout=options.get("idle_timeout"),
            buffer_size=options.get("buffer_size", STREAM_BUFFER_SIZE),
        )
        stream = self._stream(type, payload, chosen)
        if cancel is not None:
            cancel.hold(stream)
        return EventStream(stream, self.address) if options.get("events") else stream

    async def stream_ask(
        self,
        type: str,
        payload: Any = None,
        *,
        on_chunk: Chunk,
        timeout: float | None = STREAM_TIMEOUT_S,
    ) -> None:
        """Call `on_chunk` with each item of a streaming method; returns at its end, raises what it failed with.

        An `on_chunk` that returns an awaitable is awaited: back-pressure reaches the producer. Cancelling it stops the
        producer.
        """
        async with self._stream(type, payload, CallOptions(timeout=timeout, buffer_size=STREAM_BUFFER_SIZE)) as stream:
            async for item in stream:
                waiting = on_chunk(item)
                if waiting is not None:
                    await waiting

    # ── for typed stubs ───────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        """Make the function that asks for `method`, or begins its stream."""

    @abstractmethod
    def _telling(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        """Make the function that tells `method`."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


class Router(ABC):
    """The verbs of `ActorRef` by address: of an `ActorSystem`, a `Peer`, a `Node`."""

    @abstractmethod
    def ref(self, address: str) -> ActorRef:
        """Return the actor with this name or id. Raises `NotFound`, with what may have been meant, where that is known."""

    def _is_gone(self) -> bool:
        """Whether no actor can be reached by it any more."""
        return False

    def _ref_shown_as(self, address: str, shown: str) -> ActorRef:
        """Return the actor with this name there; its errors and its `repr` say `shown`. Raises as `ref`."""
        raise TypeError(f"{self!r} cannot be bridged: {shown!r} names nothing of it")

    async def tell(self, address: str, type: str, payload: Any = None) -> None:
        """As `ActorRef.tell`."""
        await self.ref(address).tell(type, payload)

    async def ask(self, address: str, type: str, payload: Any = None, **options: Unpack[AskOptions]) -> Any:
        """As `ActorRef.ask`."""
        return await self.ref(address).ask(type, payload, **options)

    def stream(
        self,
        address: str,
        type: str,
        payload: Any = None,
        **options: Unpack[StreamOptions],
    ) -> Stream[Any]:
        """As `ActorRef.stream`."""
        return self.ref(address).stream(type, payload, **options)

    async def stream_ask(
        self,
        address: str,
        type: str,
        payload: Any = None,
        *,
        on_chunk: Chunk,
        timeout: float | None = STREAM_TIMEOUT_S,
    ) -> None:
        """As `ActorRef.stream_ask`."""
        await self.ref(address).stream_ask(type, payload, on_chunk=on_chunk, timeout=timeout)

    async def open_channel(self, address: str, payload: Any = None, **options: Unpack[ChannelOptions]) -> Channel[Any]:
        """As `ActorRef.open_channel`."""
        return await self.ref(address).open_channel(payload, **options)

    def subscribe(self, address: str, port: str, **options: Unpack[PortOptions]) -> Source[Any]:
        """As `ActorRef.subscribe`."""
        return self.ref(address).subscribe(port, **options)
