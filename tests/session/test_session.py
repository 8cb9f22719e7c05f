"""One connection at work: handshake, keep-alive, writes that form by themselves, and ends that are told once."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import ConnectionLost, Unavailable
from penstock._texts import TEXT_MAX
from penstock.protocol import FrameType, Settings
from penstock.protocol._frames import GoAway
from penstock.session import Session
from penstock.testing import SimulatedNetwork
from tests.calls.kit import ended, linked, now, rest, started
from tests.session.kit import CountingLink, Joined


class Service:
    async def echo(self, value: bytes) -> bytes:
        return value

    async def wait(self) -> None:
        await asyncio.Event().wait()


# ── handshake ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_both_sides_are_ready_after_the_handshake():
    async with Joined() as joined:
        assert joined.client._connection.peer.agent == joined.server._connection.peer.agent == ""
        assert joined.client.lost is None


async def test_a_peer_that_never_says_hello_is_given_up_after_the_handshake_timeout():
    silent = Session("server", Settings(handshake_timeout_s=3), lambda *_: None)
    link = CountingLink()
    silent.link_made(link)
    await asyncio.sleep(2.9)
    assert silent.lost is None
    await asyncio.sleep(0.2)
    assert isinstance(silent.lost, ConnectionLost)
    assert link.closed
    with pytest.raises(Unavailable):
        await silent.ready
    silent.link_lost(None)


async def test_a_goodbye_of_the_peer_is_one_short_line_in_the_log_and_in_the_error(caplog):
    """FAULTS H8."""
    evil = "bye\n2026-11-30 CRITICAL forged\x1b[2J" + "x" * 60_000
    with caplog.at_level("WARNING", "penstock"):
        async with Joined() as joined:
            joined.server._connection.outbox.put_control(FrameType.GOAWAY, GoAway(0, 13, evil))
            joined.server.flush()
            await rest()
            (line,) = caplog.messages
            for text in (line, str(joined.client.lost)):
                assert r"bye\n2026-11-30 CRITICAL forged\x1b[2Jxxx" in text
                assert text.isprintable()
                assert len(text) < TEXT_MAX + 200


async def test_connecting_to_somebody_who_never_says_hello_is_unavailable_in_time():
    class Mute:
        def link_made(self, link):
            self.link = link

        def get_buffer(self, hint):
            return memoryview(bytearray(1000))

        def buffer_updated(self, size): ...
        def link_lost(self, error): ...
        def pause_writing(self): ...
        def resume_writing(self): ...

    from penstock import transports

    listener = await transports.listen("memory://mute", Mute)
    begun = now()
    with pytest.raises(Unavailable, match="HELLO"):
        async with penstock.connect("memory://mute", timeout=2):
            pass
    assert now() - begun == pytest.approx(2, abs=0.1)
    await listener.aclose()


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + bytes(20), b"\xff" * 100, bytes(100)],
    ids=["http", "tls", "ff", "zeros"],
)
async def test_somebody_who_speaks_something_else_is_shown_out_and_nobody_else_is_disturbed(noise, caplog):
    async with linked(Service()) as pair:
        waiting = await started(pair.stub(Service).wait())
        with SimulatedNetwork(1) as network, caplog.at_level("CRITICAL", "penstock"):
            stranger = Session("server", Settings(), lambda *_: None)
            link = CountingLink()
            stranger.link_made(link)
            buffer = stranger.get_buffer(-1)
            buffer[: len(noise)] = noise
            stranger.buffer_updated(len(noise))
            assert isinstance(stranger.lost, ConnectionLost)
            assert link.closed
            assert network.cut() == 0
        assert not waiting.done()
        waiting.cancel()
        await ended(waiting)
    stranger.link_lost(None)


# ── keep-alive ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_idle_connection_lives_for_ever():
    async with linked(Service()) as pair:
        await asyncio.sleep(24 * 3600)
        assert await pair.stub(Service).echo(b"still here") == b"still here"


async def test_an_idle_connection_says_little():
    """Two questions and two answers in each interval, and nothing else."""
    session = Session("client", Settings(keepalive_s=10), lambda *_: None)
    other = Session("server", Settings(keepalive_s=10), lambda *_: None)
    from penstock.testing import memory_pair

    memory_pair(session, other)
    await session.ready
    await rest()
    before = session.link.__class__.write
    count = 0

    def counting(link, segments):
        nonlocal count
        count += 1
        before(link, segments)

    session.link.__class__.write = counting
    try:
        await asyncio.sleep(1000)
    finally:
        session.link.__class__.write = before
    assert count <= 4 * 100 + 4
    session.close()
    other.close()
    await asyncio.wait([session.closed, other.closed])


@pytest.mark.parametrize("keepalive_s", [1.0, 15.0])
async def test_a_half_open_peer_is_found_dead_within_two_keep_alives(keepalive_s):
    settings = Settings(keepalive_s=keepalive_s)
    with SimulatedNetwork(7, latency_s=(0.01, 0.02)) as network:
        async with linked(
            Service(), url="sim://server", settings=settings, client_settings=settings, gate=False, client_reconnect=None
        ) as pair:
            waiting = await started(pair.stub(Service).wait())
            await asyncio.sleep(5.3 * keepalive_s)
            begun = now()
            network.silence()
            assert isinstance(await ended(waiting), ConnectionLost)
            assert now() - begun <= 2 * keepalive_s + 0.1
            await asyncio.sleep(2 * keepalive_s)
            assert not pair.server.peers


async def test_a_connection_that_is_busy_is_not_asked_and_not_given_up():
    async with linked(Service(), settings=Settings(keepalive_s=1)) as pair:
        for _ in range(100):
            assert await pair.stub(Service).echo(b"x") == b"x"
            await asyncio.sleep(0.9)


async def test_a_loop_that_stood_still_does_not_take_the_other_side_for_dead():
    """What arrived meanwhile waits in the system; the one who slept asks before it judges."""
    settings = Settings(keepalive_s=15)
    with SimulatedNetwork(3, latency_s=(0.001, 0.002)):
        async with linked(Service(), url="sim://server", settings=settings, client_settings=settings) as pair:
            for stall_s in (5, 20, 31, 100):
                await asyncio.sleep(7)
                asyncio.get_running_loop().advance(stall_s)
                assert await pair.stub(Service).echo(b"x") == b"x"


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_items_of_one_turn_leave_in_one_write():
    async with Joined() as joined:
        joined.window = 100
        end = joined.open()
        await rest()
        writes = []
        write = joined.client.link.write
        joined.client.link.write = lambda segments: (writes.append(b"".join(segments)), write(segments))
        for number in range(50):
            end.sink.send_nowait(number)
        await rest()
        assert len(writes) == 1
        assert joined.accepted[0].events == ["items"]


async def test_nothing_is_written_while_the_link_says_stop_and_all_of_it_after():
    async with Joined() as joined:
        joined.window = 100
        end = joined.open()
        await rest()
        writes = []
        write = joined.client.link.write
        joined.client.link.write = lambda segments: (writes.append(len(b"".join(segments))), write(segments))
        joined.client.pause_writing()
        for number in range(100):
            end.sink.send_nowait(number)
        await rest()
        assert writes == []
        joined.client.resume_writing()
        await rest()
        assert joined.accepted[0].source.statistics().buffered == 100


async def test_a_sender_waits_when_too_much_is_unsent_whatever_the_credit():
    settings = Settings(max_unsent_bytes=100_000)
    async with Joined(client=settings) as joined:
        joined.window = 10_000
        end = joined.open()
        await rest()
        joined.client.pause_writing()
        sending = await started(end.sink.send_many(bytes(1000) for _ in range(500)))
        pushed = end.sink.statistics().sent
        assert 100 <= pushed <= 101 + 64
        joined.client.resume_writing()
        await sending
        await rest()
        assert joined.accepted[0].source.statistics().buffered == 500


async def test_senders_without_credit_cost_a_write_nothing():
    async with Joined() as joined:
        joined.window = 1
        ends = [joined.open() for _ in range(20)]
        await rest()
        for end in ends:
            end.sink.send_nowait(1)
        sending = [await started(end.sink.send(2)) for end in ends]
        assert not joined.client.waiting_sinks
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def test_closing_writes_what_is_queued_first_even_when_the_link_says_stop():
    async with Joined() as joined:
        joined.window = 100
        end = joined.open()
        await rest()
        joined.client.pause_writing()
        for number in range(100):
            end.sink.send_nowait(number)
        joined.client.close()
        await rest()
        joined.client.resume_writing()
        await rest()
        assert joined.accepted[0].source.statistics().sent == 100


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("how", ["abort", "close", "violation"])
async def test_the_loss_of_the_connection_is_told_to_every_endpoint_once(who, how, caplog):
    async with Joined() as joined:
        ends = [joined.open() for _ in range(5)]
        await rest()
        session = getattr(joined, who)
        if how == "violation":
            with caplog.at_level("CRITICAL", "penstock"):
                session.link.write([b"\0\0\0\0\x63\0" + bytes(8)])
                await rest()
        else:
            getattr(session, how)()
        await rest()
        mine, theirs = (ends, joined.accepted) if who == "client" else (joined.accepted, ends)
        own = {"abort": "Cancelled", "close": "Cancelled", "violation": "ConnectionLost"}[how]
        assert [end.events[-1:] for end in mine] == [[own]] * 5
        assert [end.events[-1:] for end in theirs] == [["ConnectionLost"]] * 5
        assert sum(event in {"Cancelled", "ConnectionLost"} for end in ends + joined.accepted for event in end.events) == 10
        with pytest.raises(Unavailable):
            session.check_open()


async def test_a_stream_opened_and_not_yet_sent_is_told_of_the_loss_too():
    async with Joined() as joined:
        joined.client.pause_writing()
        end = joined.open()
        joined.client.abort()
        await rest()
        assert end.events == ["Cancelled"]


async def test_closing_a_session_that_never_had_a_link_is_done_at_once():
    session = Session("client", Settings(), lambda *_: None)
    session.close()
    await session.closed
    session.close()
