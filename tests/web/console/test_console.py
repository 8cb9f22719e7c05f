"""The live console of a node over HTTP: for the person with its token, on this machine. `test_browser.py` has its page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import penstock
from penstock.errors import InvalidArgument, Unauthenticated
from penstock.web import console

URL = "http://127.0.0.1:0"
PAGES = Path(console.__file__).parent / "pages"


class Counter(penstock.Actor):
    def __init__(self) -> None:
        self.value = 40

    async def add(self, n: int) -> int:
        """Add a number."""
        self.value += n
        return self.value

    async def ticks(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number


def opened(node: penstock.Node) -> tuple[str, dict[str, str]]:
    """The address of the console, and the header that its page sends."""
    url, _, token = node.console.partition("/#")
    assert len(token) >= 20
    return url, {"authorization": f"Bearer {token}"}


async def test_the_page_and_its_files_are_served_and_may_run_no_other_script() -> None:
    async with penstock.Node(console=URL) as node:
        url, _ = opened(node)
        async with httpx.AsyncClient(base_url=url) as client:
            page = await client.get("/")
            assert "<title>Penstock console</title>" in page.text
            assert "default-src 'self'" in page.headers["content-security-policy"]
            assert "http" not in page.text.replace("http-equiv", "")  # everything is in the package
            assert "'unsafe" not in page.headers["content-security-policy"]
            for name, kind in (("main.js", "text/javascript"), ("console.css", "text/css"), ("tables.css", "text/css")):
                assert f"pages/{name}" in page.text
                assert (await client.get(f"/pages/{name}")).headers["content-type"].startswith(kind)
            assert (await client.get("/pages/../console.py")).status_code == 404
            assert (await client.get("/v1/stream/x")).status_code == 404


async def test_each_call_needs_the_token_over_http_and_over_a_websocket() -> None:
    async with penstock.Node(console=URL) as node:
        await node.spawn(Counter, name="counter")
        url, header = opened(node)
        wrong = [{}, {"authorization": "Bearer x"}, {"authorization": header["authorization"][:-1]}, {"authorization": "x"}]
        async with httpx.AsyncClient(base_url=url) as client:
            for headers in wrong:
                for path in (
                    "call/Penstock.Control/snapshot",
                    "call/Penstock.Control/stop",
                    "call/Penstock.Watch/overview",
                    "call/Penstock.Watch/flows",
                    "call/Penstock.Channels/open",
                    "ask/counter/add",
                ):
                    answered = await client.post(f"/{path}", json={"actor": "counter"}, headers=headers)
                    assert answered.status_code == 401, path
            assert (await client.post("/ask/counter/add", json={"n": 2}, headers=header)).json() == 42
        async with penstock.connect(url.replace("http", "ws")) as peer:
            with pytest.raises(Unauthenticated):
                await peer.call("Penstock.Control/snapshot")
            with pytest.raises(Unauthenticated):
                await peer.ask("counter", "add", {"n": 1})
        assert await node.ask("counter", "add", {"n": 0}) == 42


async def test_it_shows_the_node_and_follows_its_history(tmp_path) -> None:
    async with penstock.Node(console=URL, name="shown", history=tmp_path / "h.db") as node:
        await node.spawn(Counter, name="counter")
        url, header = opened(node)
        async with httpx.AsyncClient(base_url=url, headers=header) as client:
            seen = (await client.post("/call/Penstock.Control/snapshot")).json()
            assert (seen["node"]["name"], [actor["address"] for actor in seen["actors"]]) == ("shown", ["counter"])
            query = {"query": {"actor": "**", "follow": True}}
            async with client.stream("POST", "/call/Penstock.Control/events", json=query) as events:
                lines = events.aiter_lines()
                assert json.loads(await anext(lines))["kind"] == "spawned"
                await node.ask("counter", "add", {"n": 1})
                kinds = [json.loads(await anext(lines))["kind"] for _ in range(3)]
                assert kinds[-1] == "reply"
    async with httpx.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


OPEN_TO_OTHERS = ["http://0.0.0.0:0", "http://192.168.1.7:80", "tcp://127.0.0.1:0", "https://127.0.0.1:0", "nonsense"]


@pytest.mark.parametrize("url", OPEN_TO_OTHERS)
async def test_it_listens_on_this_machine_alone(url) -> None:
    with pytest.raises(InvalidArgument, match="open to other machines"):
        async with penstock.Node(console=url):
            pass


def test_each_file_of_the_page_is_one_that_a_reader_can_keep_in_mind() -> None:
    files = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in PAGES.iterdir()}
    assert max(files.values()) <= 400
    assert sum(name.endswith(".js") for name in files) <= 12
