"""The conformance suite of the protocol, all of it, and the protocol's own client in TypeScript as a peer."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing

import pytest

import penstock
from penstock.web import DurableStreams, StreamsOverHttp
from tests.web.durable_streams.kit import MOUNT, mounted
from tests.web.durable_streams.npm import installed, node
from tests.web.kit import served

CASES = 338
LONG_POLL_S = 1.0


@pytest.fixture
async def packages():
    return await installed()


@pytest.mark.interop
@pytest.mark.slow  # the cases about lifetimes really wait: half a minute
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="it judges HTTP, so it runs once: with the lowest Python")
async def test_each_case_of_the_conformance_suite_passes(packages, tmp_path):
    durable = str(tmp_path / "streams.db")
    app = DurableStreams(StreamsOverHttp(long_poll_s=LONG_POLL_S, origins=("*",), durable=durable, webhooks="local"))
    report = tmp_path / "report.json"
    vitest = ("node_modules/vitest/vitest.mjs", "run", "--reporter=json", f"--outputFile={report}")
    async with served(mounted(app)) as url, aclosing(app):
        environment = {"DS_BASE_URL": url, "DS_LONG_POLL_MS": str(int(LONG_POLL_S * 1000)), "DS_SUBSCRIPTIONS": "1"}
        _, said = await node(*vitest, **environment)
    assert report.exists(), said[-3000:]
    cases = [case for file in json.loads(report.read_text())["testResults"] for case in file["assertionResults"]]
    failed = {case["fullName"]: case["failureMessages"] for case in cases if case["status"] == "failed"}
    assert not failed
    assert sum(case["status"] == "passed" for case in cases) == CASES


@pytest.mark.interop
@pytest.mark.parametrize("mode", ["sse", "long-poll"])
async def test_the_client_in_typescript_follows_a_stream_of_the_program_to_its_end(packages, url, mode):
    stream = penstock.retained("numbers")
    await stream.send_many(range(500))
    stream.close()
    code, said = await node("peer.mjs", "follow", f"{url}/numbers", "-1", mode)
    assert code == 0, said
    *items, end = said.splitlines()
    assert list(map(int, items)) == list(range(500))
    assert end.startswith("closed at ")


@pytest.mark.interop
async def test_what_the_client_in_typescript_produces_is_followed_by_the_program(packages, url):
    code, said = await node("peer.mjs", "produce", f"{url}/made", "300")
    assert (code, said.strip()) == (0, "closed")
    assert [item["n"] async for item in penstock.retained("made")] == list(range(300))


def test_the_path_of_the_application_is_that_of_the_suite():
    assert MOUNT == "/v1/stream"
