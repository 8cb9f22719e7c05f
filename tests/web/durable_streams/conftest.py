"""A site with retained streams, on a real socket."""

from __future__ import annotations

import httpx
import pytest

from penstock.web.durable_streams import DurableStreams, StreamsOverHttp
from tests.web.durable_streams.kit import mounted
from tests.web.kit import served


@pytest.fixture
def settings() -> StreamsOverHttp:
    """The settings of the site: a test has others by parametrising this fixture."""
    return StreamsOverHttp(long_poll_s=0.2, origins=("*",))


@pytest.fixture
async def url(settings):
    async with served(mounted(DurableStreams(settings))) as url:
        yield f"{url}/v1/stream"


@pytest.fixture
async def site(url):
    async with httpx.AsyncClient(base_url=url, timeout=10, verify=False) as client:
        yield client
