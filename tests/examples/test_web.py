"""The gateway with its page: a run is begun over HTTP, read, left, read on by the id of the last event, and stopped."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest

from tests.examples._programs import PROGRAM_SECONDS_MAX, running

pytestmark = pytest.mark.processes


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def read(url: str, last: str, count: int) -> tuple[list[str], str, dict]:
    """Follow a run by server-sent events for at least `count` words, or to its end, as an `EventSource` does."""
    words, closed = [], {}
    headers = {"last-event-id": last} if last else {}
    with httpx.stream("GET", f"{url}?offset=-1&live=sse", headers=headers, timeout=PROGRAM_SECONDS_MAX) as response:
        name = ""
        for line in response.iter_lines():
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "id":
                last = value
                if len(words) >= count:
                    break
            elif field == "data" and name == "data":
                words += json.loads(value)
            elif field == "data" and json.loads(value).get("streamClosed"):
                closed = json.loads(value)
    return words, last, closed


def test_a_run_is_followed_by_pages_that_come_and_go_and_is_stopped_by_its_button():
    port = free_port()
    with running("web/gateway.py", str(port)) as gateway:
        url = gateway.stdout.readline().strip()
        end = time.monotonic() + PROGRAM_SECONDS_MAX
        while True:
            try:
                page = httpx.get(url)
                break
            except httpx.ConnectError:
                assert time.monotonic() < end
                time.sleep(0.05)
        assert "EventSource" in page.text
        httpx.post(f"{url}/flow/call/Runs/start", json={"run": "r", "prompt": "Tell me:"}).raise_for_status()
        first, last, _ = read(f"{url}/flow/v1/stream/r", "", 4)
        then, last, _ = read(f"{url}/flow/v1/stream/r", last, 4)
        whole, _, _ = read(f"{url}/flow/v1/stream/r", "", 8)
        assert first[:4] == ["Tell", "me:", "the", "water"]
        assert whole[: len(first + then)] == first + then
        httpx.post(f"{url}/flow/call/Runs/stop", json={"run": "r"}).raise_for_status()
        _, _, closed = read(f"{url}/flow/v1/stream/r", last, 1000)
        assert closed["streamError"]["reason"] == "cancelled"
        assert gateway.stdout.readline().strip() == "[model] stopped"
