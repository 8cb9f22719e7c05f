"""Two connections joined by a wire of bytes, and a ledger of what their programs did. Nothing here decides what is right."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from penstock.errors import ResourceExhausted, Unavailable
from penstock.protocol import (
    SINGLE_BYTES_MIN,
    Cancel,
    Connection,
    Grant,
    Open,
    ReceiveHalf,
    SendHalf,
    Settings,
    Status,
    WireStream,
    events,
    grant_wished,
)
from tests.protocol.kit import ALL, encode, encode_into, values_of

ROLES: Final = ("caller", "callee")
#: What a status of each code is called here.
REASONS: Final = {5: "not_found", 13: "internal"}


class Window(NamedTuple):
    """How far a call lets either direction go."""

    items: int
    bytes: int


class Direction:
    """Items one way: what the program sent, what the other program took."""

    def __init__(self) -> None:
        self.pushed: list[int] = []
        self.taken: list[int] = []
        self.dropped = False  # somebody gave up: the rest may be missing


class Call:
    """One call as both programs see it."""

    def __init__(self, name: str, kind: int, window: Window, caller: End, callee: End) -> None:
        self.name = name
        self.kind = kind
        self.window = window
        self.caller = caller
        self.callee = callee
        self.requests = Direction()
        self.responses = Direction()
        self.stream: WireStream | None = None  # at the caller
        self.handled: WireStream | None = None  # at the callee
        self.outcomes: dict[str, list[str]] = {"caller": [], "callee": []}
        self.answered: str | None = None  # how the callee ended it

    @property
    def settled(self) -> bool:
        """Whether neither side has anything left to do with it."""
        over = all(stream is None or stream.over for stream in (self.stream, self.handled))
        return over and bool(self.outcomes["caller"]) and not any(self.waits(role) for role in ROLES)

    def stream_of(self, role: str) -> WireStream | None:
        return self.stream if role == "caller" else self.handled

    def sent_by(self, role: str) -> Direction:
        return self.requests if role == "caller" else self.responses

    def taken_by(self, role: str) -> Direction:
        return self.responses if role == "caller" else self.requests

    def end_of(self, role: str) -> End:
        return self.caller if role == "caller" else self.callee

    # ── what a program can do ─────────────────────────────────────────────────────────────────────────────────────────

    def may_push(self, role: str) -> bool:
        stream = self.stream_of(role)
        if stream is None or stream.over or stream.sending != "open" or not self.kind & (1 if role == "caller" else 2):
            return False
        return stream.send is not None and stream.send.has_room()

    def push(self, role: str, number: int, size: int) -> None:
        stream, end = self.stream_of(role), self.end_of(role)
        if size >= SINGLE_BYTES_MIN:
            stream.send.push_bytes(number.to_bytes(8, "big") + bytes(size))
        else:
            stream.send.push(encode_into, [number, bytes(size)])
        self.sent_by(role).pushed.append(number)
        end.connection.ready(stream)

    def may_answer(self) -> bool:
        stream = self.handled
        ready = {"idle"} if self.kind == 0 else {"open"}
        return (
            stream is not None and not stream.over and stream.sending in ready and not self.kind & 2 and stream.send.has_room()
        )

    def answer(self, number: int, size: int) -> None:
        """The handler returns the one item of a call."""
        self.answered = "ended"
        self._leave_requests()
        self.responses.pushed.append(number)
        self.callee.connection.answer(self.handled, encode([number, bytes(size)]))

    def may_finish(self) -> bool:
        return self.handled is not None and not self.handled.over and self.handled.sending == "open"

    def finish(self) -> None:
        """The handler returns: its requests are not wanted any more, its answer is complete."""
        self.answered = "ended"
        self._leave_requests()
        self.callee.connection.end(self.handled)

    def may_fail(self) -> bool:
        return self.handled is not None and not self.handled.over and self.handled.sending in {"idle", "open"}

    def fail(self, code: int) -> None:
        self.answered = REASONS[code]
        self._leave_requests()
        self.callee.connection.fail(self.handled, Status(code, REASONS[code], "why"))

    def _leave_requests(self) -> None:
        self.requests.dropped = True
        self.callee.connection.stop(self.handled, Cancel(message="the handler has returned"))
        self.callee.connection.discard(self.handled)

    def may_half_close(self) -> bool:
        return bool(self.kind & 1) and self.stream is not None and not self.stream.over and self.stream.sending == "open"

    def half_close(self) -> None:
        self.caller.connection.end(self.stream)

    def may_cancel(self) -> bool:
        return self.stream is not None and not self.stream.over

    def cancel(self) -> None:
        self.outcomes["caller"].append("left")
        self.requests.dropped = self.responses.dropped = True
        self.caller.connection.cancel(self.stream, Cancel(1, "cancelled", "enough"))
        self.caller.connection.discard(self.stream)

    def take(self, role: str, *, in_two: bool) -> None:
        """The consumer takes one batch; its items count as they are taken, its bytes with the last one."""
        stream, end = self.stream_of(role), self.end_of(role)
        batch = stream.receive.queue.pop(0)
        values = values_of(batch.encoded())
        assert len(values) == batch.items
        self.taken_by(role).taken += [_number(value) for value in values]
        first = len(values) // 2 if in_two else 0
        if first:
            end.connection.consume(stream, first, 0)
        end.connection.consume(stream, len(values) - first, batch.size)

    def waits(self, role: str) -> bool:
        stream = self.stream_of(role)
        return stream is not None and stream.receive is not None and bool(stream.receive.queue)

    def halves(self, role: str) -> tuple[SendHalf | None, ReceiveHalf | None]:
        """The two halves of the direction that `role` sends in."""
        sender, receiver = self.stream_of(role), self.stream_of("callee" if role == "caller" else "caller")
        return (sender.send if sender is not None else None), (receiver.receive if receiver is not None else None)


def _number(item: Any) -> int:
    return int.from_bytes(item[:8], "big") if isinstance(item, bytes) else item[0]


class End:
    """One side: a connection, the bytes on their way to it, and a program that keeps the ledger."""

    def __init__(self, role: str, settings: Settings, book: dict[str, Call]) -> None:
        self.connection = Connection(role, settings, 0.0)
        self.role = role
        self.settings = settings
        self.book = book
        self.arriving = bytearray()
        self.now_s = 0.0
        self.other: End
        self.failed: list[events.Failed] = []

    def open(self, name: str, kind: int, window: Window, *, priority: int, argument: int) -> Call | None:
        """Begin a call; None where the protocol says that no call can begin."""
        call = Call(name, kind, window, self, self.other)
        wishes = {"wish_items": window.items, "wish_bytes": window.bytes}
        opened = Open(name, kind, 0, window.items, window.bytes, bytes(argument), priority=priority, **wishes)
        try:
            call.stream = self.connection.open(opened, ReceiveHalf(Grant(*window)))
        except (Unavailable, ResourceExhausted):
            return None
        call.stream.endpoint = call
        self.book[name] = call
        return call

    def write(self, budget_bytes: int = ALL) -> int:
        """Put what is to be sent on the wire."""
        data = b"".join(self.connection.data_to_send(budget_bytes, self.now_s))
        self.other.arriving += data
        return len(data)

    def read(self, most: int = ALL) -> None:
        """Take the next bytes from the wire and tell the program what they mean."""
        data = bytes(self.arriving[:most])
        del self.arriving[:most]
        for event in self.connection.receive_data(data, self.now_s):
            self._on(event)

    def _on(self, event: events.Event) -> None:
        handler = getattr(self, f"_on_{type(event).__name__}", None)
        if handler is not None:
            handler(event)

    def _on_Opened(self, event: events.Opened) -> None:  # noqa: N802 - named as the event
        stream = event.stream
        if stream.over:  # cancelled in the same read
            return
        call = self.book[stream.opened.target]
        call.handled, stream.endpoint = stream, call
        if call.kind:
            grant = grant_wished(self.settings, None, stream.opened) if call.kind & 1 else None
            self.connection.accept(stream, grant)

    def _on_Ended(self, event: events.Ended) -> None:  # noqa: N802
        call: Any = event.stream.endpoint
        if call is None or event.stream.callee:
            return
        status = event.status
        call.outcomes["caller"].append("ended" if status is None or status.code == 0 else status.reason)

    def _on_CallCancelled(self, event: events.CallCancelled) -> None:  # noqa: N802
        call = self.book[event.stream.opened.target]
        call.outcomes["callee"].append("left")
        self.connection.discard(event.stream)

    def _on_StopSending(self, event: events.StopSending) -> None:  # noqa: N802
        event.stream.endpoint.requests.dropped = True

    def _on_Failed(self, event: events.Failed) -> None:  # noqa: N802
        self.failed.append(event)


def joined(client: Settings, server: Settings, book: dict[str, Call]) -> tuple[End, End]:
    """Two sides that have greeted each other."""
    left, right = End("client", client, book), End("server", server, book)
    left.other, right.other = right, left
    for _ in range(3):
        for end in (left, right):
            end.write()
        for end in (left, right):
            end.read()
    return left, right
