"""The contract of `Link` and `Receiver`, over every transport."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from penstock import transports
from penstock.errors import Cause, Unavailable
from penstock.transports import WRITE_HIGH_WATER_BYTES
from tests.transports.kit import Pair, Recorder, tls_for, url_for

MEGABYTE = 1_000_000
LAST_WORDS = b"the last words" * 1000


def odd_segments(total: int, seed: int) -> list[bytes]:
    """Segments from one byte to 200 KB that make `total` bytes together."""
    generator = random.Random(seed)
    block = generator.randbytes(200_000)
    segments, left = [], total
    while left:
        size = min(left, generator.choice([1, 7, 19, 333, 4096, 65_535, 65_536, 65_537, 199_999]))
        start = generator.randrange(len(block) - size + 1)
        segments.append(block[start : start + size])
        left -= size
    return segments


async def send_all(sender: Recorder, segments: list[bytes]) -> None:
    for start in range(0, len(segments), 5):
        await sender.until(lambda: sender.writable, "resume_writing")
        sender.link.write(segments[start : start + 5])


async def test_20_mb_in_odd_segments_arrive_in_order_both_ways_at_once(open_pair) -> None:
    there, back = odd_segments(20 * MEGABYTE, 1), odd_segments(20 * MEGABYTE, 2)
    async with open_pair() as pair, asyncio.TaskGroup() as group:
        group.create_task(send_all(pair.client, there))
        group.create_task(send_all(pair.server, back))
        await pair.server.until_received(20 * MEGABYTE)
        await pair.client.until_received(20 * MEGABYTE)
        assert hashlib.sha256(pair.server.received).digest() == hashlib.sha256(b"".join(there)).digest()
        assert hashlib.sha256(pair.client.received).digest() == hashlib.sha256(b"".join(back)).digest()


@pytest.mark.parametrize("buffer_bytes", [1, 3, 1000])
async def test_a_write_larger_than_the_buffer_is_fed_in_pieces(open_pair, buffer_bytes) -> None:
    data = random.Random(3).randbytes(2_500)
    async with open_pair(buffer_bytes=buffer_bytes) as pair:
        pair.client.link.write([data])
        await pair.server.until_received(len(data))
        assert pair.server.received == data


async def test_every_kind_of_segment_is_sent_and_empty_ones_are_nothing(open_pair) -> None:
    async with open_pair() as pair:
        pair.client.link.write([])
        pair.client.link.write([b""])
        pair.client.link.write([b"a", bytearray(b"b"), memoryview(b"xcx")[1:2], b"", bytearray(70_000), memoryview(b"d")])
        await pair.server.until_received(70_004)
        assert pair.server.received == b"abc" + bytes(70_000) + b"d"


async def test_a_peer_that_does_not_read_pauses_the_writer_and_its_reading_resumes_it(open_pair) -> None:
    async with open_pair(keep=False) as pair:
        for writer, reader in pair.both_ways():
            reader.link.pause_reading()
            written = 0
            while writer.writable:
                writer.link.write([bytes(32_768)])
                written += 32_768
                assert written < 64 * MEGABYTE, "nothing bounds the writer"
                await asyncio.sleep(0)
            reader.link.resume_reading()
            await reader.until_received(written)
            await writer.until(lambda writer=writer: writer.writable, "resume_writing")
            assert (writer.paused, writer.resumed) == (1, 1)


async def test_the_writer_is_paused_within_the_write_that_passes_the_high_water(open_pair) -> None:
    async with open_pair(keep=False) as pair:
        pair.server.link.pause_reading()
        pair.client.link.write([bytes(WRITE_HIGH_WATER_BYTES)] * 40)
        assert not pair.client.writable
        pair.server.link.resume_reading()
        await pair.server.until_received(40 * WRITE_HIGH_WATER_BYTES)


@pytest.mark.parametrize("inside", [True, False], ids=["while it is fed", "between"])
async def test_a_link_that_is_handed_over_feeds_the_other_receiver_and_tells_it_of_the_loss(open_pair, inside) -> None:
    heir = Recorder()

    def hand_over() -> None:
        pair.server.on_data = lambda: None
        heir.link = pair.server.link
        pair.server.link.hand_over(heir)

    async with open_pair() as pair:
        if inside:
            pair.server.on_data = hand_over
        pair.client.link.write([b"for the first one"])
        await pair.server.until_received(17)
        if not inside:
            hand_over()
        pair.client.link.write([b"for the heir", bytes(300_000)])
        await heir.until_received(300_012)
        assert pair.server.received == b"for the first one"
        assert heir.received.startswith(b"for the heir")
        heir.link.write([b"back"])
        await pair.client.until_received(4)
        pair.client.link.abort()
        await heir.until(lambda: heir.lost, "link_lost")
        assert pair.server.lost == []
        assert heir.made == 0
        pair.server.lost = heir.lost


async def test_pause_reading_holds_arriving_bytes(open_pair) -> None:
    async with open_pair() as pair:
        pair.server.link.pause_reading()
        pair.server.link.pause_reading()
        pair.client.link.write([b"held"])
        for _ in range(50):
            await asyncio.sleep(0)
        held = pair.server.received_bytes
        pair.server.link.resume_reading()
        pair.server.link.resume_reading()
        await pair.server.until_received(4)
        assert held == 0


async def test_a_receiver_that_pauses_while_it_is_fed_gets_no_more(open_pair) -> None:
    async with open_pair(buffer_bytes=1000) as pair:
        pair.server.on_data = pair.server.link.pause_reading
        pair.client.link.write([bytes(500), bytes(500), bytes(20_000)])
        await pair.server.until_received(1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert pair.server.received_bytes <= 1000
        pair.server.on_data = lambda: None
        pair.server.link.resume_reading()
        await pair.server.until_received(21_000)


async def test_close_delivers_all_that_was_written_and_ends_both_sides_without_error(open_pair) -> None:
    async with open_pair() as pair:
        for _ in range(64):
            pair.client.link.write([bytes(32_768)])
        pair.client.link.close()
        pair.client.link.close()
        assert await pair.both_lost() == (None, None)
        assert pair.server.received_bytes == 64 * 32_768


async def test_close_delivers_to_a_slow_reader_too(open_pair) -> None:
    async with open_pair(keep=False) as pair:
        pair.server.link.pause_reading()
        for _ in range(64):
            pair.client.link.write([bytes(65_536)])
        pair.client.link.close()
        for _ in range(20):
            await asyncio.sleep(0)
        pair.server.link.resume_reading()
        assert await pair.both_lost() == (None, None)
        assert pair.server.received_bytes == 64 * 65_536


async def test_close_and_abort_call_nothing_back_from_inside(open_pair) -> None:
    async with open_pair() as pair:
        pair.client.link.close()
        assert pair.client.lost == []
        pair.server.link.abort()
        assert pair.server.lost == []
        await pair.both_lost()


async def test_abort_drops_unsent_bytes_and_is_an_error_here(open_pair) -> None:
    async with open_pair(keep=False) as pair:
        pair.server.link.pause_reading()
        pair.client.link.write([bytes(8 * MEGABYTE)])
        pair.client.link.abort()
        pair.client.link.abort()
        assert isinstance(await pair.client.until_lost(), ConnectionAbortedError)
        pair.server.link.resume_reading()
        error = await pair.server.until_lost()
        assert error is None or isinstance(error, OSError)
        assert pair.server.received_bytes < 8 * MEGABYTE


async def test_abort_cuts_a_close_short(open_pair) -> None:
    async with open_pair(keep=False) as pair:
        pair.server.link.pause_reading()
        pair.client.link.write([bytes(8 * MEGABYTE)])
        pair.client.link.close()
        pair.client.link.abort()
        assert isinstance(await pair.client.until_lost(), ConnectionAbortedError)
        pair.server.link.resume_reading()
        await pair.server.until_lost()
        assert pair.server.received_bytes < 8 * MEGABYTE


async def last_words(pair: Pair) -> None:
    """Let the client write and leave before the server reads, and the server write until that fails."""
    pair.server.link.pause_reading()
    pair.client.link.write([LAST_WORDS])
    pair.client.link.close()
    await pair.client.until_lost()
    while not pair.server.lost:
        pair.server.link.write([b"to a peer that has left"])
        await asyncio.sleep(0)


# Elsewhere a close waits until the other side has read up to it.
@pytest.mark.parametrize("scheme", ["tcp", "unix"])
async def test_what_was_sent_before_a_close_arrives_although_a_write_fails_first(open_pair) -> None:
    async with open_pair(buffer_bytes=1000) as pair:
        await last_words(pair)
        assert pair.server.received == LAST_WORDS


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
async def test_a_peer_that_leaves_and_goes_on_writing_is_not_read_for_ever(open_pair, monkeypatch) -> None:
    """A Unix socket whose peer reads no more breaks every write, while the peer may write on."""
    monkeypatch.setattr("penstock.transports._socket.REST_BYTES_MAX", 2500)
    async with open_pair(buffer_bytes=1000) as pair:
        await last_words(pair)
        assert pair.server.received_bytes == 3000


async def test_close_gives_up_on_a_peer_that_never_reads(open_pair, monkeypatch) -> None:
    for module in (
        "transports._memory",
        "transports._socket",
        "transports._tcp",
        "transports.websocket._end",
        "testing._line",
    ):
        monkeypatch.setattr(f"penstock.{module}.CLOSE_TIMEOUT_S", 0.05)
    async with open_pair(keep=False) as pair:
        pair.server.link.pause_reading()
        pair.client.link.write([bytes(8 * MEGABYTE)])
        pair.client.link.close()
        assert isinstance(await pair.client.until_lost(), OSError)


async def test_the_peer_sees_an_abort_as_a_reset(open_pair, scheme) -> None:
    async with open_pair() as pair:
        pair.client.link.abort()
        error = await pair.server.until_lost()
        if scheme == "unix":  # the system has no reset there
            assert error is None
        else:
            assert isinstance(error, ConnectionResetError)


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_link_lost_comes_exactly_once_on_both_sides(open_pair, end) -> None:
    async with open_pair() as pair:
        for one in (pair.client, pair.server):
            one.link.write([bytes(1000)])
            getattr(one.link, end)()
        await pair.both_lost()
        for _ in range(20):
            await asyncio.sleep(0)
        pair.client.link.abort()
        pair.server.link.close()
        for _ in range(20):
            await asyncio.sleep(0)
        assert (len(pair.client.lost), len(pair.server.lost)) == (1, 1)


async def test_after_the_loss_every_verb_does_nothing(open_pair) -> None:
    async with open_pair() as pair:
        pair.client.link.close()
        await pair.both_lost()
        for one in (pair.client, pair.server):
            for _ in range(10):
                one.link.write([b"too late", bytes(300_000)])
            one.link.pause_reading()
            one.link.resume_reading()
            one.link.close()
            one.link.abort()
            assert one.paused == 0
            assert "lost" in repr(one.link)


async def test_a_write_after_close_is_not_sent(open_pair) -> None:
    async with open_pair() as pair:
        pair.client.link.write([b"before"])
        pair.client.link.close()
        pair.client.link.write([b"after"])
        await pair.both_lost()
        assert pair.server.received == b"before"


async def test_a_receiver_may_answer_from_inside_every_call(open_pair) -> None:
    async with open_pair() as pair:
        pair.server.on_data = lambda: pair.server.link.write([b"pong"])
        pair.client.on_data = pair.client.link.close
        pair.client.link.write([b"ping"])
        assert await pair.both_lost() == (None, None)
        assert pair.client.received == b"pong"


async def test_a_receiver_may_abort_while_it_is_fed(open_pair) -> None:
    async with open_pair(buffer_bytes=10) as pair:
        pair.server.on_data = pair.server.link.abort
        pair.client.link.write([bytes(1000)])
        assert isinstance(await pair.server.until_lost(), ConnectionAbortedError)
        await pair.client.until_lost()
        assert pair.server.received_bytes == 10


async def test_a_closed_listener_takes_no_new_links_and_leaves_those_that_are_up(open_pair, scheme, tmp_path) -> None:
    async with open_pair() as pair:
        await pair.listener.aclose()
        await pair.listener.aclose()
        with pytest.raises(Unavailable):
            await transports.dial(pair.listener.url, Recorder(), tls=tls_for(scheme, tmp_path))
        for writer, reader in pair.both_ways():
            writer.link.write([b"still up"])
            await reader.until_received(8)


async def test_a_listener_makes_one_receiver_for_each_link(open_pair, scheme, tmp_path) -> None:
    async with open_pair() as first:
        await first.listener.aclose()
        made = [Recorder() for _ in range(5)]
        waiting = iter(made)
        listener = await transports.listen(url_for(scheme, tmp_path), lambda: next(waiting), tls=tls_for(scheme, tmp_path))
        clients = [Recorder() for _ in range(5)]
        for number, (client, server) in enumerate(zip(clients, made, strict=True)):
            await transports.dial(listener.url, client, tls=tls_for(scheme, tmp_path))
            client.link.write([bytes([number])])
            await server.until_received(1)
            assert server.received == bytes([number])
        assert next(waiting, None) is None
        for one in clients + made:
            one.link.close()
            await one.until_lost()
        await listener.aclose()


async def test_the_address_of_a_live_listener_is_taken(open_pair, scheme, tmp_path) -> None:
    async with open_pair() as pair:
        with pytest.raises(Unavailable, match=r"taken|live server") as caught:
            await transports.listen(pair.listener.url, Recorder, tls=tls_for(scheme, tmp_path))
        assert caught.value.cause is Cause.ADDRESS_TAKEN


async def test_a_link_says_where_the_other_side_is(open_pair, scheme) -> None:
    async with open_pair() as pair:
        for one in (pair.client, pair.server):
            assert one.link.remote.startswith(f"{scheme}://")
            assert one.link.remote in repr(one.link)
            assert "up" in repr(one.link)


async def test_a_dial_where_nothing_listens_is_unavailable_and_never_started(open_pair, scheme, tmp_path) -> None:
    async with open_pair() as pair:
        await pair.listener.aclose()
        with pytest.raises(Unavailable, match="nothing listens") as caught:
            await transports.dial(pair.listener.url, Recorder(), tls=tls_for(scheme, tmp_path))
        assert caught.value.cause is Cause.NOTHING_LISTENS
        assert caught.value.started is False


@pytest.mark.parametrize("turns", [*range(12), 20, 40, 80])
async def test_a_dial_that_is_cancelled_at_any_moment_ends_at_once_at_both_sides(scheme, tmp_path, turns) -> None:
    """FAULTS B5"""
    if scheme == "sim":
        pytest.skip("a simulated dial has one moment")
    servers: list[Recorder] = []

    def receiver() -> Recorder:
        servers.append(Recorder())
        return servers[-1]

    client, tls = Recorder(), tls_for(scheme, tmp_path)
    listener = await transports.listen(url_for(scheme, tmp_path), receiver, tls=tls)
    dialling = asyncio.ensure_future(transports.dial(listener.url, client, tls=tls))
    for _ in range(turns):
        await asyncio.sleep(0)
    dialling.cancel()
    [outcome] = await asyncio.gather(dialling, return_exceptions=True)
    if not isinstance(outcome, asyncio.CancelledError):  # it was connected before
        outcome.close()
        await client.until_lost()
    assert len(client.lost) == client.made
    client.link = None
    for server in servers:
        await server.until_lost()
    await listener.aclose()
