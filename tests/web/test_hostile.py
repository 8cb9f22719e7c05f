"""Clients that break the rules of HTTP, come to no end, or leave at a bad moment; and a lost peer within the process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import pytest

import penstock
from penstock._per_loop import of_loop
from penstock.errors import FailedPrecondition
from penstock.web import _http
from tests.web.kit import Wire, served

URL = "http://127.0.0.1:0"
JSON = {"content-type": "application/json"}
SHORT = penstock.Settings(handshake_timeout_s=0.1)
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "penstock.1",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Numbers:
    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def double(self, number: int) -> int:
        return 2 * number

    async def count(self) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            self.left.set()

    async def both(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            self.left.set()

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])


# ── heads and bodies without an end ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"], ids=["first", "second"])
async def test_a_head_that_has_no_end_is_refused_at_its_bound(first) -> None:
    async with penstock.serve(Numbers(), listen=URL) as server:
        wire = await Wire.to(server.urls[0])
        wire.writer.write(first)
        if first:
            await wire.until(b'"up"}')
        wire.writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: " + b"a" * 80_000)
        with contextlib.suppress(ConnectionResetError):  # a part of the head that was not read resets the connection
            assert b"400 Bad Request" in await asyncio.wait_for(wire.reader.read(-1), 5)
        await wire.leave()


async def test_a_second_head_that_does_not_come_to_its_end_is_dropped_and_a_long_body_is_not() -> None:
    async with penstock.serve(Numbers(), listen=URL, settings=SHORT) as server:
        slow, wire = await Wire.to(server.urls[0]), await Wire.to(server.urls[0])
        slow.send("POST", "/call/Numbers/total", transfer_encoding="chunked", host="localhost")
        wire.send("GET", "/healthz", host="localhost")
        await wire.until(b'"up"}')
        wire.writer.write(b"GET /heal")
        assert await asyncio.wait_for(wire.reader.read(100), 5) == b""
        slow.writer.write(b"2\r\n1\n\r\n0\r\n\r\n")
        assert (await slow.until(b"\r\n\r\n1")).endswith(b"1")
        await asyncio.gather(slow.leave(), wire.leave())


async def test_a_whole_body_that_comes_too_slowly_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(_http, "BODY_S", 0.05)
    async with penstock.serve(Numbers(), listen=URL) as server:
        wire = await Wire.to(server.urls[0])
        wire.send("POST", "/call/Numbers/double", host="localhost", content_length="9", **JSON)
        wire.writer.write(b"1")
        assert b"408 Request Timeout" in await asyncio.wait_for(wire.reader.read(-1), 5)
        await wire.leave()


async def test_large_bodies_hold_a_bounded_number_of_bytes_together_and_small_ones_always_pass(monkeypatch) -> None:
    monkeypatch.setattr(_http, "BODIES_BYTES_MAX", 300_000)
    large = b" " * 200_000 + b"4"
    async with penstock.serve(Numbers(), listen=URL) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
        wire = await Wire.to(server.urls[0])
        wire.send("POST", "/call/Numbers/double", content_length=str(len(large)), host="localhost", **JSON)
        wire.writer.write(large[:-1])
        bodies = of_loop("_penstock_bodies", _http._Bodies)
        while bodies.held_bytes < len(large) - 1:  # noqa: ASYNC110 - a count, which no event tells
            await asyncio.sleep(0.01)

        async def refused() -> bool:
            answered = await client.post("/call/Numbers/double", content=large, headers=JSON)
            assert answered.status_code in {200, 503}
            return answered.status_code == 503

        while not await refused():
            pass
        assert (await client.post("/call/Numbers/double", json=4)).json() == 8
        await wire.leave()
        while await refused():
            pass


async def test_a_long_line_that_comes_in_small_parts_is_copied_once() -> None:
    part, parts = b" " * 64, 20_000

    async def receive() -> dict[str, object]:
        nonlocal parts
        parts -= 1
        if parts < 0:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": parts > 0}

    sent: list[dict] = []

    async def send(event: dict) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/call/Numbers/total", "headers": [], "query_string": b""}
    async with penstock.asgi(Numbers()) as flow:
        begun = time.process_time()
        await flow(scope, receive, send)
    assert b"".join(event.get("body", b"") for event in sent) == b"0"
    assert time.process_time() - begun < 1.5  # copied for each part, it was 12 GB


# ── clients that leave ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at", ["a listener", "an ASGI server"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "count", b"content-length: 10\r\n\r\n12345"),
        ("POST", "both", b"transfer-encoding: chunked\r\n\r\n" + (b"320\r\n" + b"1\n" * 400 + b"\r\n") * 2000),
    ],
    ids=["a body where none belongs", "more than the handler takes"],
)
async def test_the_leaving_of_a_client_is_seen_also_behind_a_body_that_is_not_read(at, method, path, body) -> None:
    service = Numbers()
    flow = penstock.asgi(service)
    async with penstock.serve(service, listen=URL) as server, flow, served(flow) as mounted:
        wire = await Wire.to(server.urls[0] if at == "a listener" else mounted)
        wire.writer.write(f"{method} /call/Numbers/{path} HTTP/1.1\r\nhost: localhost\r\n".encode() + body)
        await wire.until(b"1\n1\n")
        wire.writer.transport.abort()
        await asyncio.wait_for(service.left.wait(), 5)


# ── WebSockets ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_websocket_that_sends_pings_and_reads_nothing_makes_nothing_grow(monkeypatch) -> None:
    async with penstock.serve(Numbers(), listen=URL) as server:
        wire = await Wire.to(server.urls[0])
        wire.send("GET", "/", **{**UPGRADE, "host": "localhost"})
        await wire.until(b"\r\n\r\n")
        (connection,) = server._listeners[0]._state.connections
        most = 0
        for _ in range(200):
            wire.writer.write((b"\x89\xfd\0\0\0\0" + b"p" * 125) * 400)
            await wire.writer.drain()
            most = max(most, connection.transport.get_write_buffer_size())
        assert 0 < most < 512 * 1024
        wire.writer.transport.abort()


async def test_empty_parts_of_a_message_are_not_kept() -> None:
    async with penstock.serve(Numbers(), listen=URL) as server:
        wire = await Wire.to(server.urls[0])
        wire.send("GET", "/", **{**UPGRADE, "host": "localhost"})
        await wire.until(b"\r\n\r\n")
        (connection,) = server._listeners[0]._state.connections
        wire.writer.write(b"\x02\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 5000 + b"\x89\x80\0\0\0\0")
        await wire.until(b"\x8a\0")  # all of it has been read
        assert len(connection.frames) == 1
        wire.writer.transport.abort()


# ── small answers, names, and time limits ─────────────────────────────────────────────────────────────────────────────


async def test_an_answer_leaves_at_once_also_on_a_connection_that_was_used_before() -> None:
    """The head and the body are two writes: without TCP_NODELAY the second waited for an acknowledgement, 40 ms."""
    async with penstock.serve(Numbers(), listen=URL) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
        times = []
        for _ in range(20):
            begun = time.monotonic()
            await client.post("/call/Numbers/double", json=4)
            times.append(time.monotonic() - begun)
        assert min(times[10:]) < 0.03


@pytest.mark.parametrize("host", ["[::1", "]", "[", "[v1.x]"])
async def test_a_host_that_is_no_name_is_a_foreign_one(host) -> None:
    async with penstock.serve(Numbers(), listen=URL) as server:
        wire = await Wire.to(server.urls[0])
        wire.send("GET", "/healthz", host=host)
        await wire.until(b" 403 ")
        await wire.leave()


async def test_a_server_behind_a_proxy_on_this_machine_has_the_names_of_its_listed_origins() -> None:
    """As nginx passes them on, with TLS ended there: the scheme of the page is not that of the request."""
    own = {"host": "app.example", "origin": "https://app.example"}
    listed = penstock.Settings(origins=("https://app.example",))
    async with penstock.serve(Numbers(), listen=URL, settings=listed) as server:
        url = server.urls[0]
        async with httpx.AsyncClient(base_url=url) as client:
            answers = [
                await client.get("/healthz", headers=headers) for headers in (own, {"host": "app.example"}, {"host": "evil"})
            ]
    assert [answered.status_code for answered in answers] == [200, 200, 403]


async def test_a_page_whose_tls_a_proxy_has_ended_is_one_of_the_server_itself() -> None:
    own = {"host": "app.example", "origin": "https://app.example"}
    flow = penstock.asgi(Numbers())
    transport = httpx.ASGITransport(flow)  # it says that it is not at the loopback address
    async with flow, httpx.AsyncClient(transport=transport, base_url="http://10.0.0.9") as client:
        assert (await client.get("/healthz", headers=own)).status_code == 200
        assert (await client.get("/healthz", headers={**own, "origin": "https://evil.example"})).status_code == 403


@pytest.mark.parametrize(("wait", "status"), [("nan", 400), ("soon", 400), ("", 400), ("inf", 200), ("5; strict", 200)])
async def test_a_time_limit_is_a_number(wait, status) -> None:
    async with penstock.asgi(Numbers()) as flow, served(flow) as url, httpx.AsyncClient(base_url=url) as client:
        answered = await client.post("/call/Numbers/double", json=4, headers={"prefer": f"wait={wait}"})
        assert answered.status_code == status


# ── the peer within the process, and the event loop ───────────────────────────────────────────────────────────────────


async def test_the_connection_within_the_process_is_made_anew_when_it_was_given_up() -> None:
    async with penstock.serve(Numbers(), listen=URL) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
        for _ in range(3):
            assert (await client.post("/call/Numbers/double", json=4)).json() == 8
            (inner,) = server.peers
            inner._scope.session.link.abort()
            await inner._scope.wait_idle()
            async with asyncio.timeout(5):
                while server.peers:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0)
        assert (await client.get("/readyz")).status_code == 200


def test_an_application_begins_again_in_another_event_loop_as_a_test_client_has_one_for_each_request() -> None:
    flow = penstock.asgi(Numbers())

    async def used() -> object:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(flow), base_url="http://test") as client:
            return (await client.post("/call/Numbers/double", json=4)).json()

    async def lived() -> object:
        async with flow:
            return await used()

    assert [asyncio.run(one()) for one in (used, used, lived, lived)] == [8, 8, 8, 8]


async def test_an_application_is_not_shared_by_two_event_loops() -> None:
    async with penstock.asgi(Numbers()) as flow:
        with pytest.raises(FailedPrecondition, match="one event loop"):
            await asyncio.to_thread(asyncio.run, flow({"type": "http"}, None, None))


async def test_a_path_may_end_with_a_slash_as_litestar_hands_it_over() -> None:
    async with penstock.asgi(Numbers()) as flow, served(flow) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/call/Numbers/double/", json=4)).json() == 8
        assert (await client.get("/healthz/")).status_code == 200
