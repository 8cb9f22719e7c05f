"""A stream is one thing: made, written and read over HTTP, and by the program, in any mix."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

import penstock
from penstock.retention import streams_here
from penstock.web.durable_streams import DurableStreams, StreamsOverHttp
from tests.web.durable_streams.kit import JSON, TEXT, live, mounted
from tests.web.kit import served


class Token(penstock.Struct):
    text: str
    place: int


class Runs:
    async def start(self) -> None:
        """A service has a method."""


async def test_a_stream_that_a_client_makes_is_followed_by_the_program(site):
    made = await site.put("/run-1", headers=JSON, content=b'[{"n":1}]')
    assert (made.status_code, made.headers["location"]) == (201, f"{str(site.base_url).rstrip('/')}/run-1")
    assert (await site.post("/run-1", headers=JSON, content=b'[{"n":2},[3]]')).status_code == 204
    assert (await site.post("/run-1", headers={"stream-closed": "true"})).status_code == 204
    assert [item async for item in penstock.retained("run-1")] == [{"n": 1}, {"n": 2}, [3]]


async def test_a_stream_of_the_program_is_read_over_http(site):
    stream = penstock.retained("words")
    await stream.send_many(["four", "score"])
    first = await site.get("/words")
    assert first.json() == ["four", "score"]
    assert first.headers["stream-up-to-date"] == "true"
    assert "stream-closed" not in first.headers
    await stream.send(Token("and", 2))
    stream.close()
    then = await site.get("/words", params={"offset": first.headers["stream-next-offset"]})
    assert then.json() == [{"text": "and", "place": 2}]
    assert then.headers["stream-closed"] == "true"


async def test_an_offset_of_python_is_one_of_http(site):
    await penstock.retained("words").send_many(["a", "b", "c"])
    assert (await site.get("/words?offset=1")).json() == ["b", "c"]


async def test_a_follower_in_another_process_gets_typed_items(site):
    await site.put("/run-1", headers=JSON, content=b'[{"text":"four","place":0}]')
    async with (
        penstock.serve(Runs(), listen="tcp://127.0.0.1:0") as server,
        penstock.connect(*server.urls) as peer,
        asyncio.timeout(5),
    ):
        follower = peer.follow("run-1", type=Token)
        assert await follower.receive() == Token("four", 0)
        await site.post("/run-1", headers=JSON, content=b'{"text":"score","place":1}')
        assert await follower.receive() == Token("score", 1)
        await follower.aclose()


async def test_an_item_is_checked_against_the_type_that_the_program_declared(site):
    stream: penstock.Retained[Token] = penstock.retained("run-1", type=Token)
    bad = await site.post("/run-1", headers=JSON, content=b'[{"text":"four","place":0},{"text":"score","place":"x"}]')
    assert bad.status_code == 400
    assert "`$[1].place`" in bad.json()["detail"]
    assert stream.next_offset == 0
    assert (await site.post("/run-1", headers=JSON, content=b'{"text":"four","place":0}')).status_code == 204
    assert await stream.follow().receive() == Token("four", 0)


async def test_a_type_that_is_declared_later_checks_from_then_on(site):
    await site.put("/run-1", headers=JSON)
    penstock.retained("run-1", type=Token)
    assert (await site.post("/run-1", headers=JSON, content=b"1")).status_code == 400


@pytest.mark.parametrize("body", [b"123456789012345678901234567890", b'[1,{"$penstock":"dropped","count":3}]', b"{", b'"\xff"'])
async def test_a_value_that_no_item_can_be_is_refused_and_nothing_of_the_batch_is_kept(site, body):
    stream = penstock.retained("run-1")
    assert (await site.post("/run-1", headers=JSON, content=body)).status_code == 400
    assert stream.next_offset == 0


async def test_a_stream_that_its_program_writes_has_no_other_writer(site):
    async def forever():
        yield 1
        await asyncio.Event().wait()

    stream = penstock.retained("run-1", forever())
    assert (await site.post("/run-1", headers=JSON, content=b"2")).status_code == 405
    assert (await site.delete("/run-1")).status_code == 405
    assert (await site.get("/run-1")).json() == [1]
    await stream.stop()


async def test_a_stream_that_failed_says_so_at_its_end(site):
    stream = penstock.retained("run-1")
    await stream.send(1)
    stream.fail(penstock.NotFound("no such model"))
    got = await site.get("/run-1")
    assert (got.headers["stream-closed"], got.headers["stream-error"]) == ("true", "not_found")
    async with live(site, "/run-1?offset=-1&live=sse") as events:
        controls = [json.loads(data) async for event, data, _ in events if event == "control"]
    assert controls[-1]["streamError"] == {"code": 5, "reason": "not_found", "detail": "no such model"}


async def test_a_live_reader_is_cut_and_goes_on_by_its_last_event_id(site):
    stream = penstock.retained("numbers")
    await stream.send_many(range(5))
    got = []
    async with live(site, "/numbers?offset=-1&live=sse") as events:
        items, last = await events.items(5)
        got += items
    await stream.send_many(range(5, 10))
    async with live(site, "/numbers?offset=-1&live=sse", last_event_id=last) as events:
        got += (await events.items(5))[0]
    assert got == list(range(10))


async def test_an_event_source_stops_at_the_end_of_a_closed_stream(site):
    stream = penstock.retained("numbers")
    await stream.send(1)
    stream.close()
    async with live(site, "/numbers?offset=-1&live=sse") as events:
        last = [last async for _, _, last in events][-1]
    assert (await site.get("/numbers?offset=-1&live=sse", headers={"last-event-id": last})).status_code == 204


async def test_an_offset_of_an_earlier_stream_of_the_name_is_gone(site):
    await site.put("/s", headers=TEXT, content=b"one")
    offset = (await site.get("/s")).headers["stream-next-offset"]
    await site.delete("/s")
    await site.put("/s", headers=TEXT, content=b"two")
    assert (await site.get("/s", params={"offset": offset})).status_code == 410


async def test_items_that_are_not_kept_any_more_are_gone_and_the_beginning_is_the_oldest_item(site):
    await penstock.retained("numbers", max_items=3).send_many(range(10))
    gone = await site.get("/numbers?offset=2")
    assert (gone.status_code, gone.json()["details"]) == (410, {"oldest": 7, "next": 10})
    assert (await site.get("/numbers")).json() == [7, 8, 9]
    assert (await site.get("/numbers?offset=11")).status_code == 400


async def test_what_clients_made_is_there_after_a_restart(tmp_path):
    settings = StreamsOverHttp(durable=str(tmp_path / "streams.db"))

    def run(steps):
        async def main():
            async with (
                served(mounted(DurableStreams(settings))) as url,
                httpx.AsyncClient(base_url=f"{url}/v1/stream", timeout=10, verify=False) as site,
            ):
                return await steps(site)

        return asyncio.run(main())

    numbers = {"producer-id": "p", "producer-epoch": "0"}

    async def before(site):
        await site.put("/src", headers={**JSON, "stream-ttl": "3600"}, content=b"[1,2,3]")
        await site.post("/src", headers={**JSON, **numbers, "producer-seq": "0"}, content=b"4")
        await site.put("/fork", headers={"stream-forked-from": "/v1/stream/src", "stream-fork-offset": "2"}, content=b"[30]")
        await site.put("/closed", headers={**TEXT, "stream-closed": "true"}, content=b"all")
        await site.delete("/src")

    async def after(site):
        assert (await site.get("/src")).status_code == 410
        assert (await site.get("/fork")).json() == [1, 2, 30]
        assert (await site.head("/fork")).headers["stream-ttl"] == "3600"
        closed = await site.get("/closed")
        assert (closed.text, closed.headers["stream-closed"], closed.headers["content-type"]) == ("all", "true", "text/plain")
        await site.put("/mine", headers=JSON)
        again = await site.post("/mine", headers={**JSON, **numbers, "producer-seq": "0"}, content=b"5")
        assert again.status_code == 200
        await site.delete("/fork")
        assert (await site.get("/src")).status_code == 404

    async def last(site):
        again = await site.post("/mine", headers={**JSON, **numbers, "producer-seq": "0"}, content=b"5")
        assert again.status_code == 204  # kept once, as the file says
        assert (await site.get("/mine")).json() == [5]
        assert (await site.get("/src")).status_code == 404

    for steps in (before, after, last):
        await asyncio.to_thread(run, steps)


async def test_readers_over_http_are_known_with_their_places_as_long_as_they_read(site):
    def places() -> list[tuple[str, int]]:
        return [(reader.by[:7], reader.reads_at) for reader in streams_here().readers if reader.kept.name == "numbers"]

    await penstock.retained("numbers").send_many(range(5))
    async with live(site, "/numbers?offset=-1&live=sse") as events:
        await events.items(5)
        assert places() == [("http://", 5)]
        polling = asyncio.create_task(site.get("/numbers?offset=5&live=long-poll"))
        while len(places()) < 2:  # noqa: ASYNC110 - until the request is there
            await asyncio.sleep(0)
        await penstock.retained("numbers").send(5)
        assert (await polling).json() == [5]
    while places():  # noqa: ASYNC110 - until the server has noticed
        await asyncio.sleep(0)
