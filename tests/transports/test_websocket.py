"""What WebSocket adds to the contract of a link: handshakes, pages of other origins, and bytes that break its rules."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets
from websockets.asyncio.client import connect as foreign_client
from websockets.asyncio.server import serve as foreign_server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

import penstock
from penstock import transports
from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.transports.websocket._ends import SUBPROTOCOL
from penstock.transports.websocket._link import MESSAGE_BYTES_MAX
from tests.transports.kit import Recorder, linked

URL = "ws://127.0.0.1:0"
OURS = [Subprotocol(SUBPROTOCOL)]
MASK = b"\x01\x02\x03\x04"
MIB = 1024 * 1024


def frame(opcode: int, data: bytes = b"", *, first: int = 0x80, masked: bool = True) -> bytes:
    """A frame as RFC 6455, §5.2 has it; `first` are the bits beside the opcode: FIN, RSV1 to RSV3."""
    size = len(data)
    mask_bit = 0x80 if masked else 0
    head = bytes([first | opcode])
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65_536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + data
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data))


REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: penstock.1\r\n\r\n"
)


@asynccontextmanager
async def listening(url: str = URL, **options: object) -> AsyncIterator[tuple[str, Recorder]]:
    server = Recorder()
    listener = await transports.listen(url, lambda: server, **options)
    try:
        yield listener.url, server
    finally:
        await listener.aclose()
        if server.made:
            server.link.abort()
            await server.until_lost()


@asynccontextmanager
async def raw(url: str, request: str = REQUEST) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has sent `request`."""
    host, port = url.removeprefix("ws://").partition("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request.format(path="/").encode())
        yield reader, writer
    finally:
        writer.close()


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


# ── with a peer that is not ours ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_of_another_library_sends_in_pieces_of_its_own_and_gets_binary_messages() -> None:
    sent = [b"one", b"two", os.urandom(100_000)]
    async with listening() as (url, server), foreign_client(url, subprotocols=OURS, max_size=None) as client:
        await client.send(sent[0])
        await client.send(iter([sent[1], sent[2]]))  # one message, in several frames
        await server.until_received(100_006)
        assert server.received == b"".join(sent)
        server.link.write([b"back", bytes(300_000)])
        got = b""
        while len(got) < 300_004:
            message = await client.recv(decode=False)
            assert len(message) <= MESSAGE_BYTES_MAX
            got += message
        assert got == b"back" + bytes(300_000)
        await client.close()
        assert await server.until_lost() is None


async def test_a_server_of_another_library_is_dialled_at_its_path_with_the_port_of_the_scheme_left_in() -> None:
    paths = []

    async def echo(connection) -> None:
        paths.append(connection.request.path)
        async for message in connection:
            await connection.send(message)

    async with foreign_server(echo, "127.0.0.1", 0, subprotocols=OURS) as server:
        port = server.sockets[0].getsockname()[1]
        client = Recorder()
        await transports.dial(f"ws://127.0.0.1:{port}/deep/path?room=7", client)
        client.link.write([b"there and back"])
        await client.until_received(14)
        client.link.close()
        assert await client.until_lost() is None
    assert paths == ["/deep/path?room=7"]


async def test_a_ping_is_answered_and_a_close_code_that_is_no_good_order_is_an_error() -> None:
    async with listening() as (url, server):
        client = await foreign_client(url, subprotocols=OURS)
        await (await client.ping(b"are you there"))
        await client.close(1011, "out of\nmemory")
        error = await server.until_lost()
        assert isinstance(error, ConnectionResetError)
        assert str(error).endswith("1011 out of\\nmemory")


# ── which pages may connect ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_of_an_origin_that_is_not_listed_gets_nothing_and_the_log_says_which(caplog) -> None:
    async with listening(origins=["https://app.example"]) as (url, server):
        for origin in ("https://evil.example", "null", "https://app.example.evil", "http://app.example"):
            with pytest.raises(InvalidStatus) as caught:
                await foreign_client(url, subprotocols=OURS, origin=origin)
            assert caught.value.response.status_code == 403
        assert not server.made
        assert "refused a web page of https://evil.example" in caplog.text
        assert "origins=['https://evil.example']" in caplog.text
        client = await foreign_client(url, subprotocols=OURS, origin="https://app.example")
        await server.until(lambda: server.made, "link_made")
        await client.close()


async def test_no_page_may_connect_by_default_and_each_one_may_with_a_star() -> None:
    async with listening() as (url, _):
        with pytest.raises(InvalidStatus):
            await foreign_client(url, subprotocols=OURS, origin="http://127.0.0.1")
    async with listening(origins=["*"]) as (url, server):
        client = await foreign_client(url, subprotocols=OURS, origin="https://any.example")
        await server.until(lambda: server.made, "link_made")
        await client.close()


async def test_the_settings_of_a_server_list_its_origins() -> None:
    settings = penstock.Settings(origins=("https://app.example",))
    async with penstock.serve(listen=URL, settings=settings) as server:
        with pytest.raises(InvalidStatus):
            await foreign_client(server.urls[0], subprotocols=OURS, origin="https://evil.example")
        async with foreign_client(server.urls[0], subprotocols=OURS, origin="https://app.example") as client:
            assert client.subprotocol == SUBPROTOCOL


# ── handshakes that fail ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("Sec-WebSocket-Protocol: penstock.1\r\n", ""), b"400"),
        (("penstock.1", "chat"), b"400"),
        (("Upgrade: websocket\r\nConnection: Upgrade\r\n", ""), b"426"),
        (("GET", "POST"), b"405"),
        (("Version: 13", "Version: 8"), b"426"),
        (("dGhlIHNhbXBsZSBub25jZQ==", "short"), b"400"),
        (("{path}", "/" + "a" * 9000), b"414"),
        (("Host: 127.0.0.1\r\n", "Host: a\r\n" + "X: y\r\n" * 200), b"431"),
    ],
    ids=["no subprotocol", "another subprotocol", "plain HTTP", "POST", "old version", "bad key", "long path", "many headers"],
)
async def test_a_request_that_is_not_ours_is_answered_and_the_connection_ends(change, status) -> None:
    async with listening() as (url, server), raw(url, REQUEST.replace(*change)) as (reader, _):
        answered = await reader.read()
        assert answered.split(b" ", 2)[1] in (status, b"400")
        assert not server.made


