"""Any bytes at all: a rule is broken, or events come out, and nothing else happens.

The corpus holds what once went wrong, and something of everything. A server reads each of its inputs, which begin with `HELLO`;
it then makes a call of its own (stream 2, bidirectional), and plays along with whatever the peer does. A client that takes a
session up again reads inputs of its own, `RETURNS`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ResourceExhausted, Unavailable
from penstock.protocol import Cancel, Grant, Open, ReceiveHalf, Settings, Status, events
from penstock.protocol._frames import HEADER, HEADER_BYTES, Ack, Credit, FrameType, GoAway, Ping, Resumed
from tests.protocol.bad_inputs import LIMITS
from tests.protocol.kit import Side, frame, hello, push, rule_of, side

FOLDER = Path(__file__).parent / "corpus"
CORPUS = {path.stem: bytes.fromhex(path.read_text(encoding="ascii")) for path in sorted(FOLDER.glob("*.hex"))}
RULES = {
    *("1.2", "1.4", "1.5", "1.7", "2.1", "2.2", "2.3", "3.2", "3.3", "3.4", "3.6", "4.1", "4.2", "4.3", "4.5", "4.6", "4.9"),
    *("5.1", "5.2", "5.4", "6.2", "9.3", "9.4", "10.2", "10.4", "10.5", "11.2", "11.3", "11.4"),
}
#: 200, or more where HYPOTHESIS_PROFILE asks for a search.
EXAMPLES = max(200, settings.default.max_examples)
Outcome = tuple[list[str], str | None]


TOKEN = bytes(range(16))
#: A client that says this talks to a server that wants to know it.
CREDENTIALS = "s3cret"
#: How a server answers a client that takes its session up again.
RETURNS = {
    "goes on": hello(keep_ms=9, token=b"new") + frame(FrameType.RESUMED, Resumed(0)) + frame(FrameType.ACK, Ack(0)),
    "from the middle": hello(keep_ms=9, token=b"new")
    + frame(FrameType.RESUMED, Resumed(0, 40))
    + frame(FrameType.ACK, Ack(60)),
    "beyond what was sent": hello(keep_ms=9) + frame(FrameType.RESUMED, Resumed(0, 9999)),
    "refused": hello(keep_ms=9) + frame(FrameType.RESUMED, Resumed(9, 0, "no such session")) + frame(FrameType.PING, Ping(1)),
    "keeps nothing": hello(),
    "leaves": hello(keep_ms=9) + frame(FrameType.RESUMED, Resumed(0)) + frame(FrameType.GOAWAY, GoAway(0, 1, "closed")),
    "closes the link": hello(keep_ms=9) + frame(FrameType.GOAWAY, GoAway(0, 13, "a fault")) + frame(FrameType.PING, Ping(1)),
    "takes it no longer": frame(FrameType.GOAWAY, GoAway(0, 16, "the token has expired")) + frame(FrameType.PING, Ping(1)),
    "is full": hello(keep_ms=9) + frame(FrameType.GOAWAY, GoAway(0, 8, "overloaded")) + frame(FrameType.PING, Ping(1)),
    "drains meanwhile": hello(keep_ms=9) + frame(FrameType.GOAWAY, GoAway(0)) + frame(FrameType.RESUMED, Resumed(0)),
    "talks too early": hello(keep_ms=9) + frame(FrameType.CREDIT, Credit(1, 1, 0), stream=1),
    "twice": hello(keep_ms=9) + 2 * frame(FrameType.RESUMED, Resumed(0)) + hello(),
}


def detached(role: str) -> Side:
    """A side with a call of its own, whose session has lost its link."""
    made = Side(role, Settings(**LIMITS), keep_s=9.0, token=TOKEN)
    made.feed(hello(keep_ms=9, token=b"" if role == "server" else TOKEN))
    made.write()
    made.call(3)
    made.connection.links.detach()
    return made


class Program:
    """A server that greets, calls and answers like any other. It keeps one session, whose token is `TOKEN`.

    waits: whether it decides about its client first. It takes those whose credentials are `CREDENTIALS`.
    """

    def __init__(self, *, waits: bool) -> None:
        self.side = Side("server", Settings(**LIMITS), keep_s=9.0, token=b"second")
        if waits:
            self.side.connection.links.introduction.wait()
        self.kept = detached("server")
        self.refused = False
        self.seen: list[events.Event] = []

    def read(self, data: bytes) -> None:
        for event in self.side.feed(data):
            self.seen.append(event)
            getattr(self, f"on_{type(event).__name__.lower()}", lambda _event: None)(event)
        self.side.write()

    def on_introduced(self, event: events.Introduced) -> None:
        connection = self.side.connection
        if event.hello.credentials != CREDENTIALS:
            connection.links.introduction.refuse(16, "unknown credentials")
            self.refused = True
            return
        greeted = connection.links.introduction.greet(60.0, 0.0)
        self.seen.append(greeted)
        self.side.write()
        (self.on_ready if isinstance(greeted, events.Ready) else self.on_resumeasked)(greeted)

    def on_resumeasked(self, event: events.ResumeAsked) -> None:
        links, kept = self.side.connection.links, self.kept.connection.links
        if event.hello.token != TOKEN or not kept.can_resume(event.hello):
            links.begin_new(9, "no such session", 0.0)
        else:
            self.side.write()
            kept.resume(event.hello, links, 0.0)
            self.side = self.kept
            self.read(b"")

    def on_ready(self, event: events.Ready) -> None:
        try:
            self.side.connection.open(Open("S/m", 3, 0, 10, 1000), ReceiveHalf(Grant(10, 1000)))
        except (Unavailable, ResourceExhausted):  # the peer said something else in the same breath
            return
        self.side.write()

    def on_accepted(self, event: events.Accepted) -> None:
        self.on_roommade(event)

    def on_opened(self, event: events.Opened) -> None:
        stream = event.stream
        if stream.over:
            return
        connection = self.side.connection
        if stream.opened.target.startswith("S"):
            connection.accept(stream, Grant(3, 100) if stream.opened.streams_requests else None)
        else:
            connection.fail(stream, Status(12, "unimplemented", stream.opened.target[:50]))

    def on_itemsarrived(self, event: events.ItemsArrived) -> None:
        half = event.stream.receive
        for batch in half.queue:
            self.side.connection.consume(event.stream, batch.items, batch.size)
        half.queue.clear()

    def on_roommade(self, event: events.RoomMade | events.Accepted) -> None:
        if event.stream.send.has_room() and event.stream.sending == "open":
            push(event.stream, "more")
            self.side.connection.ready(event.stream)

    def on_ended(self, event: events.Ended) -> None:
        if event.stream.callee and event.stream.sending == "open":
            self.side.connection.stop(event.stream, Cancel())
            self.side.connection.end(event.stream)

    def on_halfclosed(self, event: events.HalfClosed) -> None:
        if event.stream.sending == "open":
            self.side.connection.close(event.stream, "enough")
            self.side.connection.discard(event.stream)

    def check(self) -> None:
        """Whatever came, it was one of the things that can come, and little is held."""
        connection = self.side.connection
        rule = rule_of(self.seen)
        assert rule is None or rule in RULES
        assert [type(event) for event in self.seen].count(events.Failed) <= 1
        assert connection.failed == (self.refused or any(isinstance(e, events.Failed | events.Left) for e in self.seen))
        assert connection.streams.theirs <= LIMITS["max_streams"]
        assert 0 <= connection.budget.held_bytes <= LIMITS["max_connection_bytes"] + 40_000


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def play(data: bytes, size: int) -> Program:
    """Let a server read the first frame, which makes it call, and then the rest in pieces."""
    program = Program(waits=CREDENTIALS.encode() in data)
    first = HEADER_BYTES + HEADER.unpack_from(data)[0] if len(data) >= HEADER_BYTES else 0
    for piece in (data[:first], *pieces(data[first:], size)):
        program.read(piece)
    program.check()
    return program


def come_back(data: bytes, size: int) -> list[events.Event]:
    """Let a client that takes its session up again read these bytes; return what it saw."""
    client = detached("client")
    client.connection.links.rejoin(0.0)
    seen = []
    for piece in pieces(data, size):
        seen += client.feed(piece)
        client.write()
    rule = rule_of(seen)
    assert rule is None or rule in RULES
    ends = events.Failed | events.Left | events.NotResumed | events.Silent
    assert client.connection.failed == any(isinstance(event, ends) for event in seen)
    return seen


def listen(data: bytes, size: int) -> Outcome:
    """Only listen: what is seen must not depend on the pieces."""
    made = side(greeted=False, **LIMITS)
    seen = [event for piece in pieces(data, size) for event in made.feed(piece)]
    return [type(event).__name__ for event in seen], rule_of(seen)


@st.composite
def mutated(draw, corpus=CORPUS) -> bytes:
    """Something of the corpus, with bytes changed, put in, left out or said twice, and lengths that still fit at times."""
    data = bytearray(draw(st.sampled_from(list(corpus.values()))))
    for _ in range(draw(st.integers(0, 5))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 20))
        act = draw(st.sampled_from(["change", "insert", "drop", "repeat", "body"]))
        if act == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif act == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        elif act == "drop":
            del data[at : at + size]
        elif act == "repeat":
            data[at:at] = data[at : at + size]
        elif act == "body":
            mend(data, draw(st.integers(0, 8)), draw(st.binary(max_size=30)))
    return bytes(data)


def mend(data: bytearray, number: int, body: bytes) -> None:
    """Give one frame another body, with the length that it has."""
    at = 0
    while number and len(data) - at >= HEADER_BYTES:
        at += HEADER_BYTES + HEADER.unpack_from(data, at)[0]
        number -= 1
    if len(data) - at >= HEADER_BYTES:
        length, kind, flags, stream = HEADER.unpack_from(data, at)
        data[at : at + HEADER_BYTES + length] = HEADER.pack(len(body), kind, flags, stream % 8) + body


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("size", [1 << 20, 1, 7])
def test_the_corpus_is_survived(name, size):
    play(CORPUS[name], size)


@settings(max_examples=2 * EXAMPLES)
@given(data=mutated(), size=st.sampled_from([1 << 20, 1, 7, 33]))
def test_anything_like_the_corpus_is_survived(data, size):
    play(data, size)


@settings(max_examples=EXAMPLES)
@given(junk=st.binary(max_size=200), greeted=st.booleans())
def test_junk_is_survived(junk, greeted):
    play((hello() if greeted else b"") + junk, 1 << 20)


@settings(max_examples=EXAMPLES)
@given(data=mutated())
def test_what_is_understood_does_not_depend_on_the_pieces(data):
    assert listen(data, 1) == listen(data, 1 << 20) == listen(data, 13)


@settings(max_examples=EXAMPLES)
@given(data=mutated(RETURNS), size=st.sampled_from([1 << 20, 1, 7, 33]))
def test_any_answer_to_a_client_that_comes_back_is_survived(data, size):
    come_back(data, size)


def test_the_corpus_meets_the_rules():
    """A corpus that breaks nothing, or in which nothing happens, finds nothing."""
    seen = [event for data in CORPUS.values() for event in play(data, 1 << 20).seen]
    seen += [event for data in RETURNS.values() for event in come_back(data, 1 << 20)]
    broken = {event.error.rule for event in seen if isinstance(event, events.Failed) and event.error}
    assert broken >= {"1.2", "1.4", "1.7", "3.2", "4.5", "6.2"}
    assert {type(event) for event in seen} == set(events.Event.__subclasses__())
