"""Golden vectors of whole sessions: both directions, byte by byte, with the events that each write causes at the other side."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.protocol import Cancel, Connection, Grant, Open, ReceiveHalf, Settings, Status, WireStream, events
from penstock.protocol._frames import HEADER, HEADER_BYTES, Body, FrameType, Ping
from tests.protocol.kit import ALL, encode, encode_into, frame, hello, read_frames, values_of
from tests.protocol.vectors_frames import Vector, meaning, plain

#: The same on every machine, whatever compressions are installed there.
LIMITS: Final = {"max_frame_bytes": 262_144, "max_item_bytes": 16_777_216, "max_header_bytes": 65_536, "max_streams": 16_384}


#: How long both sides keep a session that is resumed, and the tokens of its links.
KEEP_S: Final = 30.0
TOKENS: Final = [bytes([number]) * 16 for number in (1, 2)]


class Recorder:
    """Two sides that talk, and the record of it."""

    def __init__(self, *, keep_s: float = 0.0, **of_client: Any) -> None:
        self.kept = Connection("server", Settings(), 0.0, keep_s=keep_s, token=TOKENS[0] if keep_s else b"")
        self.sides = {"client": Connection("client", Settings(), 0.0, keep_s=keep_s), "server": self.kept}
        self.steps: list[Vector] = []
        self.now_s = 0.0
        self.opened: dict[int, WireStream] = {}
        for side in self.sides.values():
            side.data_to_send(ALL, 0.0)  # its own HELLO, which names what is installed here
        for name, what in (("client", "connects"), ("server", "is connected to")):
            keeping = {"keep_ms": int(keep_s * 1000)} if keep_s else {}
            fields = keeping | (of_client if name == "client" else {"token": TOKENS[0]} if keep_s else {})
            self.tell(name, hello(**LIMITS, compressions=["deflate"], agent=name, **fields), what)

    def lose(self, name: str, what: str) -> None:
        """Let one side write all it has. None of it arrives, because the link is lost."""
        data = _without_pings(b"".join(self.sides[name].data_to_send(ALL, self.now_s)))
        frames = [meaning(read, items=_items(read)) for read in read_frames(data)]
        self.steps.append({"from": name, "what": what, "lost": True, "hex": data.hex(), "frames": frames, "events": []})

    def come_back(self) -> None:
        """Lose the link, and go on over another one."""
        client, server = self.sides["client"].links, self.sides["server"].links
        client.detach()
        server.detach()
        client.rejoin(self.now_s)
        (said,) = read_frames(b"".join(self.sides["client"].data_to_send(ALL, self.now_s)))
        fresh = self.sides["server"] = Connection("server", Settings(), self.now_s, keep_s=KEEP_S, token=TOKENS[1])
        fresh.data_to_send(ALL, self.now_s)
        kept = {"keep_ms": int(KEEP_S * 1000), "token": said.body.token, "received": said.body.received}
        self.tell("client", hello(**LIMITS, compressions=["deflate"], agent="client", **kept), "connects again: another link")
        server.resume(said.body, fresh.links, self.now_s)
        self.sides["server"] = self.kept
        kept = {"keep_ms": int(KEEP_S * 1000), "token": TOKENS[1]}
        greeting = hello(**LIMITS, compressions=["deflate"], agent="server", **kept)
        data = _without_pings(b"".join(self.kept.data_to_send(ALL, self.now_s)))
        self.tell("server", greeting + data, "finds the session by its token, and sends again what had not arrived")
        self.write("client", "acknowledges, and sends again what had not arrived")

    def write(self, name: str, what: str) -> None:
        """Let one side write all it has, and record what it means. When it measures round trips is its own affair."""
        data = b"".join(self.sides[name].data_to_send(ALL, self.now_s))
        self.tell(name, _without_pings(data), what)

    def tell(self, name: str, data: bytes, what: str) -> None:
        """Hand bytes to the other side, and record what they mean to it."""
        other = "server" if name == "client" else "client"
        self.now_s += 0.001
        seen = self.sides[other].receive_data(data, self.now_s)
        for event in seen:
            if isinstance(event, events.Opened):
                self.opened[event.stream.id] = event.stream
        frames = [meaning(read, items=_items(read)) for read in read_frames(data)]
        told = [_event(event) for event in seen]
        self.steps.append({"from": name, "what": what, "hex": data.hex(), "frames": frames, "events": told})

    def call(self, name: str, target: str, kind: int, argument: list[Any] | None, window: Grant) -> WireStream:
        encoded = None if argument is None else encode(argument)
        opened = Open(target, kind, 0, window.items, window.bytes, encoded)
        return self.sides[name].open(opened, ReceiveHalf(window))

    def push(self, name: str, stream: WireStream, *items: Any) -> None:
        for item in items:
            stream.send.push(encode_into, item)
        self.sides[name].ready(stream)

    def take(self, name: str, stream: WireStream) -> None:
        """The consumer takes everything that waits."""
        for batch in stream.receive.queue:
            self.sides[name].consume(stream, batch.items, batch.size)
        stream.receive.queue.clear()


def _without_pings(data: bytes) -> bytes:
    return b"".join(piece for piece in cut(data) if piece[4] not in {FrameType.PING, FrameType.PONG})


def cut(data: bytes) -> list[bytes]:
    """Cut bytes into frames."""
    pieces = []
    while data:
        end = HEADER_BYTES + HEADER.unpack_from(data)[0]
        pieces.append(data[:end])
        data = data[end:]
    return pieces


def _items(seen: Any) -> list[Any] | None:
    return values_of(seen.body[2]) if seen.kind == "ITEMS" else None


def _event(event: events.Event) -> Vector:
    told: Vector = {"event": type(event).__name__}
    for name, value in msgspec.structs.asdict(event).items():
        if isinstance(value, WireStream):
            told["stream"] = value.id
        elif isinstance(value, Body):
            told[name] = plain(msgspec.structs.asdict(value))
        elif name != "error":
            told[name] = plain(value)
    return told


def unary() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/quote", 0, ["AAPL"], Grant(1, 67_108_864))
    talk.write("client", "calls Prices/quote('AAPL')")
    answer = talk.opened[call.id]
    talk.push("server", answer, {"symbol": "AAPL", "value": 187.5})
    talk.sides["server"].end(answer)
    talk.write("server", "returns a price: its one item is its last")
    return talk


def server_streaming() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/watch", 2, ["AAPL"], Grant(4, 1000))
    talk.write("client", "calls Prices/watch('AAPL') and may be sent 4 items, 1,000 bytes")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, None)
    talk.push("server", answer, 1.5, 2.5)
    talk.write("server", "begins, and sends two items")
    talk.push("server", answer, 3.5, 4.5)
    talk.write("server", "sends two more; its credit is used up")
    talk.take("client", call)
    talk.write("client", "has consumed all four")
    talk.push("server", answer, 5.5)
    talk.sides["server"].end(answer)
    talk.write("server", "sends the last item")
    return talk


def client_streaming() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/record", 1, None, Grant(1, 67_108_864))
    talk.write("client", "calls Prices/record(prices)")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, Grant(2, 1000))
    talk.write("server", "begins, and takes 2 items, 1,000 bytes")
    talk.push("client", call, "a", "b")
    talk.write("client", "sends two items; its credit is used up")
    talk.take("server", answer)
    talk.write("server", "has consumed both")
    talk.push("client", call, "c")
    talk.write("client", "sends a third")
    talk.sides["client"].end(call)
    talk.write("client", "has no more")
    talk.take("server", answer)
    talk.push("server", answer, 3)
    talk.sides["server"].end(answer)
    talk.write("server", "returns the count")
    return talk


def bidirectional() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/trade", 3, ["NYSE"], Grant(2, 1000))
    talk.write("client", "calls Prices/trade(orders, 'NYSE')")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, Grant(2, 1000))
    talk.write("server", "begins")
    for number in (1, 2):
        talk.push("client", call, {"order": number})
        talk.write("client", f"sends order {number}")
        talk.take("server", answer)
        talk.push("server", answer, {"fill": number})
        talk.write("server", f"fills order {number}")
        talk.take("client", call)
    talk.sides["client"].end(call)
    talk.write("client", "has no more orders")
    talk.sides["server"].end(answer)
    talk.write("server", "has no more fills")
    return talk


def cancelled() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/watch", 2, ["AAPL"], Grant(4, 1000))
    talk.write("client", "calls Prices/watch('AAPL')")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, None)
    talk.push("server", answer, 1.5)
    talk.write("server", "begins, and sends an item")
    talk.sides["client"].cancel(call, Cancel())
    talk.write("client", "leaves its loop")
    return talk


def failed() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/watch", 2, ["XXXX"], Grant(4, 1000))
    talk.write("client", "calls Prices/watch('XXXX')")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, None)
    talk.push("server", answer, 1.5)
    talk.sides["server"].fail(answer, Status(5, "not_found", "XXXX is gone", msgspec.Raw(encode({"symbol": "XXXX"}))))
    talk.write("server", "sends an item, then raises NotFound")
    return talk


def callee_stops() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/record", 1, None, Grant(1, 67_108_864))
    talk.write("client", "calls Prices/record(prices)")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, Grant(4, 1000))
    talk.write("server", "begins")
    talk.push("client", call, "a")
    talk.write("client", "sends an item")
    talk.sides["server"].stop(answer, Cancel(message="the handler has returned"))
    talk.push("server", answer, 1)
    talk.sides["server"].end(answer)
    talk.write("server", "has seen enough, and returns")
    return talk


def _channel() -> tuple[Recorder, WireStream, WireStream]:
    """Open a channel: the callee accepts it with a payload."""
    talk = Recorder()
    call = talk.call("client", "/consumer!channel", 3, ["producer"], Grant(4, 1000))
    talk.write("client", "opens a channel, with a payload")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, Grant(4, 1000), payload=encode({"hello": "producer"}))
    talk.write("server", "accepts it, with a payload")
    return talk, call, answer


def channel_closed_by_caller() -> Recorder:
    talk, call, answer = _channel()
    talk.push("server", answer, "last words")
    talk.sides["server"].half_close(answer)
    talk.write("server", "sends an item, and will send no more; it still reads")
    talk.push("client", call, 1, 2)
    talk.sides["client"].close(call, "that is all")
    talk.write("client", "sends two items and closes: nothing answers it")
    return talk


def channel_closed_by_callee() -> Recorder:
    talk, call, answer = _channel()
    talk.sides["client"].half_close(call)
    talk.write("client", "will send nothing, and still reads")
    talk.push("server", answer, 1)
    talk.sides["server"].close(answer, "served")
    talk.write("server", "sends an item and closes")
    return talk


def drained() -> Recorder:
    talk = Recorder()
    call = talk.call("client", "Prices/watch", 2, ["AAPL"], Grant(4, 1000))
    talk.write("client", "calls Prices/watch('AAPL')")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, None)
    talk.write("server", "begins")
    talk.call("client", "Prices/quote", 0, ["AAPL"], Grant(1, 1000))
    talk.sides["server"].drain("restarting")
    talk.write("client", "calls once more, before it hears of the drain")
    talk.write("server", "drains, and refuses the new call")
    talk.push("server", answer, 1.5)
    talk.sides["server"].end(answer)
    talk.write("server", "ends the old call as if nothing had happened")
    return talk


def keep_alive() -> Recorder:
    talk = Recorder()
    talk.tell("client", frame(FrameType.PING, Ping(7)), "has heard nothing for a while, and asks")
    talk.tell("server", frame(FrameType.PONG, Ping(7)), "answers with the same number")
    return talk


def resume_refused() -> Recorder:
    talk = Recorder(token=bytes(range(16)), received=300)
    talk.sides["server"].links.begin_new(9, "this server keeps no session to resume", 0.0)
    talk.write("server", "cannot")
    return talk


def resumed_items() -> Recorder:
    talk = Recorder(keep_s=KEEP_S)
    call = talk.call("client", "Prices/watch", 2, ["AAPL"], Grant(10, 1000))
    talk.write("client", "calls Prices/watch('AAPL')")
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, None)
    talk.push("server", answer, 1.5)
    talk.write("server", "begins, and sends an item")
    talk.push("server", answer, 2.5)
    talk.lose("server", "sends an item, and the link is lost")
    talk.come_back()
    talk.push("server", answer, 3.5)
    talk.sides["server"].end(answer)
    talk.write("server", "goes on, and ends the call with an item")
    return talk


def resumed_before_the_first_item() -> Recorder:
    talk = Recorder(keep_s=KEEP_S)
    call = talk.call("client", "Prices/record", 1, None, Grant(1, 67_108_864))
    talk.lose("client", "calls Prices/record(prices), and the link is lost")
    talk.come_back()
    answer = talk.opened[call.id]
    talk.sides["server"].accept(answer, Grant(4, 1000))
    talk.lose("server", "begins, and the link is lost again")
    talk.come_back()
    talk.push("client", call, "a")
    talk.sides["client"].end(call)
    talk.write("client", "sends an item, which is the last")
    talk.push("server", answer, 1)
    talk.sides["server"].end(answer)
    talk.write("server", "returns")
    return talk


def _introduced() -> Recorder:
    """A client that has said by what the server may know it, to a server that waits for that."""
    talk = Recorder.__new__(Recorder)
    talk.steps, talk.now_s, talk.opened = [], 0.0, {}
    talk.kept = Connection("server", Settings(), 0.0)
    talk.kept.links.introduction.wait()
    talk.sides = {"client": Connection("client", Settings(), 0.0), "server": talk.kept}
    talk.sides["client"].data_to_send(ALL, 0.0)
    said = hello(**LIMITS, compressions=["deflate"], agent="client", credentials="s3cret")
    talk.tell("client", said, "connects, and shows its credentials")
    return talk


def proven() -> Recorder:
    talk = _introduced()
    talk.kept.links.introduction.greet(60.0, talk.now_s)
    talk.kept.data_to_send(ALL, talk.now_s)
    greeting = hello(**LIMITS, compressions=["deflate"], agent="server", valid_ms=60_000)
    talk.tell("server", greeting, "knows the client, and takes its credentials for a minute")
    call = talk.call("client", "Prices/quote", 0, ["AAPL"], Grant(1, 67_108_864))
    talk.write("client", "calls Prices/quote('AAPL')")
    answer = talk.opened[call.id]
    talk.push("server", answer, 187.5)
    talk.sides["server"].end(answer)
    talk.write("server", "returns a price")
    talk.kept.links.introduction.refuse(16, "the credentials have expired")
    talk.write("server", "takes the client no longer: the minute is over")
    return talk


def refused() -> Recorder:
    talk = _introduced()
    talk.kept.links.introduction.refuse(16, "the token is not known")
    talk.write("server", "does not take the client")
    return talk


SESSIONS: Final = {
    play.__name__: play
    for play in (
        unary,
        client_streaming,
        server_streaming,
        bidirectional,
        cancelled,
        failed,
        callee_stops,
        channel_closed_by_caller,
        channel_closed_by_callee,
        drained,
        keep_alive,
        resume_refused,
        resumed_items,
        resumed_before_the_first_item,
        proven,
        refused,
    )
}