@pytest.mark.parametrize("bytes_", [b"\x16\x03\x01" + bytes(200), b"SSH-2.0-OpenSSH\r\n", b"\0\0\0\x10" + bytes(40) + b"\n"])
async def test_bytes_of_another_protocol_end_the_connection(bytes_) -> None:
    async with listening() as (url, server), raw(url, "") as (reader, writer):
        writer.write(bytes_ + b"\r\n\r\n")
        await reader.read()
        assert not server.made


async def test_a_client_that_says_nothing_is_dropped_after_the_time_for_handshakes() -> None:
    async with listening(timeout_s=0.05) as (url, server), raw(url, "") as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert not server.made


async def test_a_listener_that_closes_drops_the_connections_without_a_handshake() -> None:
    listener = await transports.listen(URL, Recorder)
    async with raw(listener.url, "GET / HTTP/1.1\r\n") as (reader, _):
        for _ in range(20):
            await asyncio.sleep(0)
        await listener.aclose()
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_listener_with_a_path_answers_at_no_other() -> None:
    async with listening(f"{URL}/flow") as (url, server):
        assert url.endswith("/flow")
        with pytest.raises(Unavailable, match=r"answered 404 Not Found\. This server answers at /flow"):
            await transports.dial(url.replace("/flow", "/other"), Recorder())
        client = Recorder()
        await transports.dial(url, client)
        await server.until(lambda: server.made, "link_made")
        client.link.close()
        await client.until_lost()


async def test_a_dial_says_what_the_server_answered_instead() -> None:
    async def forbid(connection, request):
        return connection.respond(403, "members only\n")

    async with foreign_server(lambda _: None, "127.0.0.1", 0, process_request=forbid, subprotocols=OURS) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"answered 403 Forbidden\. members only") as caught:
            await transports.dial(f"ws://127.0.0.1:{port}", Recorder())
        assert (caught.value.cause, caught.value.started) == (Cause.UNREACHABLE, False)


