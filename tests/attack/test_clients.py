"""A client that dials something else ends with a typed error, each time, and keeps nothing."""

from __future__ import annotations

import pytest

from tests.attack.hostile import SCRIPTS, Script, hostile
from tests.attack.kit import victim

pytestmark = [pytest.mark.processes, pytest.mark.slow]


async def test_whatever_answers_the_client_gets_a_typed_error_and_keeps_nothing():
    """FAULTS H1, H4, H5, H16, at the client."""
    async with victim() as client:
        for script in SCRIPTS:
            async with hostile(script) as url:
                assert await client.ask("dial", url=url, times=1) == {script.outcome: 1}, script.name
        assert (await client.figures()).left == {}


async def test_a_hundred_dials_to_something_else_leave_nothing_and_no_memory():
    """FAULTS H1: 1,000 of them by `make attack`."""
    async with victim() as client:
        for script in SCRIPTS[:2]:
            await _dial(client, script, 20)
            before = await client.figures()
            await _dial(client, script, 100)
            after = await client.figures()
            assert after.left == {}
            assert after.rss_mib - before.rss_mib < 5


async def _dial(client, script: Script, times: int):
    async with hostile(script) as url:
        assert await client.ask("dial", url=url, times=times) == {script.outcome: times}
