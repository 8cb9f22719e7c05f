"""Calls by HTTP, against a real listener of a real server: each kind, each outcome, and clients that leave or do not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

import penstock
from penstock.web import _calls
from tests.web.kit import Wire

URL = "http://127.0.0.1:0"
EVENTS = {"accept": "text/event-stream"}
PATIENCE_S = 10.0


class Quote(penstock.Struct):
    symbol: str
    price: float


class Market:
    """A market for tests."""

    def __init__(self) -> None:
        self.produced = 0
        self.left = asyncio.Event()
        self.begun = asyncio.Event()
        self.metadata: dict[str, str] = {}

    async def quote(self, symbol: str, day: int = 1) -> Quote:
        """Return a price."""
        self.metadata = dict(penstock.context().metadata)
        return Quote(symbol, float(day))

    @penstock.idempotent
    async def count(self) -> int:
        return 7

    async def nothing(self) -> None:
        pass

    async def photo(self, data: bytes) -> bytes:
        return data[::-1]

    async def watch(self, symbol: str, items: int = 3) -> AsyncIterator[Quote]:
        for number in range(items):
            yield Quote(symbol, float(number))

    async def fails_at(self, item: int) -> AsyncIterator[int]:
        for number in range(item):
            yield number
        raise penstock.NotFound("no more of them", {"last": item})

    async def endless(self, size: int) -> AsyncIterator[str]:
        try:
            while True:
                self.produced += 1
                self.begun.set()
                yield "x" * size
        finally:
            self.left.set()

    async def quiet(self) -> AsyncIterator[int]:
        try:
            self.begun.set()
            await asyncio.Event().wait()
            yield 1
        finally:
            self.left.set()

    async def slow(self) -> int:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.left.set()
        return 1

    async def total(self, numbers: AsyncIterator[int], start: int = 0) -> int:
        async for number in numbers:
            start += number
        return start

    async def double(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield 2 * number

    async def refuses(self) -> int:
        raise penstock.FailedPrecondition("on purpose", {"why": "test"})

    async def breaks(self) -> int:
        raise ZeroDivisionError("secret")


@asynccontextmanager
async def market(**options: object) -> AsyncIterator[tuple[Market, httpx.AsyncClient]]:
    service = Market()
    async with penstock.serve(service, listen=URL, **options) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
        yield service, client


async def soon(happens: asyncio.Event) -> None:
    await asyncio.wait_for(happens.wait(), PATIENCE_S)


# ── each kind ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "arguments", "result"),
    [
        ("quote", {"symbol": "A"}, {"symbol": "A", "price": 1.0}),
        ("quote", ["A", 2], {"symbol": "A", "price": 2.0}),
        ("count", {}, 7),
        ("nothing", {}, None),
        ("photo", {"data": "AQID"}, "AwIB"),
    ],
)
async def test_a_unary_method_takes_and_returns_json(target, arguments, result) -> None:
    async with market() as (_, client):
        answered = await client.post(f"/call/Market/{target}", json=arguments)
        assert (answered.status_code, answered.json()) == (200, result)
        assert answered.headers["content-type"] == "application/json"


async def test_a_stream_of_results_is_lines_of_json_or_events_by_the_accept_header() -> None:
    async with market() as (_, client):
        lines = await client.post("/call/Market/watch", json={"symbol": "A", "items": 600})
        assert lines.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line)["price"] for line in lines.text.splitlines()] == list(range(600))
        events = await client.post("/call/Market/watch", json=["A"], headers=EVENTS)
        assert events.headers["content-type"] == "text/event-stream"
        assert events.text.split("\n\n")[0] == 'data: {"symbol":"A","price":0.0}'
        assert events.text.endswith("event: end\ndata:\n\n")


async def test_a_get_calls_a_stream_or_an_idempotent_method_with_the_arguments_in_its_query() -> None:
    async with market() as (_, client):
        watched = await client.get("/call/Market/watch", params={"symbol": "12", "items": "2"})
        assert [json.loads(line) for line in watched.text.splitlines()] == [
            {"symbol": "12", "price": 0.0},
            {"symbol": "12", "price": 1.0},
        ]
        assert (await client.get("/call/Market/count")).json() == 7


async def test_a_stream_of_requests_is_a_body_of_lines() -> None:
    async with market() as (_, client):
        total = await client.post("/call/Market/total?start=100", content=b"1\n2\n\n3")
        assert total.json() == 106
        assert (await client.post("/call/Market/total")).json() == 0


async def test_requests_and_results_stream_at_the_same_time() -> None:
    async with market() as (_, client):
        wire = await Wire.to(str(client.base_url).rstrip("/"))
        wire.send("POST", "/call/Market/double", host="localhost", transfer_encoding="chunked")
        for number in (1, 20, 300):
            wire.writer.write(b"%x\r\n%d\n\r\n" % (len(str(number)) + 1, number))
            await wire.until(b"\r\n%d\n" % (2 * number))
        wire.writer.write(b"0\r\n\r\n")
        await wire.until(b"0\r\n\r\n")
        await wire.leave()


async def test_a_method_of_an_actor_is_called_by_its_name() -> None:
    class Counter(penstock.Actor):
        def __init__(self) -> None:
            self.value = 0

        async def add(self, n: int) -> int:
            self.value += n
            return self.value

    async with penstock.ActorSystem() as system:
        await system.spawn(Counter, name="counter")
        async with penstock.serve(system, listen=URL) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
            assert (await client.post("/ask/counter/add", json={"n": 5})).json() == 5
            assert (await client.post("/ask/counter/add", json=2)).json() == 7
            assert (await client.post("/ask/nobody/add", json=2)).status_code == 404
            assert (await client.post("/ask/counter/sub", json=2)).status_code == 404


async def test_some_headers_travel_as_metadata() -> None:
    async with market() as (service, client):
        await client.post("/call/Market/quote", json=["A"], headers={"Authorization": "Bearer t", "X-Room": "7", "Other": "no"})
        assert service.metadata == {"authorization": "Bearer t", "x-room": "7"}


# ── each outcome ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body", "status", "reason", "words"),
    [
        ("Market/refuses", b"", 400, "failed_precondition", "on purpose"),
        ("Market/breaks", b"", 500, "internal", "its log has the text"),
        ("Market/fails_at", b"[0]", 404, "not_found", "no more of them"),
        ("Market/nope", b"", 404, "unimplemented", "unknown method 'nope'"),
        ("Nope/nope", b"", 404, "unimplemented", "unknown service 'Nope'"),
        ("Market", b"", 400, "invalid_argument", "is a service"),
        ("Market/quote", b"", 400, "invalid_argument", "symbol"),
        ("Market/quote", b"{", 400, "invalid_argument", "not valid JSON"),
        ("Market/quote", b'{"symbol":1}', 400, "invalid_argument", "Expected `str`"),
        ("Market/quote", b'{"symbol":"A","more":1}', 400, "invalid_argument", "more"),
        ("Market/quote", b"\xff\xfe", 400, "invalid_argument", "not valid JSON"),
        ("Market/quote", b"[" * 5000, 400, "invalid_argument", "not valid JSON"),
        ("Market/total", b"1\nx\n", 400, "invalid_argument", "line 2 of the body is not valid JSON"),
        ("Market/total", b'1\n"two"\n', 400, "invalid_argument", "Expected `int`"),
        ("Market/total?begin=1", b"", 400, "invalid_argument", "not a parameter of Market/total: start"),
        ("Market/total?start=1&start=2", b"", 400, "invalid_argument", "twice"),
    ],
)
async def test_an_error_is_a_problem_with_the_code_and_the_text(path, body, status, reason, words) -> None:
    async with market() as (_, client):
        answered = await client.post(f"/call/{path}", content=body, headers={"content-type": "application/json"})
        problem = answered.json()
        assert (answered.status_code, problem["status"], problem["reason"]) == (status, status, reason)
        assert words in problem["detail"]
        assert answered.headers["content-type"] == "application/problem+json"
        assert "upstream" not in problem.get("details", {})
        assert "secret" not in answered.text
        assert (await client.post("/call/Market/count")).json() == 7


async def test_a_stream_that_fails_later_is_an_event_of_its_own_and_cuts_a_body_of_lines() -> None:
    async with market() as (_, client):
        events = (await client.post("/call/Market/fails_at", json=[2], headers=EVENTS)).text.split("\n\n")
        assert events[:2] == ["data: 0", "data: 1"]
        name, data = events[2].split("\n")
        assert name == "event: failed"
        assert json.loads(data.removeprefix("data:"))["details"] == {"last": 2}
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/call/Market/fails_at", json=[2])


async def test_a_body_that_is_too_large_is_refused_with_the_setting() -> None:
    async with market(settings=penstock.Settings(max_item_bytes=2000)) as (_, client):
        answered = await client.post("/call/Market/quote", json=["A" * 3000])
        assert answered.status_code == 413
        assert "max_item_bytes" in answered.text
        answered = await client.post("/call/Market/total", content=b"1\n" + b"1" * 3000)
        assert answered.status_code == 429
        assert "line 2" in answered.text


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/call/Market/quote?symbol=A", {}, 405),
        ("PUT", "/call/Market/count", {}, 405),
        ("DELETE", "/call/Market/watch", {}, 405),
        ("POST", "/call/Market/quote", {"content-type": "text/plain"}, 415),
        ("POST", "/call/Market/quote", {"content-type": "multipart/form-data; boundary=x"}, 415),
        ("GET", "/nowhere", {}, 404),
        ("POST", "/healthz", {}, 404),
    ],
)
async def test_requests_that_mean_nothing_here_have_a_status_of_their_own(method, path, headers, status) -> None:
    async with market() as (_, client):
        answered = await client.request(method, path, headers=headers, content=b"{}" if method == "POST" else b"")
        assert answered.status_code == status
        if status == 405:
            assert "POST" in answered.headers["allow"]


async def test_a_client_may_say_how_long_it_waits() -> None:
    async with market() as (service, client):
        answered = await client.post("/call/Market/slow", headers={"Prefer": "respond-async, wait=0.05"})
        assert answered.status_code == 504
        await soon(service.left)
        assert (await client.post("/call/Market/count", headers={"Prefer": "wait=soon"})).status_code == 400


# ── clients that leave, and clients that do not read ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["slow", "quiet", "endless?size=10"])
async def test_a_client_that_leaves_cancels_its_handler(method) -> None:
    async with market() as (service, client):
        wire = await Wire.to(str(client.base_url).rstrip("/"))
        wire.send("POST" if method == "slow" else "GET", f"/call/Market/{method}", host="localhost")
        await soon(service.begun)
        begun = asyncio.get_running_loop().time()
        wire.writer.transport.abort()
        await soon(service.left)
        assert asyncio.get_running_loop().time() - begun < 1.0


async def test_a_client_that_does_not_read_stalls_its_own_stream_alone() -> None:
    async with market() as (service, client):
        wire = await Wire.to(str(client.base_url).rstrip("/"))
        wire.writer.transport.pause_reading()
        wire.send("GET", "/call/Market/endless?size=10000", accept="text/event-stream", host="localhost")
        seen = -1
        while service.produced != seen or not seen:  # until the producer stands still
            seen = service.produced
            for _ in range(20):
                assert (await client.post("/call/Market/count")).json() == 7
        assert seen * 10_000 < 8 * 1024 * 1024
        wire.writer.transport.abort()
        await soon(service.left)


async def test_a_quiet_stream_says_that_it_is_alive(monkeypatch) -> None:
    monkeypatch.setattr(_calls, "BEGIN_S", 0.01)
    monkeypatch.setattr(_calls, "KEEP_ALIVE_S", 0.01)
    async with market() as (service, client):
        wire = await Wire.to(str(client.base_url).rstrip("/"))
        wire.send("GET", "/call/Market/quiet", accept="text/event-stream", host="localhost")
        head = await wire.until(b":\n\n")
        assert b"200 OK" in head
        await wire.until(b":\n\n")
        await wire.leave()
        await soon(service.left)


async def test_a_server_that_drains_says_so_and_lets_open_calls_end() -> None:
    service = Market()
    async with penstock.serve(service, listen=URL) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert (await client.get("/healthz")).json() == {"status": "up"}
        slow = asyncio.ensure_future(client.post("/call/Market/slow"))
        await soon(service.begun)
        closing = asyncio.ensure_future(server.aclose(grace_s=0.05))
        answered = await slow
        assert answered.status_code in (499, 503)
        await soon(service.left)
        await closing
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")


# ── what a server says of itself ──────────────────────────────────────────────────────────────────────────────────────


def references(part: object) -> list[str]:
    if isinstance(part, list):
        return [one for each in part for one in references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return own + [one for each in part.values() for one in references(each)]


async def test_the_openapi_document_describes_every_method_and_each_reference_leads_somewhere() -> None:
    async with market() as (_, client):
        document = (await client.get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        assert document["servers"] == [{"url": str(client.base_url).rstrip("/")}]
        assert len(document["paths"]) == 13
        post = document["paths"]["/call/Market/quote"]["post"]
        assert post["summary"] == "Return a price."
        assert post["requestBody"]["content"]["application/json"]["schema"]["required"] == ["symbol"]
        schemas = document["components"]["schemas"]
        assert "Market.Quote" in schemas
        for reference in references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas
        watch = document["paths"]["/call/Market/watch"]["post"]["responses"]["200"]["content"]
        assert set(watch) == {"text/event-stream", "application/x-ndjson"}


async def test_retained_streams_are_served_beside_the_calls() -> None:
    async with market() as (_, client):
        log = penstock.retained("log")
        await log.send({"n": 1})
        await log.send({"n": 2})
        answered = await client.get("/v1/stream/log?offset=-1")
        assert answered.json() == [{"n": 1}, {"n": 2}]
        log.close()


async def test_a_stream_that_is_quiet_again_and_again_loses_no_item(monkeypatch) -> None:
    monkeypatch.setattr(_calls, "KEEP_ALIVE_S", 0.002)

    class Slow:
        async def numbers(self) -> AsyncIterator[int]:
            for number in range(40):
                await asyncio.sleep(0.004 if number % 3 else 0)
                yield number

    async with penstock.serve(Slow(), listen=URL) as server, httpx.AsyncClient(base_url=server.urls[0]) as client:
        answered = await client.post("/call/Slow/numbers", headers=EVENTS)
        lines = answered.text.splitlines()
        assert [line for line in lines if line.startswith("data: ")] == [f"data: {number}" for number in range(40)]
        assert lines.count(":") > 10
        assert answered.text.endswith("event: end\ndata:\n\n")
