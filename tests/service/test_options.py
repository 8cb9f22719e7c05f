"""How a call is made: what may be said, what is refused, and what it does."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock.service import CallOptions
from penstock.testing import SimulatedNetwork
from tests.calls.kit import linked, rest
from tests.session.kit import held_for_peer


class Service:
    def __init__(self):
        self.produced = 0

    async def echo(self, value: int) -> int:
        return value

    async def watch(self, size: int) -> AsyncIterator[bytes]:
        while True:
            self.produced += 1
            yield bytes(size)

    async def metadata(self) -> dict[str, str]:
        return penstock.context().metadata


@pytest.fixture
async def service():
    return Service()


@pytest.fixture
async def pair(service):
    async with linked(service) as pair:
        yield pair


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": "5"}, (TypeError, ValueError)),
        ({"idle_timeout": 0}, ValueError),
        ({"buffer_size": 0}, ValueError),
        ({"buffer_size": -5}, ValueError),
        ({"buffer_size": 1.5}, (TypeError, ValueError)),
        ({"buffer_size": 2**60}, ValueError),
        ({"buffer_bytes": 0}, ValueError),
        ({"priority": "urgent"}, ValueError),
        ({"metadata": {"a": 1}}, TypeError),
        ({"metadata": {1: "a"}}, TypeError),
        ({"metadata": [("a", "b")]}, TypeError),
        ({"metadata": None}, TypeError),
        ({"buffer_size": True}, ValueError),
        ({"buffer_bytes": True}, ValueError),
        ({"buffer_size": "5"}, ValueError),
        ({"timeout": True}, ValueError),
        ({"idle_timeout": True}, ValueError),
        ({"idle_timeout": [5]}, ValueError),
        ({"priority": ["bulk"]}, ValueError),
        ({"timeuot": 5}, TypeError),
        ({"timeuot": 5, "priority": "urgent"}, TypeError),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_and_the_option_is_named(pair, options, error):
    with pytest.raises(error, match=next(iter(options))):
        penstock.options(pair.peer.service(Service), **options)


async def test_an_unknown_option_comes_with_the_one_that_was_meant(pair):
    with pytest.raises(TypeError, match=r"^unknown option 'timeuot' of a call; did you mean 'timeout'\?$"):
        penstock.options(pair.peer.service(Service), timeuot=5)
    with pytest.raises(TypeError, match="known options: buffer_bytes, buffer_size, idle_timeout, metadata, priority, timeout"):
        penstock.options(pair.peer.service(Service), zzz=5)


async def test_only_a_stub_has_options():
    for thing in (object(), Service(), None, Service):
        with pytest.raises(TypeError, match="is not a stub"):
            penstock.options(thing, timeout=1)


async def test_options_add_up_and_leave_the_first_stub_as_it_was(pair):
    first = pair.stub(Service)
    second = penstock.options(first, metadata={"a": "1"})
    third = penstock.options(second, timeout=5)
    fourth = penstock.options(third, metadata={"b": "2"})
    assert await first.metadata() == {}
    assert await second.metadata() == {"a": "1"}
    assert await third.metadata() == {"a": "1"}
    assert await fourth.metadata() == {"b": "2"}


async def test_untyped_calls_take_the_same_options(pair):
    assert await pair.peer.call("Service/metadata", options=CallOptions(metadata={"a": "1"})) == {"a": "1"}
    stream = pair.peer.stream("Service/watch", 1, options=CallOptions(buffer_size=5))
    await rest()
    assert stream.statistics().sent == 5
    await stream.aclose()


@pytest.mark.parametrize("size", [1, 2, 3, 17, 1000])
@pytest.mark.parametrize("item_bytes", [1, 1000, 20_000])
async def test_buffer_size_is_kept_exactly(pair, service, size, item_bytes):
    stream = pair.stub(Service, buffer_size=size).watch(item_bytes)
    await rest()
    assert service.produced == size
    for _ in range(size):
        await stream.receive()
    await rest()
    assert service.produced == 2 * size
    await stream.aclose()


@pytest.mark.parametrize(
    ("window", "item_bytes", "items"), [(1, 100, 1), (1000, 98, 10), (100_000, 1_000_000, 1), (65_536, 20_000, 4)]
)
async def test_buffer_bytes_bounds_the_bytes_and_one_item_always_passes(pair, service, window, item_bytes, items):
    stream = pair.stub(Service, buffer_bytes=window).watch(item_bytes)
    await rest()
    assert items <= service.produced <= items + 1
    waiting = held_for_peer(pair.peer._scope.session)
    assert waiting < window + item_bytes + 2500
    for _ in range(50):
        assert len(await stream.receive()) == item_bytes
    await stream.aclose()


async def test_both_bounds_hold_together(pair, service):
    stream = pair.stub(Service, buffer_bytes=1_000_000, buffer_size=3).watch(10)
    await rest()
    assert service.produced == 3
    await stream.aclose()


async def test_a_buffer_that_nobody_set_starts_at_the_window_and_grows_only_for_a_consumer_that_keeps_up(service):
    window = penstock.Settings().window_items
    with SimulatedNetwork(1, latency_s=(0.02, 0.02)):
        async with linked(service, url="sim://server") as pair:
            stalled = pair.stub(Service).watch(1)
            await asyncio.sleep(1)
            assert service.produced == window
            fast = pair.stub(Service).watch(1)
            for _ in range(100 * window):
                await fast.receive()
            assert fast.statistics().buffer_size > window
            slow = pair.stub(Service).watch(1)
            for _ in range(2 * window):
                await slow.receive()
                await asyncio.sleep(0.01)
            assert slow.statistics().buffer_size == stalled.statistics().buffer_size == window
            for stream in (stalled, fast, slow):
                await stream.aclose()
            await asyncio.sleep(0.1)


async def test_a_service_method_named_like_an_option_is_still_a_method():
    class Odd:
        async def timeout(self) -> str:
            return "a method"

    async with linked(Odd()) as pair:
        assert await penstock.options(pair.peer.service(Odd), timeout=5).timeout() == "a method"


@pytest.mark.parametrize(("idle_timeout", "kept"), [(None, None), (5, 5), (1e9, 1e9), (1.1e9, None), (float("inf"), None)])
def test_an_idle_time_out_above_thirty_years_is_none(idle_timeout, kept):
    assert CallOptions(idle_timeout=idle_timeout).idle_timeout_s == kept


@pytest.mark.parametrize("timeout", [1e13, float("inf")])
async def test_a_time_out_beyond_all_measure_is_none(pair, timeout):
    assert await penstock.options(pair.stub(Service), timeout=timeout, idle_timeout=timeout).echo(4) == 4


async def test_an_option_of_a_wrong_type_leaves_the_other_calls_of_the_connection_alone(pair):
    """FAULTS G3: `buffer_size=True` closed the connection, and all other calls with it."""
    waiting = pair.stub(Service).watch(1)
    with pytest.raises(ValueError, match="buffer_size is True; it takes a whole number"):
        pair.stub(Service, buffer_size=True).watch(1)
    with pytest.raises(ValueError, match="timeout is '5'; it takes seconds above zero"):
        pair.peer.stream("Service/watch", 1, options=CallOptions(timeout="5"))  # type: ignore[arg-type]
    assert await waiting.receive() == b"\0"
    await waiting.aclose()


class Pinch(enum.IntEnum):
    SMALL = 3


class Whole:
    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize("size", [Pinch.SMALL, Whole()])
async def test_a_whole_number_of_another_class_is_a_size(pair, service, size):
    stream = pair.stub(Service, buffer_size=size).watch(1)
    await rest()
    assert service.produced == 3
    await stream.aclose()
