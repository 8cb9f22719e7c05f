"""The program that kills a server under many followers does so, and sees what goes wrong."""

from __future__ import annotations

import pytest

from tests.retention.real import restarts
from tests.retention.real.restarts import Followers


@pytest.mark.processes
async def test_a_server_that_is_killed_and_restarted_has_its_followers_back(monkeypatch):
    monkeypatch.setattr(restarts, "CALM_S", 0.1)
    taken = await restarts.restarts(rounds=1, count=20, connections=4)
    assert len(taken) == 1


@pytest.mark.parametrize("batch", [[0, 2], [1], [0, 0]], ids=["lost", "begins late", "doubled"])
async def test_an_item_that_is_not_the_next_one_fails_the_run(batch):
    class Wrong:
        def follow(self, _name, **_options):
            return self

        async def batches(self):
            yield batch

    with pytest.raises(AssertionError, match="follower 0 got"):
        await Followers(1).follow(Wrong(), 0)
