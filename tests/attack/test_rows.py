"""Rows of group H that are mended in other rooms, from outside: each test names its row of FAULTS."""

from __future__ import annotations

import pytest

from tests.attack.kit import commit, send, victim
from tests.attack.violations import OTHERS, H
from tests.attack.wire import open_

pytestmark = [pytest.mark.processes, pytest.mark.slow]


async def test_a_handler_that_exits_ends_its_call_and_not_the_server():
    """FAULTS H11."""
    async with victim() as server:
        reply = await send(server, b"", H + open_(1, "Desk/leave"), ends=False)
        assert reply.state == "open"
        assert len(reply.statuses) == 1
        await commit(OTHERS[0], server)
