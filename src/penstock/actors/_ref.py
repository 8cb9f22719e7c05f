"""An actor as a value: `ActorRef` with its verbs, and `Router` with the same verbs by address.

The subclasses know where an actor lives: `LocalRef` for this process, `remote` for actors of a peer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec

from penstock.calls import CancelToken, EventStream, RefusedStream, Stream
from penstock.channel import OPEN_TIMEOUT_S
from penstock.errors import StatusError
from penstock.service import CallOptions, Method
from penstock.streams import BUFFER_SIZE, Source, checked_seconds

if TYPE_CHECKING:
    from penstock.channel import Channel

#: The defaults of the verbs by address, in seconds and items. A stub and an `ActorRef` have none.
ASK_TIMEOUT_S: Final = 30.0
STREAM_TIMEOUT_S: Final = 60.0
STREAM_BUFFER_SIZE: Final = 100

Chunk = Callable[[Any], Awaitable[None] | None]


def checked_address(address: Any) -> str:
    """Return an address. Raises `TypeError` for an object that is not a text, as a stub or an `ActorRef`."""
    if not isinstance(address, str):
        raise TypeError(
            f"{address!r} is not an address: give a name or id, a text. penstock.ref(stub) has the `address` of an actor, and "
            "the same verbs without one"
        )
    return address


class VerbOptions(msgspec.Struct, frozen=True):
    """The options with which a verb is used; those that the verb does not have stay at their defaults."""

    timeout: float | None = None
    cancel: CancelToken | None = None
    type: Any = Any
    buffer_size: int | None = None
    overflow: str | None = None


#: Those of a verb that is used without any, so that a plain ask makes none.
_NO_OPTIONS: Final = VerbOptions()


class Message(msgspec.Struct, frozen=True):
    """A message whose type is not a method, as `Actor.receive` gets it.

    type: the name that its sender gave it. payload: one value, None if left out. sender: the address of the actor that sent
    it, None for a sender that is not an actor. From another process, the payload is decoded without a type, as a map or a list.
    """

    type: str
    payload: Any = None
    sender: str | None = None


class _Steps(ABC):
    """The steps of a ref by which `ActorRef` carries out its verbs: a subclass knows where the actor lives."""

    __slots__ = ()

    @abstractmethod
    def _ask(self, name: str, payload: Any, options: VerbOptions) -> Coroutine[Any, Any, Any]:
        """Send a message at once, or when it is awaited; return the coroutine that waits for its answer."""

    @abstractmethod
    def _stream(self, name: str, payload: Any, options: CallOptions, item_type: Any) -> Stream[Any]:
        """Begin a streaming method; its items are of the type `item_type`."""

    @abstractmethod
    def _open_channel(self, payload: Any, options: VerbOptions) -> Coroutine[Any, Any, Channel[Any]]:
        """Open a channel, and wait until it is accepted."""

    @abstractmethod
    def _subscribe(self, port: str, options: VerbOptions) -> Source[Any]:
        """Return a source of the items of a port."""

    @abstractmethod
    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        """Make the function of a stub that asks `method`, or begins its stream."""

    @abstractmethod
    def _telling(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        """Make the function of a stub that tells `method`."""


class ActorRef(_Steps):
    """An actor as a value, in this process or another. `ref` returns one for a stub, `Router.ref` one for an address.

    It can travel in messages; two refs of the same actor are equal. The verbs take the name of a method, or a
    type that `Actor.receive` handles, and one payload. A mapping has the arguments by name, a list by place; for a method with
    one parameter, any other payload is its argument, and so is a mapping or a list that its type can take. None stands for no
    argument where none is required. Each verb raises `WrongThread` in another thread than that of its event loop.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def address(self) -> str:
        """Its name, by which routers find it."""

    @property
    @abstractmethod
    def id(self) -> str:
        """Its unique id, which no later actor has."""

    @abstractmethod
    async def tell(self, name: str, payload: Any = None) -> None:
        """Send a message; wait for room in the mailbox, and for no answer. Messages of one sender arrive in order.

        Raises `ActorStopped`, `MailboxFull` for a mailbox that rejects, or when the wait for room would never end,
        `Unimplemented` for a name that the actor does not know, `InvalidArgument` for a payload that does not fit,
        `ConnectionLost`. An error of the handler is logged at the actor's side. A cancelled `tell` sends nothing.

        A message that the actor does not take is a dead letter of its system, counted in ``dead_letters``. For an actor of
        another process, `tell` waits for no word of the actor, and raises none of the first four errors; they are logged there.
        """

    async def ask(
        self,
        name: str,
        payload: Any = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
        type: Any = Any,
    ) -> Any:
        """Send a message and return its answer.

        timeout: seconds; None, the default, sets no limit. cancel: a `CancelToken`. type: the type of the answer; without one,
        the answer of an actor of this process is the object itself, of another process builtin types.

        Raises the error of the handler (from another process, `Internal` for an error that is not a `StatusError`),
        `DeadlineExceeded`, `ReentrancyError` for an ask that would wait for itself, `DataLoss` for an answer that does not fit
        `type`, and what `tell` raises. Cancelling it gives up a message that has not begun; a handler that has begun goes on,
        and its answer is dropped.
        """
        if timeout is None and cancel is None and type is Any:
            return await self._ask(name, payload, _NO_OPTIONS)
        if cancel is not None:
            cancel.check()
        timeout = checked_seconds("timeout", timeout, above=-inf)  # one below zero is over
        return await self._ask(name, payload, VerbOptions(timeout, cancel, type))

    async def open_channel(
        self, payload: Any = None, *, timeout: float | None = None, buffer_size: int = BUFFER_SIZE, type: Any = Any
    ) -> Channel[Any]:
        """Open a channel to the actor, wait until the actor accepts it, and return it. `payload` is for the actor to decide.

        timeout: seconds until it is accepted; None, the default, sets no limit. buffer_size: how many messages may wait here
        (16). type: the type of the messages from the actor; without one, those of an actor of this process are the objects
        themselves, of another process builtin types.

        Raises `ChannelRejected` with the reason, `ActorStopped`, `DeadlineExceeded`, `ConnectionLost`. Opened by an actor, it
        ends with that actor. Cancelling it withdraws the opening. Close the channel with ``async with`` or `Channel.close`.
        """
        return await self._open_channel(payload, VerbOptions(timeout=timeout, type=type, buffer_size=buffer_size))

    def subscribe(
        self, port: str, *, buffer_size: int | None = None, overflow: str | None = None, type: Any = Any
    ) -> Source[Any]:
        """Return a source of the items that a port of the actor publishes from now on.

        buffer_size (items) and overflow: the port's own if left out. type: the type of the items; without one, those of an
        actor of this process are the objects themselves, of another process builtin types. Leaving the loop unsubscribes, and
        so does `aclose`. To another process, as many items again are on their way: without `buffer_size` one, and more for a
        consumer that keeps up.

        Raises `ValueError` for a `buffer_size` that is not 1 to 16,384 and an unknown `overflow`; `NotFound` for a port that
        the actor does not have, `InvalidArgument` for ``overflow="wait"`` where the port drops items, `Unavailable` while the
        actor starts, `ActorStopped`; for an actor of another process these four come with the first item.
        """
        return self._subscribe(port, VerbOptions(type=type, buffer_size=buffer_size, overflow=overflow))

    @abstractmethod
    async def stop(self) -> None:
        """Stop the actor after the message it is handling, and wait until it has stopped.

        From inside the actor, or from a handler for which it waits, it returns at once. Idempotent. Cancelling it does not
        undo it.
        """

    def stream(
        self,
        name: str,
        payload: Any = None,
        *,
        buffer_size: int | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        events: bool = False,
        cancel: CancelToken | None = None,
        type: Any = Any,
    ) -> Stream[Any]:
        """Return a stream of the items that a streaming method yields; the call begins at once.

        buffer_size: items that the producer may be ahead, 16 in this process by default; to another process the number tunes
        itself. timeout: seconds for the whole stream, idle_timeout: seconds for the wait for each item; None, the default of
        both, sets no limit. cancel: a `CancelToken`. events: with True it yields `StreamEvent`s, and then an error is the last
        event instead of raised. type: the type of the items; without one, those of an actor of this process are the objects
        themselves, of another process builtin types.

        Leaving the loop, `aclose` and dropping the stream stop the producer; none of them waits for its clean-up. The loop
        raises the error of the method, `DeadlineExceeded`, `IdleTimeout`, `ActorStopped`, `ConnectionLost`, `DataLoss` for an
        item that does not fit `type`, `Unimplemented` for a name that is not a streaming method and `InvalidArgument` for a
        payload that does not fit. For an actor of this process, the last two are raised at once. A cancelled receive loses no
        item.
        """
        if cancel is not None:
            cancel.check()
        chosen = CallOptions(timeout=timeout, idle_timeout=idle_timeout, buffer_size=buffer_size)
        try:
            stream = self._stream(name, payload, chosen, type)
        except StatusError as error:
            if not events:
                raise
            stream = RefusedStream(f"{self.address}/{name}", error)
        if cancel is not None:
            cancel._hold(stream)
        return EventStream(stream, self.address) if events else stream

    async def stream_ask(
        self, name: str, payload: Any = None, *, on_chunk: Chunk, timeout: float | None = None, type: Any = Any
    ) -> None:
        """Call `on_chunk` with each item of a streaming method, and return at its end.

        timeout: seconds for the whole stream; None, the default, sets no limit. type: the type of the items, as for `stream`.

        An `on_chunk` that returns an awaitable is awaited, so back-pressure reaches the producer. Raises as `stream`, and an
        error of `on_chunk`, which stops the producer. Cancelling it stops the producer, too.
        """
        async with self._stream(name, payload, CallOptions(timeout=timeout), type) as stream:
            async for item in stream:
                waiting = on_chunk(item)
                if waiting is not None:
                    await waiting

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