async def test_a_websocket_of_another_kind_is_left() -> None:
    async with foreign_server(lambda connection: connection.wait_closed(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"does not speak penstock\.1; check the path"):
            await transports.dial(f"ws://127.0.0.1:{port}", Recorder())


async def test_a_websocket_is_dialled_where_tcp_listens_and_the_reverse() -> None:
    async with penstock.serve(listen=["tcp://127.0.0.1:0", URL]) as server:
        tcp, web = server.urls
        with pytest.raises(Unavailable, match="without WebSocket, dial it as tcp://"):
            await transports.dial(tcp.replace("tcp://", "ws://"), Recorder())
        with pytest.raises(Unavailable):
            async with penstock.connect(web.replace("ws://", "tcp://"), timeout=0.2):  # neither side says a word
                pass


async def test_a_server_that_never_answers_is_a_time_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="opened no WebSocket within") as caught:
            await transports.dial(f"ws://127.0.0.1:{port}", Recorder(), timeout_s=0.05)
        assert caught.value.cause is Cause.TIMED_OUT


@pytest.mark.parametrize(
    ("url", "message"),
    [("ws://me@host/", "has a user"), ("ws://host/#part", "has a fragment"), ("ws://", "names no host"), ("ws://h:x/", "read")],
)
async def test_a_url_that_cannot_be_dialled_is_refused(url, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        await transports.dial(url, Recorder())


@pytest.mark.parametrize(("url", "message"), [("ws://host/", "has no port"), ("ws://host:1/?a=1", "has a query")])
async def test_a_url_that_cannot_be_listened_at_is_refused(url, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        await transports.listen(url, Recorder)


# ── bytes that break the rules of WebSocket ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(2, b"x", masked=False), 1002),
        (frame(2, b"x", first=0xC0), 1002),
        (frame(2, b"x", first=0xA0), 1002),
        (frame(2, b"x", first=0x90), 1002),
        (frame(3, b"x"), 1002),
        (frame(9, b"x", first=0), 1002),
        (frame(9, bytes(126)), 1002),
        (frame(0, b"x"), 1002),
        (frame(2, b"x", first=0) + frame(2, b"y"), 1002),
        (frame(1, b"text"), 1003),
        (frame(8, b"\x03"), 1002),
        (b"\x82\xff" + struct.pack(">Q", MESSAGE_BYTES_MAX + 1), 1009),
        (b"\x82\xff" + struct.pack(">Q", 2**63), 1009),
    ],
    ids=[
        "not masked",
        "RSV1",
        "RSV2",
        "RSV3",
        "unknown opcode",
        "ping in pieces",
        "long ping",
        "a continuation of nothing",
        "a message inside another",
        "text",
        "half a close code",
        "a large part",
        "an endless part",
    ],
)
@pytest.mark.parametrize("step", [1, 1000], ids=["byte by byte", "whole"])
async def test_a_frame_that_breaks_the_rules_ends_the_connection_with_a_code(wrong, code, step) -> None:
    async with listening() as (url, server), raw(url) as (reader, writer):
        await answer_of(reader)
        writer.write(frame(2, b"good"))
        for start in range(0, len(wrong), step):
            writer.write(wrong[start : start + step])
            await writer.drain()
        closed = await reader.readexactly(4)
        assert closed[0] == 0x88
        assert int.from_bytes(closed[2:4]) == code
        error = await server.until_lost()
        assert isinstance(error, OSError)
        assert server.received in (b"good", b"goodx")  # the first part of a message is in order


async def test_a_part_of_the_largest_size_is_taken_and_messages_may_have_any_number_of_them() -> None:
    async with listening() as (url, server), raw(url) as (reader, writer):
        await answer_of(reader)
        part = bytes(MESSAGE_BYTES_MAX)
        writer.write(frame(2, part, first=0) + frame(0, part, first=0) + frame(9) + frame(0, part))
        await server.until_received(3 * MESSAGE_BYTES_MAX)
        assert (await reader.readexactly(2))[0] == 0x8A


