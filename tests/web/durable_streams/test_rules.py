"""The rules of the protocol that its own suite leaves open, and the bounds of ours, over HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

import penstock
from penstock.retention import streams_here
from penstock.web import DurableStreams, StreamsOverHttp
from penstock.web.durable_streams._producers import PRODUCERS_MAX
from tests.web.durable_streams.kit import JSON, TEXT, live, mounted
from tests.web.kit import Wire, served

FORK = {"stream-forked-from": "/v1/stream/src"}


def numbered(producer: str, epoch: int, seq: int) -> dict[str, str]:
    return {**JSON, "producer-id": producer, "producer-epoch": str(epoch), "producer-seq": str(seq)}


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [StreamsOverHttp(append_bytes_max=10)])
async def test_a_body_over_the_limit_is_refused_with_the_name_of_the_setting(site):
    await site.put("/s", headers=TEXT)
    refused = await site.post("/s", headers=TEXT, content=b"x" * 11)
    assert refused.status_code == 413
    assert "append_bytes_max" in refused.json()["detail"]
    assert (await site.get("/s")).text == ""


@pytest.mark.parametrize("settings", [StreamsOverHttp(append_items_max=3)])
async def test_a_batch_of_too_many_items_is_refused_as_a_whole(site):
    await site.put("/s", headers=JSON)
    refused = await site.post("/s", headers=JSON, content=b"[1,2,3,4]")
    assert (refused.status_code, "append_items_max" in refused.json()["detail"]) == (413, True)
    assert (await site.get("/s")).json() == []


@pytest.mark.parametrize("settings", [StreamsOverHttp(max_bytes=1000)])
@pytest.mark.parametrize("body", [json.dumps("x" * 1000), json.dumps(["x" * 300] * 3)])
async def test_a_batch_that_the_stream_could_not_keep_is_refused_as_a_whole(site, body):
    await site.put("/s", headers=JSON)
    refused = await site.post("/s", headers=JSON, content=body.encode())
    assert (refused.status_code, "max_bytes" in refused.json()["detail"]) == (413, True)
    assert (await site.get("/s")).json() == []


@pytest.mark.parametrize("settings", [StreamsOverHttp(max_items=3)])
async def test_the_oldest_items_of_a_stream_that_a_client_made_go(site):
    await site.put("/s", headers=JSON, content=b"[1,2]")
    await site.post("/s", headers=JSON, content=b"[3,4,5]")
    assert (await site.get("/s")).json() == [3, 4, 5]


@pytest.mark.parametrize("settings", [StreamsOverHttp(streams_max=2)])
async def test_clients_make_so_many_streams_and_leave_room_for_those_of_the_program(site):
    penstock.retained("own")
    assert [(await site.put(f"/{name}")).status_code for name in "abc"] == [201, 201, 429]
    assert (await site.put("/a")).status_code == 200
    await site.delete("/a")
    assert (await site.put("/c", headers={"stream-forked-from": "/v1/stream/own"})).status_code == 201


@pytest.mark.parametrize("settings", [StreamsOverHttp(page_bytes=100)])
async def test_a_response_has_a_page_and_says_that_there_is_more(site):
    await site.put("/s", headers=JSON, content=json.dumps(["x" * 20] * 10).encode())
    pages, offset = [], "-1"
    while True:
        got = await site.get("/s", params={"offset": offset})
        pages.append(len(got.json()))
        offset = got.headers["stream-next-offset"]
        if "stream-up-to-date" in got.headers:
            break
        assert "max-age=60" in got.headers["cache-control"]
    assert (sum(pages), max(pages)) == (10, 5)


@pytest.mark.parametrize("where", ["producer-id", "stream-seq"])
async def test_a_header_that_is_kept_with_the_stream_has_a_limit(site, where):
    await site.put("/s", headers=JSON)
    headers = {**numbered("p", 0, 0), where: "x" * 257}
    assert (await site.post("/s", headers=headers, content=b"1")).status_code == 400


@pytest.mark.parametrize("name", ["x" * 257, "a%07b", ""])
@pytest.mark.parametrize("headers", [{}, FORK])
async def test_a_name_that_no_stream_can_have_is_refused(site, name, headers):
    await site.put("/src", headers=TEXT)
    assert (await site.put(f"/{name}", headers=headers)).status_code == 400


async def test_of_too_many_producers_the_one_that_was_silent_for_longest_is_forgotten(site):
    await site.put("/s", headers=JSON)
    notes = streams_here().named["s"]._kept.notes
    notes.producers = {f"old-{at}": (0, 0) for at in range(PRODUCERS_MAX)}
    assert (await site.post("/s", headers=numbered("new", 0, 0), content=b"1")).status_code == 200
    assert len(notes.producers) == PRODUCERS_MAX
    assert (await site.post("/s", headers=numbered("old-1", 0, 0), content=b"1")).status_code == 204
    assert (await site.post("/s", headers=numbered("old-0", 0, 0), content=b"1")).status_code == 200


# ── who may do what ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [StreamsOverHttp(read_only=True)])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
async def test_a_site_that_is_read_only_lets_clients_read(site, method):
    await penstock.retained("s").send(1)
    refused = await site.request(method, "/s", headers=JSON, content=b"2")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (await site.get("/s")).json() == [1]
    assert (await site.get("/__ds/jwks.json")).status_code == 404


async def test_pages_of_other_origins_get_nothing_unless_they_are_listed():
    settings = StreamsOverHttp(origins=("https://chat.example",))
    for app, origin, allowed in (
        (DurableStreams(), "https://chat.example", None),
        (DurableStreams(settings), "https://evil.example", None),
        (DurableStreams(settings), "https://chat.example", "https://chat.example"),
    ):
        async with served(mounted(app)) as url, httpx.AsyncClient(base_url=f"{url}/v1/stream", verify=False) as site:
            for method in ("OPTIONS", "GET"):
                got = await site.request(method, "/none", headers={"origin": origin})
                assert got.headers.get("access-control-allow-origin") == allowed


async def test_without_origins_the_streams_belong_to_their_own_origin():
    async with served(mounted(DurableStreams())) as url, httpx.AsyncClient(verify=False) as client:
        got = await client.get(f"{url}/v1/stream/none")
    assert (got.status_code, got.headers["cross-origin-resource-policy"]) == (404, "same-origin")


# ── live readers ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_live_reader_that_reads_nothing_stalls_itself_alone_after_a_bounded_number_of_bytes():
    given = 0
    app = mounted(DurableStreams())

    async def counted(scope, receive, send):
        async def count(event):
            nonlocal given
            await send(event)
            given += len(event.get("body", b"")) if (b"x-stalled", b"1") in scope["headers"] else 0

        await app(scope, receive, count)

    stream = penstock.retained("much", max_bytes=2**30)
    async with served(counted) as url, httpx.AsyncClient(base_url=f"{url}/v1/stream", timeout=10, verify=False) as site:
        wire = await Wire.to(url)
        wire.send("GET", "/v1/stream/much?offset=-1&live=sse", x_stalled="1")
        await wire.until(b"event-stream")
        async with live(site, "/much?offset=-1&live=sse") as events:
            for _ in range(8):
                await stream.send_many(["x" * 8192] * 500)
                assert len((await events.items(500))[0]) >= 500
        await wire.leave()
    assert stream.next_offset * 8192 > 30_000_000
    assert given < 6_000_000  # the buffers of the two sockets, which the kernel bounds, and one event


@pytest.mark.parametrize("settings", [StreamsOverHttp(live_s=0.3)])
async def test_a_live_response_ends_after_its_time_and_its_client_goes_on(site):
    stream = penstock.retained("s")
    await stream.send(1)
    seen, place = [], "-1"
    for number in (2, 3):
        async with live(site, f"/s?offset={place}&live=sse") as events:
            async for event, data, last in events:
                seen += json.loads(data) if event == "data" else []
                place = last
        await stream.send(number)
    assert seen == [1, 2]


async def test_a_reader_that_leaves_costs_nothing_after(site):
    stream = penstock.retained("s")
    for path in ("/s?offset=now&live=sse", "/s?offset=now&live=long-poll"):
        with pytest.raises(httpx.ReadTimeout):
            await site.get(path, timeout=0.05)
    async with asyncio.timeout(2):
        while stream._kept.bell.waiting:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)


async def test_a_letter_in_two_pieces_is_whole_where_both_are_read(site):
    await site.put("/s", headers=TEXT, content="ü".encode()[:1])
    await site.post("/s", headers=TEXT, content="ü".encode()[1:])
    async with live(site, "/s?offset=-1&live=sse") as events:
        async for event, data, _ in events:
            assert (event, data) == ("data", "ü")
            break


async def test_a_long_poll_of_a_stream_that_is_deleted_meanwhile_is_told(site):
    await site.put("/s", headers=TEXT)
    poll = asyncio.create_task(site.get("/s?offset=now&live=long-poll"))
    kept = streams_here().named["s"]._kept
    while not kept.bell.waiting:  # noqa: ASYNC110 - a turn or two
        await asyncio.sleep(0)
    await site.delete("/s")
    assert (await poll).status_code == 404


# ── lifetimes ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_whose_time_has_passed_is_deleted_for_python_too(site):
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    made = await site.put("/s", headers={**JSON, "stream-expires-at": soon.isoformat()}, content=b"[1]")
    assert made.status_code == 201
    follower = penstock.retained("s").follow()
    assert await follower.receive() == 1
    with pytest.raises(penstock.NotFound, match="was deleted"):
        await follower.receive()
    assert (await site.get("/s")).status_code == 404


@pytest.mark.parametrize("time", ["2030-01-01", "2030-01-01T00:00:00", "tomorrow", "9999-12-31T23:59:59-14:00"])
async def test_a_time_without_a_zone_is_no_time(site, time):
    assert (await site.put("/s", headers={"stream-expires-at": time})).status_code == 400


# ── forks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_of_the_program_can_be_forked(site):
    await penstock.retained("src").send_many([1, 2, 3])
    made = await site.put("/fork", headers={**FORK, "stream-fork-offset": "2"}, content=b"[30]")
    assert (made.status_code, made.headers["content-type"]) == (201, "application/json")
    assert [item async for item in _closed(penstock.retained("fork"))] == [1, 2, 30]


def _closed(stream):
    stream.close()
    return stream


async def test_a_fork_takes_no_room_that_is_not_there(site, monkeypatch):
    await penstock.retained("src").send_many(["x" * 100] * 100)
    monkeypatch.setattr("penstock.retention._streams.RETAINED_BYTES_MAX", 30_000)
    assert (await site.put("/fork", headers=FORK)).status_code == 429
    assert "fork" not in streams_here().named


async def test_a_fork_that_fails_leaves_its_source_as_it_was(site):
    await site.put("/src", headers=JSON, content=b"[1]")
    assert (await site.put("/fork", headers={**JSON, **FORK}, content=b"{")).status_code == 400
    assert (await site.get("/fork")).status_code == 404
    await site.delete("/src")
    assert (await site.get("/src")).status_code == 404


@pytest.mark.parametrize("path", ["/elsewhere/src", "src", "http://x/v1/stream/src", "/v1/stream/none"])
async def test_the_source_of_a_fork_is_a_stream_of_this_server(site, path):
    await site.put("/src", headers=JSON)
    assert (await site.put("/fork", headers={"stream-forked-from": path})).status_code == 404
