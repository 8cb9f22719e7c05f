"""`kill -9`: whoever is left is told within a second, and never that all is well."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import ConnectionLost
from tests.interop.far import Far, begin
from tests.interop.kit import far, take, tls_for, until, url_for

LOST_S = 1.0
METHODS = ["ticks", "wait", "swallow", "mirror"]
SOON = penstock.Reconnect(first_s=0.01, max_s=0.1)


class Repeatable:
    """`Far`, as a client sees it that may call twice."""

    service_name = "Far"

    @penstock.idempotent
    async def process_id(self, seconds: float) -> int: ...


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["tcp", "tls", "unix", "ws"])
async def test_killing_the_server_is_connection_lost_within_a_second_and_never_an_end(scheme, tmp_path):
    tls = tls_for(scheme, tmp_path)
    extra = [str(tmp_path / "tls")] if tls else []
    process_of = far("serve", url_for(scheme, tmp_path), str(tmp_path), *extra)
    async with process_of as (process, url), penstock.connect(url, tls=tls, reconnect=None) as peer:
        calls = [await begin(peer.service(Far), method) for method in METHODS]
        stalled = penstock.options(peer.service(Far), buffer_size=3).endless(8)
        await stalled.receive()
        await asyncio.sleep(0.05)
        process.kill()
        _, pending = await asyncio.wait(calls, timeout=LOST_S)
        assert not pending
        assert [type(call.exception()) for call in calls] == [ConnectionLost] * len(METHODS)
        with pytest.raises(ConnectionLost):
            await take(stalled, 100)
        with pytest.raises(penstock.Unavailable):
            await peer.service(Far).how_many()


@pytest.mark.processes
@pytest.mark.parametrize("method", METHODS)
async def test_killing_the_client_runs_the_finally_of_the_handler_within_a_second(method, tmp_path):
    async with penstock.serve(Far(tmp_path), listen="tcp://127.0.0.1:0") as server:
        async with far("consume", server.urls[0], method) as (process, line):
            assert line == "consuming"
            await asyncio.sleep(0.05)
            assert not (tmp_path / method).exists()
            process.kill()
            assert await until((tmp_path / method).exists, "the handler's finally") < LOST_S
        await until(lambda: not server.peers, "the end of the peer")


@pytest.mark.processes
async def test_a_server_that_comes_back_can_be_called_again_by_the_same_peer(tmp_path):
    url = f"unix://{tmp_path}/s"
    async with far("serve", url, str(tmp_path)) as (process, _), penstock.connect(url, reconnect=SOON) as peer:
        stub = peer.service(Far)
        ticks, whole = stub.ticks(), asyncio.ensure_future(stub.process_id(5.0))
        await ticks.receive()
        await until((tmp_path / "process_id").exists, "the beginning of the call")
        process.kill()
        await process.wait()
        async with far("serve", url, str(tmp_path)) as (second, _):
            with pytest.raises(ConnectionLost, match="did not take the session up again") as caught:
                await take(ticks, 10_000)
            assert caught.value.offset >= 1
            with pytest.raises(ConnectionLost):
                await whole
            assert await stub.ticks().receive() == 0
            assert await stub.process_id(0.0) == second.pid


@pytest.mark.processes
async def test_a_call_of_an_idempotent_method_is_made_again_after_kill_9(tmp_path):
    url = f"unix://{tmp_path}/s"
    async with far("serve", url, str(tmp_path)) as (process, _), penstock.connect(url, reconnect=SOON) as peer:
        calls = [asyncio.ensure_future(peer.service(Repeatable).process_id(1.0)) for _ in range(20)]
        await until((tmp_path / "process_id").exists, "the beginning of the calls")
        process.kill()
        await process.wait()
        async with far("serve", url, str(tmp_path)) as (second, _):
            assert await asyncio.gather(*calls) == [second.pid] * 20
