"""A stub has the methods of its actor's class, and nothing else; `tell` and `ref` take stubs, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import penstock
from penstock.actors import ActorStub
from penstock.remote import FarRef
from penstock.service import service_of
from tests.remote.kit import Desk


def stub() -> ActorStub:
    return ActorStub(FarRef(b"x" * 16, "a-1", "desk"), service_of(Desk))


def test_a_method_is_made_once_and_keeps_its_name():
    desk = stub()
    assert desk.add is desk.add
    assert desk.add.__name__ == "add"


def test_what_is_no_method_says_what_may_be_meant():
    with pytest.raises(AttributeError, match="did you mean 'add'"):
        _ = stub().ad
    with pytest.raises(AttributeError):
        _ = stub()._private


def test_only_messages_can_be_told():
    assert callable(penstock.tell(stub()).add)
    with pytest.raises(AttributeError, match="streams"):
        _ = penstock.tell(stub()).ticks


def test_a_method_that_streams_cannot_be_told_by_itself_either():
    with pytest.raises(AttributeError, match="ticks streams; only a message can be told"):
        penstock.tell(stub().ticks)


async def test_a_method_is_told_by_itself_here_and_from_elsewhere():
    """FAULTS E4: the form whose arguments a type checker checks; its result is None."""

    class Counter(penstock.Actor):
        def __init__(self) -> None:
            self.n = 0

        async def add(self, count: int) -> int:
            self.n += count
            return self.n

    async with penstock.ActorSystem() as system:
        counter = await system.spawn(Counter, name="counter")
        assert await penstock.tell(counter.add)(1) is None
        assert await penstock.tell(counter).add(count=1) is None
        async with penstock.serve(system, listen="memory://tell"), penstock.connect("memory://tell") as peer:
            far = peer.actor(Counter, "counter")
            assert await penstock.tell(far.add)(1) is None
            assert await penstock.tell(penstock.options(far, metadata={"a": "b"}).add)(1) is None
            assert await far.add(0) == 4


def test_telling_is_one_stub_for_each():
    desk = stub()
    assert penstock.tell(desk) is penstock.tell(desk)


def test_stubs_of_the_same_actor_are_equal():
    assert stub() == stub()
    assert len({stub(), stub()}) == 1
    assert stub() != "desk"


def test_options_change_the_stub_and_not_the_actor():
    desk = stub()
    other = penstock.options(desk, timeout=1)
    assert other == desk
    assert other is not desk


def test_a_stub_has_its_ref_and_a_ref_is_its_own():
    ref = penstock.ref(stub())
    assert ref.address == "desk"
    assert penstock.ref(ref) is ref


@pytest.mark.parametrize("stranger", [None, "desk", Desk, object(), Desk.add, print])
def test_what_is_no_stub_is_refused(stranger: object):
    with pytest.raises(TypeError, match="not an actor stub"):
        penstock.ref(stranger)
    with pytest.raises(TypeError, match="not an actor stub"):
        penstock.tell(stranger)


async def test_completion_offers_the_methods_of_an_actor():
    class Counter(penstock.Actor):
        async def add(self, count: int) -> int:
            return count

        async def ticks(self) -> AsyncIterator[int]:
            yield 1

    async with penstock.ActorSystem() as system:
        counter = await system.spawn(Counter)
        assert dir(counter) == ["accepts", "add", "describe", "ping", "ticks"]
        assert dir(penstock.tell(counter)) == ["accepts", "add", "describe", "ping"]
