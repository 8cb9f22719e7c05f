"""The model: what each stream, call, message and channel of a program must have delivered, and how it may have ended.

A `Flow` is one of them. Both of its ends run in this process, so it sees both: the items that were made and those that were
taken, as two running hashes for each direction, and how often each numbered message was handled.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final

import msgspec

import penstock

#: The endings that a flow may be given besides its whole course.
ENDINGS: Final = ("whole", "leave", "break", "cancel", "deadline", "fail", "crash", "bad", "both", "refused")


class Item(penstock.Struct, frozen=True):
    """An item that knows its place: `chain` is the hash over everything up to it."""

    number: int
    chain: bytes
    payload: bytes


class Wrong(Exception):
    """What must not happen: the first word is its kind ("lost", "doubled", "hung", …)."""


class Crash(Exception):
    """An error of the program that is not an answer."""


class Chain:
    """The running hash at one end of one direction. `name` makes the hashes of two directions differ."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self.hash = name.encode()

    def next(self, size: int) -> Item:
        """Make the next item."""
        payload = bytes((self.count + place) % 251 for place in range(min(size, 64))) * max(size // 64, 1)
        self._advance(payload)
        return Item(self.count - 1, self.hash, payload)

    def check(self, item: Item) -> None:
        """Check that this item, and no other, comes next."""
        if item.number != self.count:
            raise Wrong(f"{'doubled' if item.number < self.count else 'lost'}: item {item.number} where {self.count} is next")
        self._advance(item.payload)
        if item.chain != self.hash:
            raise Wrong(f"changed: item {item.number} is not the one that was sent")

    def _advance(self, payload: bytes) -> None:
        self.hash = hashlib.blake2b(self.hash + self.count.to_bytes(8, "big") + payload, digest_size=8).digest()
        self.count += 1


class Direction:
    """The items of one direction of a flow, at both ends. `bound`: how far its producer may be ahead of its consumer."""

    def __init__(self, flow: Flow, name: str, bound: int | None) -> None:
        self._flow = flow
        self.made = Chain(f"{flow.number}{name}")
        self.taken = Chain(f"{flow.number}{name}")
        self.bound = bound
        self.open = 0  # its producers that have not cleaned up

    async def items(self) -> AsyncIterator[Any]:
        """Make the items, as the ending of the flow has them."""
        flow = self._flow
        self.open += 1
        try:
            for number in range(flow.count):
                if number == flow.at and flow.ending in _BROKEN:
                    yield _BROKEN[flow.ending]()
                yield self.next()
                await flow.world.pause(flow.pause_s)
        finally:
            self.open -= 1

    def next(self) -> Item:
        """Make one item."""
        if self.bound is not None and self.made.count - self.taken.count > self.bound:
            self._flow.wrong(
                f"bound: {self.made.count} items were made and {self.taken.count} taken; the bound is {self.bound}"
            )
        return self.made.next(self._flow.size)

    def take(self, item: Any) -> None:
        """Take one item at the consumer. One without a type arrives as a map."""
        try:
            self.taken.check(msgspec.convert(item, Item) if isinstance(item, dict) else item)
        except Wrong as wrong:
            self._flow.wrong(str(wrong))
            raise
        if self.taken.count > self.made.count:
            self._flow.wrong(f"doubled: {self.taken.count} items were taken, and {self.made.count} were made")

    async def drain(self, items: AsyncIterable[Item], *, leaves: bool = False) -> None:
        """Take all items of a stream. leaves: the ending of the flow may stop it early."""
        flow = self._flow
        async for item in items:
            self.take(item)
            if leaves and self.taken.count == flow.at and flow.ending in {"leave", "break"}:
                if flow.ending == "break":
                    raise Crash("the consumer")
                return
            await flow.world.pause(flow.slow_s)


def _fail() -> Any:
    raise penstock.NotFound("on purpose")


def _crash() -> Any:
    raise Crash("on purpose")


_BROKEN: Final[dict[str, Callable[[], Any]]] = {"fail": _fail, "crash": _crash, "bad": object}
#: The errors that each ending brings with it, besides the normal end, which may come first.
_BRINGS: Final[dict[str, tuple[type[BaseException], ...]]] = {
    "whole": (),
    "leave": (),
    "break": (Crash,),
    "cancel": (BaseException,),
    "both": (BaseException,),
    "deadline": (penstock.DeadlineExceeded,),
    "fail": (penstock.NotFound, penstock.Cancelled),
    "crash": (penstock.Internal, Crash, penstock.Cancelled),
    "bad": (penstock.Internal, penstock.InvalidArgument, TypeError, penstock.Cancelled),
    "refused": (penstock.PermissionDenied,),
}


def _brings(flow: Flow) -> tuple[type[BaseException], ...]:
    """Return the errors that the ending of a flow brings. What fills a sink ends it when its own call ends."""
    brings = _BRINGS[flow.ending]
    return (
        (*brings, penstock.Aborted, penstock.StreamCancelled, penstock.NotFound) if brings and flow.kind == "sink" else brings
    )


class Flow:
    """One stream, call, channel, port, ref or sequence of messages, seen from both of its ends.

    number, kind, client: who it is. count, size: its items, and their bytes. pause_s, slow_s: what its producer and consumer
    wait after each. buffer: the `buffer_size` of its stream. ending, at: how it is meant to end, and after which item or when.
    excuses: the errors that a fault may have brought; a flow without any ends as it is meant to.
    """

    def __init__(self, world: Any, number: int, **given: Any) -> None:
        self.world = world
        self.number = number
        self.kind: str = given["kind"]
        self.client: str = given["client"]
        self.count: int = given["count"]
        self.size: int = given["size"]
        self.pause_s: float = given["pause_s"]
        self.slow_s: float = given["slow_s"]
        self.buffer: int | None = given["buffer"]
        self.ending: str = given["ending"]
        self.at: int = given["at"]
        bound = None if self.buffer is None or self.kind not in _BOUNDED else self.buffer + 1  # and one in the producer's hand
        self.up, self.down = Direction(self, "up", bound), Direction(self, "down", None if self.kind == "trade" else bound)
        self.sent: list[int] = []  # numbered messages, in the order in which they were sent
        self.handled: list[int] = []  # … and handled
        self.answered: list[int] = []  # those with an answer
        self.excuses: tuple[type[BaseException], ...] = ()
        self.outcome: BaseException | None = None
        self.done = False

    def wrong(self, what: str) -> None:
        """Note what must not happen to this flow."""
        self.world.wrong(f"{what} ({self})")

    def judge(self) -> None:
        """Check, at its end, what has come, and how it ended."""
        outcome = self.outcome
        if outcome is None:
            self._judge_whole()
        elif isinstance(outcome, Wrong):
            self.wrong(str(outcome))
        elif not isinstance(outcome, (*_brings(self), *self.excuses)):
            self.wrong(f"outcome: {outcome!r} where {self.ending!r} was meant, with the excuses {self.excuses}")
        self._judge_messages()

    def judge_later(self) -> None:
        """Check, once everything had time to end, that nothing of it is left."""
        for name, direction in (("up", self.up), ("down", self.down)):
            if direction.open:
                self.wrong(f"left: {direction.open} producers of its items {name} were not told of the end")

    def _judge_whole(self) -> None:
        comes_back = self.kind == "retained" and self.ending == "leave"
        if self.ending in {"leave", "break", "cancel", "both", "deadline"} and not comes_back:
            return
        for direction in (self.up, self.down):
            if direction.taken.count != direction.made.count or direction.taken.hash != direction.made.hash:
                self.wrong(
                    f"lost: {direction.made.count} items were made, {direction.taken.count} taken, and a normal end came"
                )
        if self.ending != "whole" and self.at < self.count and not comes_back:
            self.wrong(f"outcome: a normal end where {self.ending!r} was meant")
        if self.kind in _STREAMS and max(self.up.taken.count, self.down.taken.count) != self.count:
            self.wrong(f"lost: a normal end after {self.up.taken.count} and {self.down.taken.count} of {self.count} items")

    def _judge_messages(self) -> None:
        handled = Counter(self.handled)
        twice = [number for number, times in handled.items() if times > 1]
        if twice:
            self.wrong(f"doubled: the messages {twice} were handled more than once")
        if lost := [number for number in self.answered if not handled[number]]:
            self.wrong(f"lost: the messages {lost} were answered, and not handled")
        if self.kind in {"asks", "tells"} and self.handled != sorted(self.handled):
            self.wrong(f"reordered: messages were handled in the order {self.handled}")
        if self.kind == "tells" and not self.excuses and self.outcome is None and self.handled != self.sent:
            self.wrong(f"lost: the messages {self.sent} were told, {self.handled} handled")

    def __repr__(self) -> str:
        return f"flow {self.number}: {self.kind} of {self.client}, {self.count} items, {self.ending} at {self.at}"


#: Kinds whose producer is ahead of its consumer by the buffer that was asked for.
_BOUNDED: Final = frozenset({"watch", "record", "trade", "back", "actor stream", "actor requests", "source"})
_STREAMS: Final = frozenset(
    {
        "watch",
        "record",
        "trade",
        "back",
        "actor stream",
        "actor requests",
        "channel",
        "port",
        "source",
        "sink",
        "relay",
        "retained",
    }
)
