"""What is on offer leaves the table once, and whoever comes late is told how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import penstock
from penstock.errors import FailedPrecondition, NotFound, ResourceExhausted, StatusError
from penstock.refs import RECLAIM_S, offers
from penstock.refs import _offers as module
from tests.calls.kit import linked
from tests.refs.kit import Exchange


class End:
    def __init__(self) -> None:
        self.left: list[StatusError] = []
        self.dropped: list[StatusError] = []

    def _hand_over(self, refusal: StatusError) -> str:
        self.left.append(refusal)
        return "the end"

    async def _end_unused(self, why: StatusError) -> None:
        self.dropped.append(why)


class Lender(penstock.Actor):
    async def lend(self) -> penstock.SourceRef[int]:
        async def numbers() -> AsyncIterator[int]:
            yield 1

        return penstock.SourceRef(numbers())

    async def lend_late(self) -> penstock.SourceRef[int]:
        await asyncio.sleep(0)
        return await self.lend()


async def test_what_is_taken_is_gone():
    table, end = offers(), End()
    token = table.put(end, set()).token
    assert table.find(token) is end
    assert table.claim(token, End) == "the end"
    assert len(table) == 0
    with pytest.raises(FailedPrecondition, match="can be claimed once"):
        table.claim(token, End)


async def test_each_is_reclaimed_at_its_own_time():
    table = offers()
    ends = []
    for _ in range(4):
        ends.append(End())
        table.put(ends[-1], set())
        await asyncio.sleep(9)
    assert [len(end.dropped) for end in ends] == [1, 0, 0, 0]
    for number in range(1, 4):
        await asyncio.sleep(9)
        assert [len(end.dropped) for end in ends] == [1] * (number + 1) + [0] * (3 - number)
    assert len(table) == 0
    assert [type(end.dropped[0]) for end in ends] == [NotFound] * 4


async def test_what_is_released_is_dropped_once():
    table, end = offers(), End()
    token = table.put(end, set()).token
    for _ in range(2):
        table.release(token, FailedPrecondition("enough"))
    await asyncio.sleep(RECLAIM_S + 1)
    assert [str(why) for why in end.dropped] == ["enough"]


async def test_a_drop_that_raises_is_logged_and_the_others_go_on(caplog):
    class Bad(End):
        async def _end_unused(self, why: StatusError) -> None:
            raise LookupError("broken")

    good = End()
    offers().put(Bad(), set())
    offers().put(good, set())
    await asyncio.sleep(RECLAIM_S + 1)
    assert good.dropped
    assert "an end of a stream could not be closed" in caplog.text


async def test_how_they_left_is_remembered_for_a_bounded_number(monkeypatch):
    monkeypatch.setattr(module, "REFUSALS_MAX", 2)
    table = offers()
    tokens = [table.put(End(), set()).token for _ in range(3)]
    for token in tokens:
        table.claim(token, End)
    with pytest.raises(NotFound, match="is not on offer here"):
        table.claim(tokens[0], End)
    with pytest.raises(FailedPrecondition):
        table.claim(tokens[2], End)


async def test_the_text_of_a_refusal_shows_no_token():
    token = offers().put(End(), set()).token
    offers().claim(token, End)
    assert token.hex() not in str(offers().refusal(token))


def test_a_loop_has_a_table_of_its_own():
    async def instance() -> bytes:
        assert offers() is offers()
        return offers().instance

    assert asyncio.run(instance()) != asyncio.run(instance())


async def test_who_claims_nothing_does_not_starve_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SHARE_MAX", 3)
    async with linked(Exchange(), gate=False) as pair, penstock.connect(pair.server.urls[0]) as modest:
        greedy = pair.peer
        kept = [await greedy.service(Exchange).numbers() for _ in range(3)]
        with pytest.raises(ResourceExhausted, match="3 ends of streams were sent to this peer"):
            await greedy.service(Exchange).numbers()
        kept.append(await modest.service(Exchange).numbers())
        assert len(offers()) == 4


async def test_of_a_full_table_each_connection_has_a_share(monkeypatch: pytest.MonkeyPatch):
    """FAULTS H14: ten connections filled the table of offers for all others."""
    monkeypatch.setattr(module, "OFFERS_MAX", 12)
    async with linked(Exchange(), gate=False) as pair:
        url = pair.server.urls[0]
        async with penstock.connect(url) as one, penstock.connect(url) as two, penstock.connect(url) as modest:
            greedy, kept = [pair.peer, one, two], list[Any]()
            for _ in range(4):
                for peer in greedy:
                    kept.append(await peer.service(Exchange).numbers())
            assert len(offers()) == 12
            kept += [await modest.service(Exchange).numbers() for _ in range(3)]
            with pytest.raises(ResourceExhausted, match="3 of them to this peer"):
                await modest.service(Exchange).numbers()
            for peer in greedy:
                with pytest.raises(ResourceExhausted, match="OFFERS_MAX"):
                    await peer.service(Exchange).numbers()
            assert len(offers()) == 12
            assert sorted(len(share) for share in offers()._shares.of_peers.values()) == [3, 3, 3, 3]


@pytest.mark.parametrize("method", ["lend", "lend_late"])
async def test_what_an_actor_answers_is_counted_for_who_asks(method: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SHARE_MAX", 3)
    async with penstock.ActorSystem() as system:
        await system.spawn(Lender, name="lender")
        async with (
            penstock.serve(system, listen="memory://lender") as server,
            penstock.connect(server.urls[0]) as greedy,
            penstock.connect(server.urls[0]) as modest,
        ):
            for peer in (greedy, modest):
                kept = [await getattr(peer.actor(Lender, "lender"), method)() for _ in range(3)]  # one by one, and at once
                asked = [getattr(peer.actor(Lender, "lender"), method)() for _ in range(3)]
                refused = await asyncio.gather(*asked, return_exceptions=True)
                assert [type(one) for one in refused] == [ResourceExhausted] * len(kept)


async def test_what_was_offered_over_a_lost_connection_waits_for_another_but_gives_way(monkeypatch: pytest.MonkeyPatch, apart):
    monkeypatch.setattr(module, "OFFERS_MAX", 3)
    async with linked(Exchange(), gate=False) as pair, penstock.connect(pair.server.urls[0]) as second:
        first = pair.peer
        refs = [await first.service(Exchange).numbers() for _ in range(3)]
        await first.aclose()
        await asyncio.sleep(1)
        await second.service(Exchange).numbers()
        with pytest.raises(NotFound, match="other ends needed its place"):
            await refs[0].claim().receive()
        assert await refs[1].claim().receive() == 0
