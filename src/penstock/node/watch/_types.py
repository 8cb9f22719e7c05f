"""The values that travel between a node and its console: a wish for a part of a table, its rows, the figures of a node."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from penstock.actors import ActorInfo
from penstock.node._types import HistoryView, NodeView
from penstock.session.views import ConnectionView

#: Rows of one part of a table at most.
ROWS_MAX: Final = 500
#: Readers of a stream that are listed with it: those that are behind the most.
READERS_LISTED_MAX: Final = 100


class TableWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish for a part of a table.

    text: rows that have it, in any case; empty for all. sort: a column, "-" before it for the largest first; empty for the
    order of the table. skip, limit: the part. link: of streams, those of the connection with this number. waiting: of
    streams, those of which one side waits. folded: of actors, the addresses whose children are left out.
    """

    text: str = ""
    sort: str = ""
    skip: int = 0
    limit: int = 100
    link: int = 0
    waiting: bool = False
    folded: list[str] = []


class ActorRow(msgspec.Struct, frozen=True):
    """An actor.

    rate: messages a second since the last look. depth: how many actors are above it; above: the address of the nearest of
    them, empty for none. below: how many are below.
    """

    info: ActorInfo
    rate: float = 0.0
    depth: int = 0
    above: str = ""
    below: int = 0


class ConnectionRow(msgspec.Struct, frozen=True, gc=False):
    """A connection. id: its number on this node. console: whether this page uses it. rates: bytes a second."""

    id: int
    view: ConnectionView
    console: bool
    received_rate: float = 0.0
    sent_rate: float = 0.0


class FlowRow(msgspec.Struct, gc=False):
    """One direction of a stream, from its producer to its consumer, or a call that waits for its answer.

    link: the number of its connection, 0 within this process. kind: as `CallInfo.kind`, or what the stream is to an actor.
    here: the side that is on this node: "producer", "consumer" or "both". sent: items that the producer has sent. buffered:
    those that the consumer has not taken. credit: items that may still be sent. window: items that the consumer grants ahead.
    rate: items a second since the last look. waits: the side that waits for the other one, "link" for a producer that waits
    for its connection, empty while items flow. waited_s: for how long, as far as the console has looked.
    """

    key: str
    link: int
    name: str
    kind: str
    producer: str
    consumer: str
    here: str
    sent: int
    buffered: int
    credit: int
    window: int
    rate: float = 0.0
    waits: str = ""
    waited_s: float = 0.0


class ReaderRow(msgspec.Struct, frozen=True, gc=False):
    """A reader of a retained stream. by: its address, empty for this process. offset: of its next item. lag: items behind."""

    by: str
    offset: int
    lag: int


class KeptRow(msgspec.Struct, frozen=True, gc=False):
    """A retained stream.

    oldest, next: the offsets of the oldest item that is kept, and of the next one that is sent. bytes: what it has in memory.
    durable: whether its items are in a file. readers: how many read it in this event loop; reading: those that are behind the
    most, `READERS_LISTED_MAX` at most. lag: that of the last of them.
    """

    name: str
    state: str
    durable: bool
    oldest: int
    next: int
    bytes: int
    max_items: int
    max_bytes: int
    rate: float
    readers: int
    lag: int
    reading: list[ReaderRow]


class MethodRow(msgspec.Struct, frozen=True, gc=False):
    """A method of a service beside the actors. calls: how many of its calls are open, on all connections of this event loop."""

    service: str
    name: str
    target: str
    kind: str
    doc: str
    calls: int


class Part(msgspec.Struct, frozen=True):
    """A part of a table. all: how many rows it has; matching: how many match the text; rows: those from `skip` on."""

    all: int
    matching: int
    skip: int
    rows: list[Any]


class ActorsPart(Part, frozen=True):
    """A part of the table of actors."""

    rows: list[ActorRow]


class ConnectionsPart(Part, frozen=True):
    """A part of the table of connections."""

    rows: list[ConnectionRow]


class FlowsPart(Part, frozen=True):
    """A part of the table of streams."""

    rows: list[FlowRow]


class KeptPart(Part, frozen=True):
    """A part of the table of retained streams."""

    rows: list[KeptRow]


class Overview(msgspec.Struct, frozen=True):
    """The figures of a node.

    messages, mailbox: of all actors together. held_bytes: what its connections hold. kept_bytes: what retained streams have in
    memory.
    """

    node: NodeView
    history: HistoryView | None
    actors: int
    messages: int
    mailbox: int
    connections: int
    detached: int
    streams: int
    held_bytes: int
    kept: int
    kept_bytes: int
    methods: int


class ChainCheck(msgspec.Struct, frozen=True):
    """The result of a check of the history, see `Verification`."""

    ok: bool
    events: int
    offset: int | None
    why: str
    text: str
    head: tuple[int, str] | None


class ChannelEvent(msgspec.Struct, frozen=True):
    """What happens to a channel that a page has opened: "opened" with its id and the payload, "message", "closed" with why."""

    kind: Literal["opened", "message", "closed"]
    id: str = ""
    value: Any = None
    reason: str = ""
