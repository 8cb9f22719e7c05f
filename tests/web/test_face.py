"""The web face of a server: sessions by WebSocket, pages of other sites, mounted applications, and connections that hoard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from websockets.asyncio.client import connect as foreign_client
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

import penstock
from penstock.errors import InvalidArgument, Unavailable
from penstock.web import WebApp
from tests.web.kit import Wire, served

URL = "http://127.0.0.1:0"
OURS = [Subprotocol("penstock.1")]


class Numbers:
    def __init__(self) -> None:
        self.produced = 0
        self.left = asyncio.Event()

    async def double(self, number: int) -> int:
        return 2 * number

    async def count(self, size: int = 0) -> AsyncIterator[str]:
        try:
            while True:
                self.produced += 1
                yield f"{self.produced}" + "x" * size
        finally:
            self.left.set()


@asynccontextmanager
async def faced(**options: object) -> AsyncIterator[tuple[Numbers, str]]:
    service = Numbers()
    async with penstock.serve(service, listen=URL, **options) as server:
        yield service, server.urls[0]


def web(url: str) -> str:
    return url.replace("http://", "ws://")


# ── sessions by WebSocket ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_runs_over_the_websocket_of_the_same_address_at_any_path() -> None:
    async with faced() as (service, url), penstock.connect(f"{web(url)}/any/path") as peer:
        numbers = peer.service(Numbers)
        assert await numbers.double(4) == 8
        stream = penstock.options(numbers, buffer_size=5).count()
        assert [await stream.receive() for _ in range(3)] == ["1", "2", "3"]
        for _ in range(20):
            await numbers.double(1)
        assert service.produced == 8
        await stream.aclose()
        await asyncio.wait_for(service.left.wait(), 5)


async def test_large_items_travel_in_messages_of_a_bounded_size_both_ways() -> None:
    class Store:
        async def back(self, blobs: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for blob in blobs:
                yield blob

    async def blobs() -> AsyncIterator[bytes]:
        for number in range(5):
            yield bytes([number]) * 1_000_000

    async with penstock.serve(Store(), listen=URL) as server, penstock.connect(web(server.urls[0])) as peer:
        assert [blob[:1] for blob in [blob async for blob in peer.service(Store).back(blobs())]] == [
            b"\0",
            b"\1",
            b"\2",
            b"\3",
            b"\4",
        ]


async def test_a_session_goes_on_over_the_next_websocket() -> None:
    async with faced() as (_, url), penstock.connect(web(url), reconnect=penstock.Reconnect(first_s=0.001)) as peer:
        stream = penstock.options(peer.service(Numbers), buffer_size=5).count()
        got = []
        for _ in range(5):
            got += [int(await stream.receive()) for _ in range(10)]
            peer._sessions.now.link.abort()
        assert got == list(range(1, 51))
        await stream.aclose()


async def test_a_text_message_ends_the_websocket_and_one_without_the_subprotocol_is_refused() -> None:
    async with faced() as (_, url):
        client = await foreign_client(web(url), subprotocols=OURS)
        await client.send("text")
        await client.wait_closed()
        assert client.close_code == 1003
        with pytest.raises(InvalidStatus) as refused:
            await foreign_client(web(url))
        assert refused.value.response.status_code == 403


async def test_a_websocket_whose_client_does_not_read_holds_a_bounded_number_of_bytes() -> None:
    async with faced() as (service, url), penstock.connect(web(url)) as peer:
        stream = penstock.options(peer.service(Numbers), buffer_bytes=64 * 1024 * 1024, buffer_size=60_000).count(10_000)
        await stream.receive()
        peer._sessions.now.link.pause_reading()
        seen = 0
        while service.produced != seen:
            seen = service.produced
            await asyncio.sleep(0.05)
        assert seen * 10_000 < 16 * 1024 * 1024
        peer._sessions.now.link.resume_reading()
        await stream.aclose()


async def test_http_urls_are_dialled_by_the_name_of_their_websocket() -> None:
    async with faced() as (_, url):
        with pytest.raises(InvalidArgument, match="is dialled as ws://"):
            async with penstock.connect(url):
                pass


async def test_https_needs_a_certificate_and_serves_both(tmp_path) -> None:
    tls = penstock.TLS.development(tmp_path)
    with pytest.raises(InvalidArgument, match="needs tls="):
        async with penstock.serve(Numbers(), listen="https://127.0.0.1:0"):
            pass
    async with penstock.serve(Numbers(), listen="https://127.0.0.1:0", tls=tls) as server:
        url = server.urls[0]
        async with httpx.AsyncClient(base_url=url, verify=False) as client:
            assert (await client.post("/call/Numbers/double", json=4)).json() == 8
        async with penstock.connect(url.replace("https", "wss"), tls=tls) as peer:
            assert await peer.service(Numbers).double(5) == 10


async def test_an_address_that_is_taken_is_said_as_everywhere() -> None:
    async with faced() as (_, url):
        with pytest.raises(Unavailable, match="the port is taken"):
            async with penstock.serve(Numbers(), listen=url):
                pass


# ── pages of other sites ──────────────────────────────────────────────────────────────────────────────────────────────

FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"host": "evil.example"},  # a name of its own that leads to this machine
    {"host": "evil.example", "origin": "http://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_page_of_another_site_gets_nothing_and_runs_nothing(headers) -> None:
    async with faced() as (service, url), httpx.AsyncClient(base_url=url) as client:
        for path in ("/call/Numbers/count", "/openapi.json", "/healthz", "/v1/stream/x", "/nowhere"):
            answered = await client.get(path, headers=headers)
            assert answered.status_code == 403
            assert "access-control-allow-origin" not in answered.headers
        assert service.produced == 0
        if "sec-fetch-site" not in headers and "host" not in headers:
            with pytest.raises(InvalidStatus) as caught:
                await foreign_client(web(url), subprotocols=OURS, additional_headers=headers)
            assert caught.value.response.status_code == 403


async def test_pages_of_the_server_itself_and_of_listed_origins_may_use_it() -> None:
    settings = penstock.Settings(origins=("https://app.example",))
    async with faced(settings=settings) as (_, url), httpx.AsyncClient(base_url=url) as client:
        own = await client.post("/call/Numbers/double", json=1, headers={"origin": url, "sec-fetch-site": "same-origin"})
        assert (own.json(), "access-control-allow-origin" in own.headers) == (2, False)
        listed = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
        answered = await client.post("/call/Numbers/double", json=1, headers=listed)
        assert answered.headers["access-control-allow-origin"] == "https://app.example"
        assert answered.headers["vary"] == "origin"
        asked = await client.options("/call/Numbers/double", headers={**listed, "access-control-request-method": "POST"})
        assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, "GET, POST")
        async with foreign_client(web(url), subprotocols=OURS, origin="https://app.example") as socket:
            assert socket.subprotocol == "penstock.1"


async def test_names_of_this_machine_are_its_own() -> None:
    async with faced() as (_, url), httpx.AsyncClient(base_url=url) as client:
        port = url.rpartition(":")[2]
        for host in ("localhost", f"app.localhost:{port}", f"127.0.0.1:{port}", "[::1]:1"):
            assert (await client.get("/healthz", headers={"host": host})).status_code == 200


# ── connections that hoard ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: localh"], ids=["silent", "half a head"])
async def test_a_connection_whose_first_request_does_not_come_is_dropped(begun) -> None:
    async with faced(settings=penstock.Settings(handshake_timeout_s=0.05)) as (_, url):
        wire = await Wire.to(url)
        wire.writer.write(begun)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(wire.reader.read(100), 5) == b""
        await wire.leave()
        async with httpx.AsyncClient(base_url=url) as client:
            await client.get("/healthz")
            await asyncio.sleep(0.1)
            assert (await client.get("/healthz")).status_code == 200


async def test_bytes_that_are_not_http_are_answered_with_400() -> None:
    async with faced() as (_, url):
        for wrong in (b"\x16\x03\x01" + bytes(100), b"\0" * 100 + b"\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            wire = await Wire.to(url)
            wire.writer.write(wrong + b"\r\n\r\n")
            assert b"400" in await wire.reader.read(100)
            await wire.leave()


async def test_a_penstock_client_that_dials_it_by_tcp_is_told() -> None:
    async with faced() as (_, url):
        with pytest.raises(Unavailable):
            async with penstock.connect(url.replace("http://", "tcp://"), timeout=5):
                pass


# ── as an application of ASGI ─────────────────────────────────────────────────────────────────────────────────────────


def numbers_of(request: Request) -> Numbers:
    return request.app.state.numbers


def app_with(flow: WebApp, service: Numbers) -> FastAPI:
    """An application as the page shows it: `flow` mounted, and the same services for its own routes by `Depends`."""
    app = FastAPI(lifespan=flow.lifespan)
    app.state.numbers = service

    @app.get("/own")
    async def own(numbers: Annotated[Numbers, Depends(numbers_of)]) -> int:
        return await numbers.double(21)

    app.mount("/flow", flow)
    return app


async def test_services_are_mounted_in_an_application_of_fastapi() -> None:
    service = Numbers()
    flow = penstock.asgi(service)
    app = app_with(flow, service)
    async with app.router.lifespan_context(app), served(app) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/own")).json() == 42
        assert (await client.post("/flow/call/Numbers/double", json=4)).json() == 8
        document = (await client.get("/flow/openapi.json")).json()
        assert document["servers"] == [{"url": f"{url}/flow"}]
        assert (await client.get("/flow/nowhere")).status_code == 404
        async with penstock.connect(f"{web(url)}/flow/") as peer:
            assert await peer.service(Numbers).double(5) == 10


async def test_it_lives_by_the_lifespan_protocol_of_a_server() -> None:
    flow = penstock.asgi(Numbers())
    told: asyncio.Queue[dict] = asyncio.Queue()
    sent: asyncio.Queue[dict] = asyncio.Queue()
    living = asyncio.create_task(flow({"type": "lifespan"}, told.get, sent.put))
    told.put_nowait({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    async with served(flow) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/call/Numbers/double", json=4)).json() == 8
    told.put_nowait({"type": "lifespan.shutdown"})
    assert (await sent.get())["type"] == "lifespan.shutdown.complete"
    await living


async def test_a_service_that_cannot_be_served_fails_the_start() -> None:
    class Wrong:
        async def method(self, argument: asyncio.Event) -> None: ...

    flow = penstock.asgi(Wrong())
    told: asyncio.Queue[dict] = asyncio.Queue()
    sent: asyncio.Queue[dict] = asyncio.Queue()
    told.put_nowait({"type": "lifespan.startup"})
    with pytest.raises(TypeError):
        await flow({"type": "lifespan"}, told.get, sent.put)
    assert (await sent.get())["type"] == "lifespan.startup.failed"


async def test_actors_and_a_node_are_served_too() -> None:
    class Counter(penstock.Actor):
        value = 0

        async def add(self, n: int) -> int:
            self.value += n
            return self.value

    async with penstock.Node(listen=URL, name="web") as node:
        await node.spawn(Counter, name="counter")
        async with httpx.AsyncClient(base_url=node.urls[0]) as client:
            assert (await client.post("/ask/counter/add", json={"n": 5})).json() == 5
    async with penstock.ActorSystem() as system, penstock.asgi(system) as flow:
        await system.spawn(Counter, name="counter")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(flow), base_url="http://test") as client:
            assert (await client.post("/ask/counter/add", json=2)).json() == 2


async def test_the_subscriptions_of_an_earlier_run_go_on_when_the_application_begins(tmp_path, monkeypatch) -> None:
    begun = []
    monkeypatch.setattr("penstock.web.durable_streams.DurableStreams.start", lambda streams: told(begun, streams))
    streams = penstock.web.StreamsOverHttp(durable=tmp_path / "streams.db")
    async with penstock.asgi(Numbers(), streams=streams):
        assert [one.settings.durable for one in begun] == [tmp_path / "streams.db"]


async def told(begun: list, streams: object) -> None:
    begun.append(streams)
