"""What a supervisor decides (pure), and that it is carried out: who is restarted, when, how often, and who is told."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import Actor, ActorSystem, Supervision
from penstock.actors._supervision import STRATEGIES, Failures, restarted_with
from tests.actors.kit import Broken, Counter, now, outcome, rest

# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "one_for_some"},
        {"max_restarts": -1},
        {"within": -1.0},
        {"backoff": float("nan")},
        {"backoff_max": float("inf")},
    ],
)
def test_rules_say_what_is_wrong_with_them(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is "):
        Supervision(**wrong)


rules = st.builds(
    Supervision,
    max_restarts=st.integers(0, 8),
    within=st.floats(0, 100),
    backoff=st.floats(0, 10),
    backoff_max=st.floats(0, 100),
)


@given(rules, st.lists(st.tuples(st.floats(0, 50), st.floats(0, 1, exclude_max=True)), max_size=60))
def test_no_window_of_time_holds_more_restarts_than_allowed(rules, failures):
    """And a failure is fatal only when it does."""
    counted, at, restarts = Failures(), 1000.0, []
    for pause, jitter in failures:
        at += pause
        recent = [time for time in restarts if time > at - rules.within]
        delay = counted.count(rules, at, jitter, "again")
        if delay is None:
            assert len(recent) >= rules.max_restarts
            return
        assert len(recent) < rules.max_restarts
        assert 0 <= delay <= rules.backoff_max
        restarts.append(at)


@given(rules, st.integers(0, 2000), st.floats(0, 1, exclude_max=True))
def test_the_delay_doubles_up_to_its_limit_and_is_spread_over_its_upper_half(rules, failures, jitter):
    endless = Supervision(max_restarts=10_000, within=1e6, backoff=rules.backoff, backoff_max=rules.backoff_max)
    counted = Failures()
    for number in range(min(failures, 200)):
        delay = counted.count(endless, 1.0, jitter, "again")
        whole = min(rules.backoff * 2 ** min(number, 64), rules.backoff_max)
        assert delay == pytest.approx(whole * (0.5 + jitter / 2))


def test_failures_long_ago_are_forgiven():
    counted, rules = Failures(), Supervision(max_restarts=1, within=10, backoff=1)
    assert counted.count(rules, 0.0, 0.0, "again") is not None
    assert counted.count(rules, 10.0, 0.0, "again") is not None
    assert counted.count(rules, 19.9, 0.0, "again") is None


@given(st.sampled_from(STRATEGIES), st.integers(1, 8), st.data())
def test_who_is_restarted_together(strategy, count, data):
    siblings = [str(number) for number in range(count)]
    failed = data.draw(st.sampled_from(siblings))
    found = restarted_with(strategy, siblings, failed)
    expected = {
        "one_for_one": [],
        "one_for_all": [name for name in siblings if name != failed],
        "rest_for_one": [name for name in siblings if int(name) > int(failed)],
    }
    assert found == expected[strategy]
    assert restarted_with(strategy, siblings, "a stranger") == []


# ── carried out ───────────────────────────────────────────────────────────────────────────────────────────────────────


def family(strategy="one_for_one", **options):
    class Parent(Actor):
        supervision = Supervision(strategy, **({"backoff": 0.0} | options))

        def __init__(self) -> None:
            self.told: list[tuple[str, str]] = []

        async def on_start(self) -> None:
            for name in "abc":
                await self.spawn(Counter, name=name)

        async def on_child_failed(self, child, error: Exception) -> None:
            self.told.append((child.address, str(error)))

    return Parent


@pytest.mark.parametrize(
    ("strategy", "left"),
    [
        ("one_for_one", {"a": 1, "b": 0, "c": 1}),
        ("one_for_all", {"a": 0, "b": 0, "c": 0}),
        ("rest_for_one", {"a": 1, "b": 0, "c": 0}),
    ],
)
async def test_who_loses_its_state_when_b_fails(system, path, strategy, left):
    await system.spawn(family(strategy), name="p")
    for name in "abc":
        await system.ask(f"p/{name}", "add", 1)
    await outcome(system.ask("p/b", "crash"))
    await rest()
    assert {name: await system.ask(f"p/{name}", "get") for name in "abc"} == left
    assert {name: system.info(f"p/{name}").restarts for name in "abc"} == {name: int(not n) for name, n in left.items()}
    assert system.state("p")["told"] == [("p/b", "on purpose")]
    assert system.info("p").restarts == 0


@pytest.mark.parametrize("own", [True, False])
async def test_the_rules_of_one_child_go_before_its_parent_s(system, path, own):
    class Parent(Actor):
        supervision = Supervision(backoff=0.0)

        async def on_start(self) -> None:
            await self.spawn(Counter, name="a", supervision=Supervision(max_restarts=0) if own else None)

    await system.spawn(Parent, name="p")
    await outcome(system.ask("p/a", "crash"))
    await rest()
    assert [info.address for info in system.list("p/*")] == ([] if own else ["p/a"])


async def test_the_rules_of_the_system_are_for_those_without_a_parent(path):
    async with ActorSystem(supervision=Supervision("one_for_all", backoff=0.0)) as system:
        one, two = await system.spawn(Counter), await system.spawn(Counter)
        await two.add(5)
        await outcome(one.crash())
        await rest()
        assert await two.get() == 0


async def test_too_many_failures_stop_it_for_good(system, path):
    await system.spawn(family(max_restarts=3, within=100.0), name="p")
    for _ in range(3):
        await outcome(system.ask("p/a", "crash"))
    assert await system.ask("p/a", "get") == 0
    await outcome(system.ask("p/a", "crash", "the last straw"))
    await rest()
    assert [info.address for info in system.list("p/*")] == ["p/b", "p/c"]
    assert len(system.state("p")["told"]) == 4


async def test_failures_far_apart_are_no_series(system, path):
    await system.spawn(family(max_restarts=1, within=10.0), name="p")
    for _ in range(20):
        await outcome(system.ask("p/a", "crash"))
        await asyncio.sleep(11)
    assert await system.ask("p/a", "get") == 0
    assert system.info("p/a").restarts == 20


async def test_the_back_off_doubles_and_what_waits_is_handled_after_it(system, path):
    await system.spawn(family(backoff=1.0, backoff_max=4.0, max_restarts=10), name="p")
    waits = []
    for _ in range(5):
        await outcome(system.ask("p/a", "crash"))
        begun = now()
        assert await system.ask("p/a", "add", 1) == 1
        waits.append(now() - begun)
    for wait, whole in zip(waits, [1, 2, 4, 4, 4], strict=True):
        assert whole / 2 <= wait <= whole


async def test_many_that_fail_together_do_not_come_back_together(system):
    counters = [await system.spawn(Counter, supervision=Supervision(backoff=10.0)) for _ in range(200)]
    back = []

    async def crash(counter):
        await outcome(counter.crash())
        await counter.ping()
        back.append(round(now(), 1))

    await asyncio.gather(*(crash(counter) for counter in counters))
    assert len(set(back)) > 20
    assert 5 <= min(back) <= max(back) <= 10


async def test_a_parent_that_fails_over_its_child_s_failure_is_supervised_itself(system):
    class Nervous(Actor):
        async def on_start(self) -> None:
            await self.spawn(Counter, name="child")

        async def on_child_failed(self, child, error: Exception) -> None:
            raise Broken("me too") from error

    await system.spawn(Nervous, name="p", supervision=Supervision(backoff=1.0))
    await outcome(system.ask("p/child", "crash"))
    await asyncio.sleep(2)
    assert system.info("p").restarts == 1
    assert "me too" in system.info("p").error
    assert system.info("p/child").restarts == 0


async def test_all_of_a_family_can_fail_at_the_same_time(system, path):
    await system.spawn(family("one_for_all", max_restarts=100), name="p")
    await asyncio.gather(*(outcome(system.ask(f"p/{name}", "crash")) for name in "abc"))
    await rest()
    assert {name: await system.ask(f"p/{name}", "add", 1) for name in "abc"} == dict.fromkeys("abc", 1)


async def test_a_crash_that_meets_a_stop_ends(system, path):
    await system.spawn(family(), name="p")
    crashing = asyncio.ensure_future(outcome(system.ask("p/a", "crash")))
    await asyncio.gather(system.stop("p"), crashing)
    assert system.list() == []


async def test_a_failed_stream_is_no_failed_actor(system, tape):
    class Half(Actor):
        async def ticks(self):
            yield 1
            raise Broken

    half = await system.spawn(Half, name="half")
    with pytest.raises(Broken):
        async for _ in half.ticks():
            pass
    assert system.info("half").restarts == 0