class Router(ABC):
    """The verbs of `ActorRef` by address. `ActorSystem`, `Peer` and `Node` are routers.

    Each verb first finds the actor, as `ref` does, and raises `NotFound` when there is none. Only by address,
    the verbs have time limits of their own: 30 seconds for `ask` and `open_channel`, 60 for a whole `stream` or `stream_ask`. A
    stub and an `ActorRef` have none.
    """

    @abstractmethod
    def ref(self, address: str) -> ActorRef:
        """Return the actor with this name or id.

        Raises `NotFound`, with a similar name, for an actor of this process. An actor of a peer is looked for by the first
        message to it.
        """

    def _is_gone(self) -> bool:
        """Whether its connection is lost, so that no actor can be reached by it."""
        return False

    def _ref_shown_as(self, address: str, shown: str) -> ActorRef:
        """Return the actor with this name there, for a bridge; its errors and its `repr` say `shown`. Raises as `ref`."""
        raise TypeError(f"{self!r} cannot be bridged: {shown!r} is not an address of one of its actors")

    async def tell(self, address: str, name: str, payload: Any = None) -> None:
        """Send a message and wait for no answer, only for room in the mailbox.

        Raises `NotFound`, `ActorStopped`, `MailboxFull`. Cancelling it sends nothing. `ActorRef.tell` has the details.
        """
        await self.ref(address).tell(name, payload)

    async def ask(
        self,
        address: str,
        name: str,
        payload: Any = None,
        *,
        timeout: float | None = ASK_TIMEOUT_S,
        cancel: CancelToken | None = None,
        type: Any = Any,
    ) -> Any:
        """Send a message and return its answer.

        timeout: seconds until `DeadlineExceeded` (30); None waits without limit. cancel: a `CancelToken`. type: the type of the
        answer.

        Raises the error of the actor, `NotFound`, `ActorStopped`, `MailboxFull`, `ReentrancyError`. Cancelling it withdraws a
        message that has not begun. `ActorRef.ask` has the details.
        """
        return await self.ref(address).ask(name, payload, timeout=timeout, cancel=cancel, type=type)

    def stream(  # noqa: PLR0913 - the options of a stream
        self,
        address: str,
        name: str,
        payload: Any = None,
        *,
        buffer_size: int | None = STREAM_BUFFER_SIZE,
        timeout: float | None = STREAM_TIMEOUT_S,
        idle_timeout: float | None = None,
        events: bool = False,
        cancel: CancelToken | None = None,
        type: Any = Any,
    ) -> Stream[Any]:
        """Return a stream of the items that a streaming method yields. Leaving its loop stops the producer.

        buffer_size: items that the producer may be ahead (100). timeout: seconds for the whole stream (60); None sets no limit,
        as a live feed needs it. idle_timeout: seconds without an item until `IdleTimeout`. events: with True, `StreamEvent`s
        instead of items. cancel: a `CancelToken`. type: the type of the items.

        Raises `NotFound`, and `Unimplemented` for an unknown method. `ActorRef.stream` has the details.
        """
        try:
            actor = self.ref(address)
        except StatusError as error:
            if not events:
                raise
            return EventStream(RefusedStream(f"{address}/{name}", error), address)
        return actor.stream(
            name,
            payload,
            buffer_size=buffer_size,
            timeout=timeout,
            idle_timeout=idle_timeout,
            events=events,
            cancel=cancel,
            type=type,
        )

    async def stream_ask(
        self,
        address: str,
        name: str,
        payload: Any = None,
        *,
        on_chunk: Chunk,
        timeout: float | None = STREAM_TIMEOUT_S,
        type: Any = Any,
    ) -> None:
        """Call `on_chunk` with each item of a streaming method, and return at its end.

        timeout: seconds for the whole stream (60); None sets no limit. type: the type of the items. Raises the error that the
        stream fails with. Cancelling it stops the producer. `ActorRef.stream_ask` has the details.
        """
        await self.ref(address).stream_ask(name, payload, on_chunk=on_chunk, timeout=timeout, type=type)

    async def open_channel(
        self,
        address: str,
        payload: Any = None,
        *,
        timeout: float | None = OPEN_TIMEOUT_S,
        buffer_size: int = BUFFER_SIZE,
        type: Any = Any,
    ) -> Channel[Any]:
        """Open a channel, wait until it is accepted, and return it.

        timeout: seconds until `DeadlineExceeded` (30); None sets no limit. buffer_size: messages that may wait here (16). type:
        the type of the arriving messages.

        Raises `ChannelRejected` with the reason, `NotFound`, `ActorStopped`. Cancelling it withdraws the opening.
        `ActorRef.open_channel` has the details.
        """
        return await self.ref(address).open_channel(payload, timeout=timeout, buffer_size=buffer_size, type=type)

    def subscribe(
        self, address: str, port: str, *, buffer_size: int | None = None, overflow: str | None = None, type: Any = Any
    ) -> Source[Any]:
        """Return a source of the items that a port publishes from now on. Leaving its loop unsubscribes.

        buffer_size: items that may wait for this subscriber. overflow: what happens to a slow one. Both are the port's own by
        default. type: the type of the items. Raises `NotFound`. `ActorRef.subscribe` has the details.
        """
        return self.ref(address).subscribe(port, buffer_size=buffer_size, overflow=overflow, type=type)
