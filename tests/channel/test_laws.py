"""Laws of a channel: the delivered messages are a prefix of the sent ones, and a normal end means all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.channel import Channel, accept_channel, open_channel
from penstock.errors import (
    ActorStopped,
    Cancelled,
    ChannelClosed,
    ConnectionLost,
    EndOfStream,
    PenstockError,
    ProtocolError,
    StatusError,
    WouldBlock,
)
from penstock.protocol import Cancel, Grant, Open, ReceiveHalf, Settings, Status, WireStream
from penstock.session import Endpoint, Session
from penstock.testing import memory_pair, run
from tests.channel.kit import World, drained, settle, worlds
from tests.protocol.kit import push

STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 7)),
            st.tuples(st.just("take"), st.integers(1, 7)),
            st.tuples(st.just("wait"), st.just(0)),
            st.tuples(st.just("half-close"), st.just(0)),
            st.tuples(st.sampled_from(["close", "fail"]), st.just(0)),
        ),
    ),
    max_size=25,
)


class End:
    """One end, with what it sent, what it took, and how it left."""

    def __init__(self, channel: Channel[Any]) -> None:
        self.channel = channel
        self.sent: list[int] = []
        self.taken: list[int] = []
        self.left = False  # it closed or failed the channel itself
        self.outcome: Exception | None = None

    async def step(self, what: str, count: int) -> None:
        if what == "send":
            self._send(count)
        elif what == "take":
            await self._take(count)
        elif what == "wait":
            await settle()
        elif what == "half-close":
            self.channel.close_send()
        elif self.channel.state in {"open", "half-closed"}:
            self.left = True
            await self._leave(what)

    def _send(self, count: int) -> None:
        for _ in range(count):
            try:
                self.channel.send_nowait(len(self.sent))
            except (WouldBlock, ChannelClosed, ActorStopped, ConnectionLost, Cancelled):
                return
            self.sent.append(len(self.sent))

    async def _take(self, count: int) -> None:
        while count and self.channel.statistics().buffered:
            count -= 1
            try:
                self.taken.append(await self.channel.receive())
            except PenstockError:
                return

    async def _leave(self, what: str) -> None:
        if what == "close":
            await self.channel.close("left")
        else:
            self.channel.fail(ActorStopped("died"))

    async def finish(self) -> None:
        if not self.left:
            messages, self.outcome = await drained(self.channel)
            self.taken += messages


def check(receiver: End, sender: End, *, cut: bool) -> None:
    """What `receiver` saw of what `sender` did."""
    assert receiver.taken == sender.sent[: len(receiver.taken)]
    if receiver.left:
        return
    if receiver.outcome is None:  # an end: nothing is missing
        assert receiver.taken == sender.sent
    else:
        assert isinstance(receiver.outcome, (ConnectionLost, Cancelled, ActorStopped) if cut else ActorStopped)
        assert receiver.channel.state == "lost"


async def play(place: str, size: int, steps: list[Any], *, cut: bool) -> None:
    async with worlds(place) as world:
        world.accept_options = {"buffer_size": size}
        ends = [End(channel) for channel in await world.pair(buffer_size=size)]
        for side, (what, count) in steps:
            await ends[side].step(what, count)
            now = ends[side].channel.statistics()
            assert now.buffered <= size
        await _finish(world, ends, cut=cut)


async def _finish(world: World, ends: list[End], *, cut: bool) -> None:
    if cut and world.client is not None:
        world.client.abort()
    for end in ends:
        end.channel.close_send()
    await asyncio.wait_for(asyncio.gather(*(end.finish() for end in ends)), 100)
    await settle()
    check(ends[1], ends[0], cut=cut)
    check(ends[0], ends[1], cut=cut)
    assert {end.channel.state for end in ends} <= {"closed", "lost"}
    for end in ends:
        await end.channel.close()
    world.check_empty()


@settings(max_examples=150)
@given(place=st.sampled_from(["local", "memory", "sim"]), size=st.integers(1, 9), steps=STEPS, cut=st.booleans())
def test_what_is_delivered_is_a_prefix_of_what_was_sent_and_an_end_means_all_of_it(place, size, steps, cut):
    run(play(place, size, steps, cut=cut))


def test_an_end_of_stream_is_said_again_and_again():
    async def scenario():
        async with worlds("local") as world:
            opener, acceptor = await world.pair()
            await opener.close()
            for _ in range(3):
                try:
                    await acceptor.receive()
                except EndOfStream:
                    continue
                raise AssertionError("it went on")

    run(scenario())


#: What a peer that is not ours may do with the stream of a channel, whenever the protocol lets it.
ACTS = ["accept", "items", "credit", "stop", "half-close", ""] * 3
ACTS += ["accept oddly", "odd items", "close", "end", "fail", "cancel"]


class Stranger(Endpoint):
    """The other side of a channel, by hand."""

    def __init__(self, session: Session, stream: WireStream) -> None:
        self.session = session
        self.stream = stream
        stream.endpoint = self

    def act(self, what: str) -> None:
        if not self.stream.over:
            with suppress(ProtocolError):  # that our own side of the protocol refuses
                self._flow(what)
                self._end(what)
            self.session.flush_soon()

    def _flow(self, what: str) -> None:
        connection, stream = self.session._connection, self.stream
        if "accept" in what and stream.callee and stream.receive is None:
            connection.accept(stream, Grant(3, 1000), payload=b"\xc1" if "oddly" in what else None)
        elif "items" in what and stream.sending == "open" and stream.send.has_room():
            push(stream, "text" if "odd" in what else 1)
            connection.ready(stream)
        elif what == "credit" and stream.receive is not None:
            for batch in stream.receive.queue:
                connection.consume(stream, batch.items, batch.size)
            stream.receive.queue.clear()

    def _end(self, what: str) -> None:
        connection, stream = self.session._connection, self.stream
        if what in {"half-close", "close", "end"}:
            more = ("stranger",) if what == "close" else ()
            getattr(connection, what.replace("-", "_"))(stream, *more)
        elif what == ("fail" if stream.callee else "cancel"):
            getattr(connection, what)(stream, Status(5, "not_found", "gone") if stream.callee else Cancel(0, "odd"))
        elif what == "stop" and stream.callee:
            connection.stop(stream, Cancel())


async def meet(acts: list[tuple[str, str]], *, opener: bool) -> None:
    """Let our end meet a stranger, and act in between."""
    strangers: list[Stranger] = []
    ours: list[Channel[Any]] = []
    client = Session("client", Settings(), lambda stream: ours.append(accept_channel(stream, messages=int)))
    server = Session("server", Settings(), lambda stream: strangers.append(Stranger(server, stream.wire)))
    memory_pair(client, server)
    await asyncio.gather(client.ready, server.ready)
    opening = None
    if opener:
        opening = asyncio.ensure_future(open_channel(client, "/a!channel", messages=int, timeout=5))
    else:
        half = ReceiveHalf(Grant(3, 1000))
        strangers.append(Stranger(server, server._connection.open(Open("/a!channel", 3, 0, 3, 1000), half)))
        server.flush_soon()
    await settle()
    for theirs, our in acts:
        strangers[0].act(theirs)
        if opening is not None and opening.done() and not ours and opening.exception() is None:
            ours.append(opening.result())
        if ours:
            await _ours(ours[0], our)
        await asyncio.sleep(0 if our == "close" else 0.01)
    for channel in ours:
        await channel.close()
    await asyncio.gather(*([opening] if opening is not None else []), return_exceptions=True)
    assert client.lost is None
    assert server.lost is None
    client.close()
    await asyncio.wait([client.closed, server.closed])


async def _ours(channel: Channel[Any], what: str) -> None:
    with suppress(StatusError, ChannelClosed, EndOfStream, WouldBlock):
        if what == "accept":
            await channel.accept()
        elif what == "send":
            channel.send_nowait(1)
        elif what == "receive" and channel.statistics().buffered:
            await channel.receive()
        elif what == "half-close":
            channel.close_send()
        elif what == "close":
            await channel.close("ours")


@settings(max_examples=400)
@given(
    opener=st.booleans(),
    begun=st.booleans(),
    acts=st.lists(
        st.tuples(st.sampled_from(ACTS), st.sampled_from(["", "accept", "send", "receive", "half-close"] * 3 + ["close"])),
        max_size=15,
    ),
)
def test_whatever_a_stranger_does_the_channel_ends_and_the_connection_lives(opener, begun, acts):
    with catching("penstock") as logged:
        run(meet([("accept", "accept")] * begun + acts, opener=opener))
    assert not logged


class catching(logging.Handler):  # noqa: N801 - it reads as what it does
    """Keep what is logged: nothing that a peer does is an exception of ours."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.logger = logging.getLogger(name)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())

    def __enter__(self) -> list[str]:
        self.logger.addHandler(self)
        return self.records

    def __exit__(self, *error: object) -> None:
        self.logger.removeHandler(self)
