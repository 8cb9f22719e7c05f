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


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["tcp", "tls", "unix"])
async def test_killing_the_server_is_connection_lost_within_a_second_and_never_an_end(scheme, tmp_path):
    tls = tls_for(scheme, tmp_path)
    extra = [str(tmp_path / "tls")] if tls else []
    process_of = far("serve", url_for(scheme, tmp_path), str(tmp_path), *extra)
    async with process_of as (process, url), penstock.connect(url, tls=tls) as peer:
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
async def test_a_server_that_comes_back_can_be_called_again_after_its_loss_was_told(tmp_path):
    url = f"unix://{tmp_path}/s"
    async with far("serve", url, str(tmp_path)) as (process, _), penstock.connect(url) as peer:
        ticks = peer.service(Far).ticks()
        await ticks.receive()
        process.kill()
        await process.wait()
        with pytest.raises(ConnectionLost):
            await take(ticks, 10_000)
    async with far("serve", url, str(tmp_path)), penstock.connect(url) as peer:
        assert await peer.service(Far).ticks().receive() == 0