async def test_a_client_that_sends_pings_and_does_not_read_makes_nothing_grow(monkeypatch) -> None:
    """Each ping would be answered, and the answers would wait in this process."""
    async with listening() as (url, server), raw(url) as (reader, writer):
        await answer_of(reader)
        server.link.write([bytes(8 * MIB)])  # what the client does not read
        await server.until(lambda: not server.writable, "pause_writing")
        below = server.link._messages._below._transport
        held = below.get_write_buffer_size()
        for _ in range(200):
            writer.write(frame(9, bytes(100)) * 100)
            await writer.drain()
        writer.write(frame(9, b"the last") + frame(2, b"x"))
        await server.until_received(1)
        assert below.get_write_buffer_size() <= held
        answers = b""
        while b"the last" not in answers:
            answers = answers[-100:] + await reader.read(65_536)


async def test_a_read_that_is_full_of_empty_messages_is_taken_in_turns() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with listening() as (url, server), raw(url) as (reader, writer):
        await answer_of(reader)
        counting = asyncio.create_task(count())
        writer.write(frame(2) * 10_000 + frame(2, b"x"))
        await server.until_received(1)
        counting.cancel()
    assert turns > 40


async def test_messages_that_are_small_share_a_buffer_of_the_session() -> None:
    async with listening() as (url, server), raw(url) as (reader, writer):
        await answer_of(reader)
        fed = []
        server.on_data = lambda: fed.append(server.received_bytes)
        writer.write(frame(2, b"ab") * 400)
        await server.until_received(800)
        assert len(fed) < 40


async def test_what_arrived_before_a_reset_is_handed_on_although_reading_was_paused() -> None:
    async with linked(URL) as pair:
        pair.server.on_data = pair.server.link.pause_reading
        pair.client.link.write([b"first"])
        await pair.server.until_received(5)
        pair.server.on_data = lambda: None
        pair.client.link.write([b"the last words"])
        pair.client.link.close()
        for _ in range(50):
            await asyncio.sleep(0)
        pair.server.link.resume_reading()
        await pair.server.until_lost()
        assert pair.server.received == b"firstthe last words"


async def test_a_connection_without_a_close_frame_has_not_ended_in_good_order() -> None:
    async with listening() as (url, server), raw(url) as (reader, writer):
        await answer_of(reader)
        writer.write_eof()
        error = await server.until_lost()
        assert isinstance(error, ConnectionResetError)
        assert "without a close frame" in str(error)


async def test_an_idle_connection_has_no_buffer_of_its_own() -> None:
    async with linked(URL) as one, linked(URL) as two:
        first, second = one.server.link._messages, two.server.link._messages
        assert first.get_buffer(-1) is second.get_buffer(-1)


async def test_the_package_below_logs_no_connections(caplog) -> None:
    caplog.set_level(logging.INFO)
    async with linked(URL):
        pass
    assert not caplog.records


async def test_without_the_package_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "websockets.client", None)
    with pytest.raises(penstock.FailedPrecondition, match=r"pip install 'penstock\[web\]'"):
        await transports.listen(URL, Recorder)
    with pytest.raises(penstock.FailedPrecondition, match=r"pip install 'penstock\[web\]'"):
        await transports.dial("ws://127.0.0.1:1", Recorder())


# ── sessions over it ──────────────────────────────────────────────────────────────────────────────────────────────────


class Numbers:
    async def count(self, up_to: int) -> AsyncIterator[int]:
        for number in range(up_to):
            yield number


async def test_a_session_goes_on_over_tcp_when_its_websocket_is_gone_and_back() -> None:
    """PROTOCOL 15.7: the token names the session, not the transport."""
    soon = penstock.Reconnect(first_s=0.001)
    async with (
        penstock.serve(Numbers(), listen=[URL, "tcp://127.0.0.1:0"]) as server,
        penstock.connect(*server.urls, reconnect=soon) as peer,
    ):
        stream = penstock.options(peer.service(Numbers), buffer_size=4).count(100)
        got = [await stream.receive() for _ in range(8)]
        assert peer.remote.startswith("ws://")
        await server._listeners[0].aclose()
        peer._sessions.now.link.abort()
        got += [number async for number in stream]
        assert peer.remote.startswith("tcp://")
        assert got == list(range(100))
        assert len(server.peers) == 1


def test_the_versions_that_the_extra_allows_have_the_parts_that_are_used() -> None:
    assert int(websockets.__version__.split(".")[0]) >= 13
    assert issubclass(ConnectionClosed, Exception)
