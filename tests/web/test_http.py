"""The small base of HTTP: bodies with bounds, problems, clients that leave, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from penstock.errors import InvalidArgument, NotFound, ResourceExhausted
from penstock.web._http import QUERY_FIELDS_MAX, HttpRequest, answer
from penstock.web._response import STATUS_OF_CODE, HttpResponse, as_json, problem_of, refused
from penstock.web._sse import sse_event
from tests.web.kit import Wire, served


def app(handler: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send, handler, headers={"x-content-type-options": "nosniff"})

    return application


async def echo(request: HttpRequest) -> HttpResponse:
    body = await request.body(10, "body_bytes_max")
    return as_json({"method": request.method, "path": request.path, "query": request.query(), "body": body.decode()})


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=5, verify=False) as client:
        yield client


async def test_a_handler_gets_method_path_query_and_body(client):
    async with served(app(echo)) as url:
        got = await client.post(f"{url}/a%20b/c?x=1&x=2&y=", content=b"hello")
    assert got.json() == {"method": "POST", "path": "/a b/c", "query": [["x", "1"], ["x", "2"], ["y", ""]], "body": "hello"}
    assert got.headers["x-content-type-options"] == "nosniff"


async def test_a_path_is_that_behind_the_mount():
    scope = {"type": "http", "method": "GET", "path": "/base/x", "root_path": "/base", "headers": [(b"Host", b"h")]}
    request = HttpRequest(scope, asyncio.Queue().get)
    assert (request.path, request.url("/y z")) == ("/x", "http://h/base/y%20z")


async def test_a_body_that_announces_too_much_is_refused_before_it_is_read():
    async with served(app(echo)) as url:
        wire = await Wire.to(url)
        wire.send("POST", "/", content_length="11")
        got = await wire.until(b"body_bytes_max")
        await wire.leave()
    assert got.startswith(b"HTTP/1.1 413 ")


async def test_a_body_in_chunks_is_refused_at_the_limit(client):
    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            yield b"12345"

    async with served(app(echo)) as url:
        got = await client.post(url, content=chunks())
    assert got.status_code == 413
    assert got.json()["detail"] == "the body has more than 10 bytes; 10 are allowed (body_bytes_max)"


async def test_a_query_of_too_many_parameters_is_refused(client):
    async with served(app(echo)) as url:
        got = await client.post(url, params=[("x", "1")] * (QUERY_FIELDS_MAX + 1))
    assert (got.status_code, got.headers["content-type"]) == (400, "application/problem+json")


async def test_a_response_to_head_has_the_length_and_no_body(client):
    async with served(app(echo)) as url:
        got = await client.head(url)
    assert int(got.headers["content-length"]) > 0
    assert got.content == b""


async def test_an_error_of_a_handler_is_a_problem_with_our_code(client):
    async def missing(request: HttpRequest) -> HttpResponse:
        raise NotFound("no stream 'x'", {"name": "x"})

    async with served(app(missing)) as url:
        got = await client.get(url)
    assert got.status_code == 404
    assert got.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no stream 'x'",
        "code": 5,
        "reason": "not_found",
        "details": {"name": "x"},
    }


async def test_an_unexpected_error_says_only_where_the_log_has_it(client, caplog):
    async def broken(request: HttpRequest) -> HttpResponse:
        raise ValueError("a secret")

    async with served(app(broken)) as url:
        got = await client.get(f"{url}/p")
    assert got.status_code == 500
    assert "secret" not in got.text
    assert got.json()["details"]["error_id"] in caplog.text


def test_a_refusal_may_have_a_status_and_headers_of_its_own():
    response = refused(413, ResourceExhausted("large"), {"retry-after": "1"}).response
    assert (response.status, response.headers["retry-after"]) == (413, "1")


def test_details_that_are_not_json_become_texts():
    assert b"<object object" in problem_of(InvalidArgument("bad", {"what": object()})).body


def test_each_code_has_a_status():
    assert sorted(STATUS_OF_CODE) == list(range(1, 17))


async def test_a_client_that_leaves_cancels_a_handler_that_watches():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        await request.body(10, "body_bytes_max")
        request.watch()
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return HttpResponse()

    async with served(app(wait)) as url:
        wire = await Wire.to(url)
        wire.send("POST", "/", b"x")
        await begun.wait()
        await wire.leave()
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_client_that_leaves_closes_the_generator_of_a_response():
    ended = asyncio.Event()

    async def ticks() -> AsyncGenerator[bytes, None]:
        try:
            yield b"tick"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, ticks())

    async with served(app(stream)) as url:
        wire = await Wire.to(url)
        wire.send("GET", "/")
        await wire.until(b"tick")
        await wire.leave()
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_client_that_reads_nothing_stalls_its_own_response_after_a_bounded_number_of_bytes(client):
    made = 0

    async def much() -> AsyncGenerator[bytes, None]:
        nonlocal made
        while made < 100_000_000:
            made += 65536
            yield bytes(65536)

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, much()) if request.path == "/much" else HttpResponse(200, b"ok")

    async with served(app(stream)) as url:
        wire = await Wire.to(url)
        wire.send("GET", "/much")
        await wire.until(b"200 OK")
        before = -1
        while made != before:  # until no piece was made during whole exchanges with another client
            before = made
            for _ in range(5):
                assert (await client.get(url)).text == "ok"
        await wire.leave()
    assert made < 20_000_000  # the buffers of both sockets


async def test_a_body_that_fails_after_its_begin_cuts_the_connection(client, caplog):
    async def fails() -> AsyncGenerator[bytes, None]:
        yield b"begin"
        raise ValueError("lost")

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, fails())

    async with served(app(stream)) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
    assert "the response was cut" in caplog.text


async def test_a_watched_handler_still_reads_its_body_piece_by_piece(client):
    async def count(request: HttpRequest) -> HttpResponse:
        request.watch()
        sizes = [len(piece) async for piece in request.pieces()]
        return as_json(sum(sizes))

    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(50):
            yield bytes(1000)

    async with served(app(count)) as url:
        assert (await client.post(url, content=chunks())).json() == 50_000


async def test_a_client_that_leaves_within_its_body_ends_the_request():
    outcome = asyncio.get_running_loop().create_future()

    async def read(request: HttpRequest) -> HttpResponse:
        try:
            await request.body(1000, "body_bytes_max")
        except Exception as error:
            outcome.set_result(type(error).__name__)
            raise
        return HttpResponse()

    async with served(app(read)) as url:
        wire = await Wire.to(url)
        wire.send("POST", "/", content_length="100", expect="100-continue")
        await wire.until(b"100 Continue")
        await wire.leave()
        assert await asyncio.wait_for(outcome, 2) == "ClientLeft"


async def test_a_server_that_raises_for_a_client_which_left_ends_the_request_quietly():
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(event: Any) -> None:
        raise ConnectionResetError

    async def handler(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    await answer({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send, handler)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_no_data_can_forge_a_field_of_an_event(end):
    made = sse_event(f"a{end}{end}event: forged", event="data", id="7")
    assert made == b"event: data\ndata:a\ndata:\ndata:event: forged\nid:7\n\n"


def test_a_line_that_begins_with_a_space_keeps_it():
    assert sse_event(" a") == b"data:  a\n\n"


def test_an_event_may_say_when_a_client_comes_back():
    assert sse_event("", retry_ms=10) == b"data:\nretry:10\n\n"
