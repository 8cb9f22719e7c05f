"""One to many: a `Port` publishes, each subscriber has its own buffer and its own policy. Nothing here knows a network.

`_Hub` holds the state that a port and its subscribers share, a `_Line` what belongs to one subscriber. Two rules:

* An item goes to **all** subscribers in one step, or (a publisher that waits, and is cancelled) to none. So all see one order.
* A subscriber whose policy is "wait" and whose buffer is full is in ``hub.full``; while there is one, publishers wait in turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from penstock.errors import Aborted, EndOfStream, ResourceExhausted, StreamClosed, WouldBlock
from penstock.streams._abc import Sink, Source, Statistics, StreamState, as_failure, forgotten, raised
from penstock.streams._backlog import OVERFLOWS, Backlog, Overflow
from penstock.streams._pipe import PipeSource, PipeState
from penstock.streams._watch import Pressure

T = TypeVar("T")

#: Makes the form in which one subscriber, or many, get an item. It is called once for an item, however many share it.
Encode = Callable[[Any], Any]

#: The buffer of a subscriber that nobody set, in items.
BUFFER_SIZE: Final = 16
#: Subscribers of one port: each costs its publisher time at every item.
SUBSCRIBERS_MAX: Final = 16_384


class Port(Sink[T]):
    """A stream with many receivers: ``await port.send(item)`` reaches all that have subscribed by then.

    `name` is for people. `overflow` says what happens to an item for which a subscriber has no room, when the subscriber does
    not say so itself:

    * ``"wait"``: the publisher waits, for the slowest of them. It waits before the item is given to anybody.
    * ``"drop_oldest"``, ``"drop_newest"``: the oldest item that waits, or the one being sent, is let go of.
    * ``"latest"``: only the newest item is kept, whatever `buffer_size` says.
    * ``"error"``: the subscriber is failed with `ResourceExhausted`, after what it had in its buffer.

    What is let go of is counted in ``statistics().dropped`` and told at its place in the stream by a `Dropped`. `buffer_size`
    (items, at least 1) is how far the publisher may be ahead of each subscriber. Forgetting a port that was not closed fails
    its subscribers with `Aborted`.
    """

    __slots__ = ("_hub", "buffer_size", "name", "overflow")

    def __init__(self, name: str = "", *, overflow: Overflow = "wait", buffer_size: int = BUFFER_SIZE) -> None:
        _check(buffer_size, overflow)
        self.name = name
        self.overflow: Overflow = overflow
        self.buffer_size = buffer_size
        self._hub: _Hub[T] = _Hub(name)

    def subscribe(
        self, *, buffer_size: int | None = None, overflow: Overflow | None = None, encode: Encode | None = None
    ) -> Source[Any]:
        """Return a source of all items that are sent from now on.

        `buffer_size` and `overflow` are the port's when not given. `encode` makes the form in which this subscriber gets the
        items; it is called when an item is sent, once for all subscribers that give the same one. Leaving a loop over the
        source, closing and forgetting it all end the subscription at once. A port that is closed gives a source that is at its
        end. Raises `ResourceExhausted` beyond `SUBSCRIBERS_MAX` subscribers, `ValueError` for an option out of range.
        """
        policy = overflow or self.overflow
        size = self.buffer_size if buffer_size is None else buffer_size
        _check(size, policy)
        line: _Line[Any] = _Line(self._hub, 1 if policy == "latest" else size, policy, encode)
        self._hub.join(line)
        return Subscription(line)

    @property
    def subscribers(self) -> int:
        """How many have subscribed and not left."""
        return self._hub.count

    async def send(self, item: T) -> None:
        """Send one item to all subscribers; waits while one whose policy is "wait" has no room.

        Raises `StreamClosed` after `close` or `fail`. A cancelled `send` delivers to nobody. Without subscribers the item is
        gone.
        """
        hub = self._hub
        if hub.owes_turn:
            hub.owes_turn = False
            await asyncio.sleep(0)
        hub.check_open()
        if hub.full or hub.waiters:
            await hub.room()
        hub.publish(item)

    def send_nowait(self, item: T) -> None:
        hub = self._hub
        hub.check_open()
        if hub.full or hub.waiters:
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
        """Return how the port stands: `buffered` and `received` are those of the subscriber that is furthest behind.

        `credit` is how many items can be sent without waiting, and `dropped` counts over all subscribers there ever were.
        """
        return self._hub.statistics(self.buffer_size)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._hub.pressure.watch(on_change)

    def __del__(self) -> None:
        hub = getattr(self, "_hub", None)
        if hub is not None and hub.state == "open":
            dropped = Aborted(f"{hub} was dropped without close() or fail()")
            forgotten(hub.loop, lambda: hub.finish("failed", dropped))

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Port {self.name} {now.state}, {self.subscribers} subscribers, {now.sent} sent, {now.dropped} dropped>"


def _check(buffer_size: int, overflow: str) -> None:
    if buffer_size < 1:
        raise ValueError(f"buffer_size is {buffer_size}; a subscriber holds at least one item")
    if overflow not in OVERFLOWS:
        raise ValueError(f"overflow is {overflow!r}; it is one of {', '.join(OVERFLOWS)}")


class _Hub(Generic[T]):
    """What a port and its subscribers share."""

    __slots__ = (
        "count",
        "dropped",
        "full",
        "lines",
        "loop",
        "name",
        "outcome",
        "owes_turn",
        "pressure",
        "sent",
        "state",
        "waiters",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Encode | None, dict[_Line[Any], None]] = {}  # by the form in which they get an item
        self.count = 0
        self.full: set[_Line[Any]] = set()
        self.waiters: deque[asyncio.Future[None]] = deque()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.state: StreamState = "open"
        self.outcome: Exception = EndOfStream()
        self.owes_turn = False
        self.sent = 0
        self.dropped = 0
        self.pressure = Pressure()

    def join(self, line: _Line[Any]) -> None:
        if self.state != "open":
            line.finish(self.state, self.outcome)
            return
        if self.count >= SUBSCRIBERS_MAX:
            raise ResourceExhausted(f"{self} has {self.count} subscribers (SUBSCRIBERS_MAX)")
        self.lines.setdefault(line.encode, {})[line] = None
        self.count += 1

    def leave(self, line: _Line[Any]) -> None:
        """This subscriber gets nothing more, and nobody waits for it."""
        group = self.lines.get(line.encode, {})
        if line in group:
            del group[line]
            self.count -= 1
            if not group:
                del self.lines[line.encode]
        self.drained(line)

    def drained(self, line: _Line[Any]) -> None:
        """There is room at this subscriber."""
        self.full.discard(line)
        if self.waiters:
            self.wake()

    def check_open(self) -> None:
        if self.state != "open":
            raise StreamClosed(f"{self} was closed (it has {self.state}); nothing more can be sent")

    async def room(self) -> None:
        """Wait until every subscriber that is waited for has room; then the caller publishes before it awaits again."""
        self.loop = asyncio.get_running_loop()
        waiter = self.loop.create_future()
        self.waiters.append(waiter)
        self.pressure.set(True)
        try:
            await waiter
            self.check_open()
        except BaseException:
            self.waiters.remove(waiter)
            self.wake()
            raise
        self.waiters.popleft()

    def wake(self) -> None:
        """The publisher that waits longest can go on, if there is room."""
        if not self.waiters:
            self.pressure.set(False)
        elif not self.full and not self.waiters[0].done():
            self.waiters[0].set_result(None)

    def publish(self, item: T) -> None:
        """Give the item to everybody. What cannot be encoded is given to nobody."""
        forms = [(item if encode is None else encode(item), group) for encode, group in self.lines.items()]
        late: list[_Line[Any]] = []
        before = self.dropped
        for form, group in forms:
            late += [line for line in group if not line.offer(form)]
        for line in late:
            line.fall_behind()
        self.sent += 1
        self.owes_turn = not self.count or self.dropped != before  # who only lets go, and never waits, lets nobody run
        self.wake()

    def finish(self, state: StreamState, outcome: Exception) -> None:
        if self.state != "open":
            return
        self.state, self.outcome = state, outcome
        for line in [line for group in self.lines.values() for line in group]:
            line.finish(state, outcome)
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def statistics(self, buffer_size: int) -> Statistics:
        lines = [line.backlog for group in self.lines.values() for line in group]
        behind = max((len(backlog.items) for backlog in lines), default=0)
        rooms = [backlog.size - len(backlog.items) for backlog in lines if backlog.overflow == "wait"]
        credit = min(rooms, default=buffer_size) if self.state == "open" else 0
        return Statistics(
            self.state, buffer_size, behind, self.sent, self.sent - behind, credit, len(self.waiters), self.dropped
        )

    def __repr__(self) -> str:
        return f"port {self.name!r}"


class _Line(PipeState[T]):
    """What a subscription and its port share."""

    __slots__ = ("backlog", "encode", "hub")

    def __init__(self, hub: _Hub[Any], size: int, overflow: Overflow, encode: Encode | None) -> None:
        super().__init__(size)
        self.backlog: Backlog[T] = Backlog(size, overflow)
        self.buffer = self.backlog.items
        self.pressure = hub.pressure
        self.hub = hub
        self.encode = encode

    def offer(self, item: T) -> bool:
        """Take the item by the policy of this subscriber; False when the policy is to fail."""
        backlog = self.backlog
        dropped = backlog.dropped
        if not backlog.offer(item):
            return False
        self.sent += 1
        self.hub.dropped += backlog.dropped - dropped
        if backlog.overflow == "wait" and backlog.full:
            self.hub.full.add(self)
        if self.consumer is not None:
            self.wake_consumer()
        return True

    def fall_behind(self) -> None:
        """Fail the subscriber that has no room."""
        why = f"{self.hub}: this subscriber has {self.size} items it did not take (buffer_size, overflow='error')"
        self.finish("failed", ResourceExhausted(why))

    def cancel(self) -> None:
        super().cancel()
        self.backlog.clear()

    def _refuse_senders(self) -> None:
        self.hub.leave(self)

    def statistics(self) -> Statistics:
        backlog = self.backlog
        buffered = len(backlog.items) + len(backlog.promised)
        credit = self.size - buffered if self.state == "open" else 0
        received = self.sent - buffered - backlog.dropped
        waiting = len(self.hub.waiters)
        return Statistics(self.state, self.size, buffered, self.sent, received, credit, waiting, backlog.dropped)


class Subscription(PipeSource[T]):
    """The receiving end of a port, for one of its subscribers. Leaving a loop over it ends the subscription."""

    __slots__ = ("_line",)

    def __init__(self, line: _Line[T]) -> None:
        super().__init__(line)
        self._line = line

    def __aiter__(self) -> AsyncIterator[T]:
        return Source.__aiter__(self)  # by `_take`, which knows of gaps

    def _take(self, max_items: int) -> list[T]:
        line = self._line
        taken = line.backlog.take(max_items)
        if taken:
            if line in line.hub.full:
                line.hub.drained(line)
        elif line.outcome is not None:
            raise raised(line.outcome, line.origin)
        return taken

    def _left_loop(self) -> None:
        self._line.cancel()
