"""One to many: a `Port` publishes, and each subscriber has its own buffer and its own overflow policy.

`_Hub` holds the state that a port and its subscribers share, `_Subscriber` the state of one subscriber. Two rules:

* An item goes to **all** subscribers in one step, or to none when the publisher is cancelled. So all see the same order.
* A subscriber whose policy is "wait" and whose buffer is full is in ``hub.full``. While there is one, publishers wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from threading import get_ident
from typing import Any, Final, Generic, TypeVar

from penstock._outcomes import as_failure
from penstock.errors import Aborted, EndOfStream, ResourceExhausted, StreamClosed, WouldBlock
from penstock.streams._abc import Sink, Source, Statistics, StreamState, reraisable
from penstock.streams._backlog import OVERFLOWS, Backlog, Overflow
from penstock.streams._iteration import InLoop
from penstock.streams._options import checked_size
from penstock.streams._pipe import BUFFER_SIZE, PipeSource, PipeState
from penstock.streams._thread import OneThread, finalize_on
from penstock.streams._waiters import Waiters

T = TypeVar("T")

#: Converts an item to the form that one or more subscribers get. It is called once for each item, for all that share it.
Encode = Callable[[Any], Any]

#: Subscribers of one port: each of them costs the publisher time at every item.
SUBSCRIBERS_MAX: Final = 16_384


class Port(Sink[T]):
    """A stream with many receivers: ``await port.send(item)`` reaches all subscribers that the port has at that moment.

    `name` is for people. `buffer_size` (items, at least 1, 16 by default) is how far the publisher may be ahead of each
    subscriber. `overflow` is the policy for a subscriber whose buffer is full; `subscribe` may set both for one subscriber:

    * ``"wait"`` (the default): the publisher waits for the slowest subscriber, before any of them gets the item.
    * ``"drop_oldest"``, ``"drop_newest"``: the oldest item in the buffer, or the item being sent, is dropped.
    * ``"latest"``: only the newest item is kept; `buffer_size` has no effect.
    * ``"error"``: the subscriber gets the items in its buffer and then fails with `ResourceExhausted`.

    Dropped items are counted in ``statistics().dropped``, and the subscriber gets a `Dropped` in their place. Dropping the last
    reference to a port that was not closed fails its subscribers with `Aborted`. After `close` or `fail`, a subscriber first
    gets the items in its buffer, also in another process; neither `close` nor `aclose` waits for that.

    Raises `ValueError` for an option out of range.
    """

    __slots__ = ("_hub", "buffer_size", "name", "overflow")

    def __init__(self, name: str = "", *, overflow: Overflow = "wait", buffer_size: int = BUFFER_SIZE) -> None:
        self.name = name
        self.overflow: Overflow = overflow
        self.buffer_size = _checked(buffer_size, overflow)
        self._hub: _Hub[T] = _Hub(name)

    def subscribe(
        self, *, buffer_size: int | None = None, overflow: Overflow | None = None, encode: Encode | None = None
    ) -> Source[Any]:
        """Return a source of all items that are sent from now on.

        `buffer_size` and `overflow` are those of the port by default. `encode` converts the items for this subscriber; it is
        called when an item is sent, once for all subscribers that give the same function. Leaving a loop over the source,
        closing it, and dropping the last reference to it all end the subscription at once. The source of a closed port is at
        its end. Raises `ResourceExhausted` beyond `SUBSCRIBERS_MAX` subscribers, and `ValueError` for an option out of range.
        """
        policy = overflow or self.overflow
        size = _checked(self.buffer_size if buffer_size is None else buffer_size, policy)
        subscriber: _Subscriber[Any] = _Subscriber(self._hub, 1 if policy == "latest" else size, policy, encode)
        self._hub.add(subscriber)
        return Subscription(subscriber)

    @property
    def subscribers(self) -> int:
        """How many subscribers there are now."""
        return self._hub.count

    async def send(self, item: T) -> None:
        """Send one item to all subscribers; wait while a subscriber whose policy is "wait" has no room.

        Without subscribers the item is discarded. Raises `StreamClosed` after `close` or `fail`, and an error of a subscriber's
        `encode`; then no subscriber gets the item. A cancelled `send` delivers to no subscriber.
        """
        hub = self._hub
        if hub.owes_turn:
            hub.owes_turn = False
            await asyncio.sleep(0)
        if hub.owner != get_ident():
            hub.check_owner()
        if hub.full or hub.waiters.line or hub.waiters.reserved:
            await hub.waiters.wait(hub.wake)
            hub.check_owner()
        hub.publish(item)

    def send_nowait(self, item: T) -> None:
        hub = self._hub
        if hub.owner != get_ident():
            hub.check_owner()
        if hub.full or hub.waiters.line or hub.waiters.reserved:
            raise WouldBlock(f"{hub}: {len(hub.full)} subscribers have no room; use `await send()` to wait for them")
        hub.publish(item)

    async def send_many(self, items: Iterable[T]) -> None:
        for item in items:
            await self.send(item)

    def close(self) -> None:
        self._hub.finish("ended", EndOfStream())

    def fail(self, error: Exception) -> None:
        self._hub.finish("failed", as_failure(error))

    def statistics(self) -> Statistics:
        """Return the figures of the port: `buffered` and `received` are those of the subscriber that is furthest behind.

        `credit` is how many items can be sent without waiting; `dropped` is the sum over all present and former subscribers.
        """
        return self._hub.statistics(self.buffer_size)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._hub.waiters.watch(on_change)

    def __del__(self) -> None:
        hub = getattr(self, "_hub", None)
        if hub is not None and hub.state == "open":
            dropped = Aborted(f"{hub} was dropped without close() or fail()")
            finalize_on(hub.waiters.loop, lambda: hub.end("failed", dropped))

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Port {self.name} {now.state}, {self.subscribers} subscribers, {now.sent} sent, {now.dropped} dropped>"


def _checked(buffer_size: int, overflow: str) -> int:
    """Return the size of a buffer. Raises `ValueError` for one that is not a size, and for an unknown policy."""
    if overflow not in OVERFLOWS:
        raise ValueError(f"overflow is {overflow!r}; it is one of {', '.join(OVERFLOWS)}")
    return checked_size("buffer_size", buffer_size)


class _Hub(OneThread, Generic[T]):
    """The state that a port and its subscribers share.

    groups: the subscribers, by the form in which they get an item. full: those whose policy is "wait" and whose buffer is full.
    waiters: the publishers that wait. owes_turn: the next `send` lets other tasks run first.
    """

    __slots__ = (
        "count",
        "dropped",
        "full",
        "groups",
        "name",
        "outcome",
        "owes_turn",
        "sent",
        "state",
        "waiters",
    )

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.groups: dict[Encode | None, dict[_Subscriber[Any], None]] = {}
        self.count = 0
        self.full: set[_Subscriber[Any]] = set()
        self.waiters = Waiters()
        self.state: StreamState = "open"
        self.outcome: Exception = EndOfStream()
        self.owes_turn = False
        self.sent = 0
        self.dropped = 0

    def add(self, subscriber: _Subscriber[Any]) -> None:
        self.check_home()
        if self.state != "open":
            subscriber.end(self.state, self.outcome)
            return
        if self.count >= SUBSCRIBERS_MAX:
            raise ResourceExhausted(f"{self} has {self.count} subscribers (SUBSCRIBERS_MAX)")
        self.groups.setdefault(subscriber.encode, {})[subscriber] = None
        self.count += 1

    def remove(self, subscriber: _Subscriber[Any]) -> None:
        """Remove a subscriber: it gets no more items, and no publisher waits for it."""
        group = self.groups.get(subscriber.encode, {})
        if subscriber in group:
            del group[subscriber]
            self.count -= 1
            if not group:
                del self.groups[subscriber.encode]
        self.on_room(subscriber)

    def on_room(self, subscriber: _Subscriber[Any]) -> None:
        """Note that this subscriber has room, or left, and let a publisher continue."""
        self.full.discard(subscriber)
        if self.waiters.line:
            self.wake()

    def refusal(self) -> Exception:
        return StreamClosed(f"{self} was closed (it has {self.state}); nothing more can be sent")

    def wake(self) -> None:
        """Let the publisher that has waited longest continue, if all subscribers have room."""
        if not self.full and not self.waiters.reserved:
            self.waiters.wake(1)

    def publish(self, item: T) -> None:
        """Give the item to all subscribers, or to none when it cannot be encoded for one of them."""
        try:
            forms = [(item if encode is None else encode(item), group) for encode, group in self.groups.items()]
        except BaseException:
            self.wake()  # the place of this publisher is free for the next one
            raise
        too_slow: list[_Subscriber[Any]] = []
        before = self.dropped
        for form, group in forms:
            too_slow += [subscriber for subscriber in group if not subscriber.deliver(form)]
        for subscriber in too_slow:
            subscriber.fail_too_slow()
        self.sent += 1
        self.owes_turn = (
            not self.count or self.dropped != before
        )  # a publisher that only drops never waits, and would let no other task run
        if self.waiters.line:
            self.wake()

    def finish(self, state: StreamState, outcome: Exception) -> None:
        """End the port and all subscriptions."""
        self.check_home()
        self.end(state, outcome)

    def end(self, state: StreamState, outcome: Exception) -> None:
        """As `finish`, in any thread."""
        if self.state != "open":
            return
        self.state, self.outcome, self.owner = state, outcome, 0
        for subscriber in [subscriber for group in self.groups.values() for subscriber in group]:
            subscriber.end(state, outcome)
        self.waiters.wake_all()

    def statistics(self, buffer_size: int) -> Statistics:
        backlogs = [subscriber.backlog for group in self.groups.values() for subscriber in group]
        behind = max((len(backlog.items) for backlog in backlogs), default=0)
        rooms = [backlog.size - len(backlog.items) for backlog in backlogs if backlog.overflow == "wait"]
        credit = min(rooms, default=buffer_size) if self.state == "open" else 0
        return Statistics(
            self.state, buffer_size, behind, self.sent, self.sent - behind, credit, self.waiters.waiting, self.dropped
        )

    def __repr__(self) -> str:
        return f"port {self.name!r}"


class _Subscriber(PipeState[T]):
    """The state that a subscription and its port share: a pipe whose senders are the publishers of the port."""

    __slots__ = ("backlog", "encode", "hub")

    def __init__(self, hub: _Hub[Any], size: int, overflow: Overflow, encode: Encode | None) -> None:
        super().__init__(size)
        self.backlog: Backlog[T] = Backlog(size, overflow)
        self.buffer = self.backlog.items
        self.hub = hub
        self.encode = encode

    def deliver(self, item: T) -> bool:
        """Add the item by the policy of this subscriber; False when the buffer is full and the policy is to fail."""
        backlog = self.backlog
        dropped = backlog.dropped
        if not backlog.add(item):
            return False
        self.sent += 1
        self.hub.dropped += backlog.dropped - dropped
        if backlog.overflow == "wait" and backlog.full:
            self.hub.full.add(self)
        if self.consumer is not None:
            self.wake_consumer()
        return True

    def fail_too_slow(self) -> None:
        """Fail this subscriber, because it has no room."""
        why = f"{self.hub}: this subscriber has not taken {self.size} items (buffer_size, overflow='error')"
        self.end("failed", ResourceExhausted(why))

    def leave(self) -> None:
        super().leave()
        self.backlog.clear()

    def _refuse_senders(self) -> None:
        self.hub.remove(self)

    def statistics(self) -> Statistics:
        backlog = self.backlog
        buffered = len(backlog.items) + len(backlog.guaranteed)
        credit = self.size - buffered if self.state == "open" else 0
        received = self.sent - buffered - backlog.dropped
        waiting = self.hub.waiters.waiting
        return Statistics(self.state, self.size, buffered, self.sent, received, credit, waiting, backlog.dropped)


class Subscription(PipeSource[T]):
    """The receiving end of a port, for one of its subscribers; see `Source`. Leaving a loop over it ends the subscription."""

    __slots__ = ("_subscriber",)

    def __init__(self, subscriber: _Subscriber[T]) -> None:
        super().__init__(subscriber)
        self._subscriber = subscriber

    def _iterate(self, in_loop: InLoop[Any]) -> AsyncGenerator[T, None]:
        return Source._iterate(self, in_loop)  # by `_take`, which returns markers, too

    def _take(self, max_items: int) -> list[T]:
        subscriber = self._subscriber
        if subscriber.home != get_ident():
            subscriber.check_home()
        taken = subscriber.backlog.take(max_items)
        if taken:
            if subscriber in subscriber.hub.full:
                subscriber.hub.on_room(subscriber)
        elif subscriber.outcome is not None:
            raise reraisable(subscriber.outcome, subscriber.origin)
        return taken

    def _on_loop_left(self) -> None:
        self._subscriber.cancel()

    def _follow(self) -> None:
        """Return None: a port has its own rule for a subscriber that is slow."""

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._subscriber.hub.waiters.watch(on_change)
