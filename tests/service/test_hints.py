"""Type hints mean what they mean in the class: type variables of its bases, aliases, annotations, classes inside it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable
from types import ModuleType
from typing import Annotated, Any, Generic, Protocol, TypeVar

import pytest

import penstock
from penstock.service import hints_of, service_of
from tests.calls.kit import linked

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class User(penstock.Struct):
    name: str


class Box(penstock.Struct, Generic[T]):
    content: T


class Store(Generic[T]):
    async def put(self, value: T) -> T:
        assert isinstance(value, User)
        return value

    async def all(self) -> AsyncIterator[T]:
        yield User("Ann")  # type: ignore[misc] # what every subclass here holds

    async def add(self, values: AsyncIterator[T]) -> list[T]:
        return [value async for value in values]

    async def boxed(self, box: Box[T]) -> dict[str, Box[T] | None]:
        return {"a": box, "b": None}


class Users(Store[User]):
    pass


class Table(Store[V], Generic[V, K]):
    async def row(self, key: K) -> dict[K, V]:
        return {key: User("Bob")}  # type: ignore[dict-item]


class Rows(Table[User, int]):
    pass


@pytest.mark.parametrize("cls", [Users, Rows, Store[User], Table[User, int]], ids=str)
async def test_the_values_of_a_generic_method_are_of_the_type_that_the_class_gives_it(cls):
    """FAULTS E1: with arguments in the bases, or at the class itself."""
    async with linked(cls()) as pair:
        stub = pair.peer.service(cls)
        assert await stub.put(User("Eve")) == User("Eve")
        assert [user async for user in stub.all()] == [User("Ann")]
        assert await stub.add([User("Dan")]) == [User("Dan")]
        assert await stub.boxed(Box(User("Zoe"))) == {"a": Box(User("Zoe")), "b": None}
        if issubclass(getattr(cls, "__origin__", cls), Table):
            assert await stub.row(7) == {7: User("Bob")}


class Bare(Store):  # type: ignore[type-arg]
    pass


class OfTheMethod:
    async def same(self, value: V) -> V:
        return value


class InAList:
    async def all(self) -> AsyncIterator[list[V]]:
        yield []


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (
            Store,
            r"Store\.put: parameter `value`: the type variable T is left open.*write it, as in `class Ints\(Store\[int\]\)`",
        ),
        (Bare, r"Bare\.put: parameter `value`: the type variable T is left open.*Store\[int\]"),
        (OfTheMethod, r"OfTheMethod\.same: parameter `value`: the type variable V is left open, .*; write Any$"),
        (InAList, r"InAList\.all: its result: the type variable V is left open"),
    ],
)
async def test_a_type_variable_that_is_left_open_is_refused(cls, text):
    """FAULTS E1."""
    with pytest.raises(TypeError, match=text):
        service_of(cls)
    with pytest.raises(TypeError, match=text):
        async with penstock.serve(cls(), listen="memory://open"):
            pass


class Reader(Protocol[T]):
    async def read(self) -> T: ...


class UserReader(Reader[User], Protocol):
    pass


def test_a_generic_protocol_is_read_with_its_arguments():
    assert service_of(UserReader).methods["read"].response is User
    assert service_of(Reader[User]).methods["read"].response is User
    assert service_of(Reader[User]).name == "Reader"


class Holds(penstock.Actor, Generic[T]):
    def __init__(self, value: T | None = None) -> None:
        self.value = value

    async def swap(self, value: T) -> T:
        assert isinstance(value, User)
        return value


class HoldsUser(Holds[User]):
    """An actor of one type."""


async def test_an_actor_is_read_as_a_service_is():
    async with penstock.ActorSystem() as system:
        with pytest.raises(TypeError, match=r"Holds\.swap: .*T is left open"):
            await system.spawn(Holds)
        await system.spawn(HoldsUser, name="a")
        async with linked(system, gate=False) as pair:
            assert await pair.peer.actor(HoldsUser, "a").swap(User("Ann")) == User("Ann")
            assert await system.ask("a", "swap", {"name": "Ann"}) == User("Ann")
    assert hints_of(HoldsUser, "__init__")["value"] == User | None


class Annotations:
    class Item(penstock.Struct):
        x: int

    async def inner(self) -> Item:
        return self.Item(1)

    async def watch(self) -> Annotated[AsyncIterator[int], "a remark"]:
        yield 1

    def soon(self, n: Annotated[int, "a number"]) -> Awaitable[int]:
        return self._later(n)

    async def _later(self, n: int) -> int:
        return n


async def test_annotated_awaitable_and_inner_classes_are_understood():
    async with linked(Annotations()) as pair:
        stub = pair.stub(Annotations)
        assert await stub.inner() == Annotations.Item(1)
        assert [item async for item in stub.watch()] == [1]
        assert await stub.soon(3) == 3


NEW = """
import penstock
from collections.abc import AsyncIterator

type Name = str
type Pair[A] = tuple[A, A]
type Names = AsyncIterator[Name]
type Many[A] = AsyncIterator[Pair[A]]

class User(penstock.Struct):
    name: Name

class Store[T]:
    async def put(self, value: T) -> T:
        assert isinstance(value, User)
        return value

    async def twice(self, value: Pair[T]) -> Many[T]:
        yield value

    async def lengths(self, names: Names) -> list[int]:
        return [len(name) async for name in names]

class Users(Store[User]):
    pass

class Open:
    async def same[X](self, value: X) -> X:
        return value

type Json = dict[str, Json] | list[Json] | str | None
type Circle = Circle

class Endless:
    async def same(self, value: Json) -> Json:
        return value

class Circular:
    async def same(self, value: Circle) -> int:
        return 1
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases and type parameters are new in Python 3.12")
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"], ids=["evaluated", "as text"])
async def test_the_type_parameters_and_aliases_of_python_3_12_work(future):
    """FAULTS E1."""
    module: Any = ModuleType("new_types")
    sys.modules["new_types"] = module
    try:
        exec(compile(future + NEW, "new_types", "exec", dont_inherit=True), vars(module))
        user = module.User("Ann")
        async with linked(module.Users()) as pair:
            stub = pair.stub(module.Users)
            assert await stub.put(user) == user
            assert [pair async for pair in stub.twice((user, user))] == [(user, user)]
            assert await stub.lengths(["a", "bcd"]) == [1, 3]
        with pytest.raises(TypeError, match=r"Open\.same: parameter `value`: the type variable X is left open"):
            service_of(module.Open)
        with pytest.raises(
            TypeError, match=r"Endless\.same: .* A type alias that contains itself has no end here; make it a Struct"
        ):
            service_of(module.Endless)
        with pytest.raises(TypeError, match=r"Circular\.same: a type alias in its hints stands for itself"):
            service_of(module.Circular)
    finally:
        del sys.modules["new_types"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="a type variable has a default from Python 3.13 on")
def test_a_type_variable_with_a_default_is_not_open():
    module: dict[str, Any] = {}
    exec("class Store[T = int]:\n    async def get(self) -> list[T]: ...\nclass Ints(Store): ...", module)
    assert service_of(module["Ints"]).methods["get"].response == list[int]


class OfNone:
    async def ticks(self) -> AsyncIterator[None]:
        yield None

    async def count(self, ticks: AsyncIterator[None]) -> int:
        return len([tick async for tick in ticks])

    def soon(self) -> Awaitable[None]:
        return self._later()

    async def _later(self) -> None: ...


async def test_a_stream_of_nothing_is_a_stream():
    async with linked(OfNone()) as pair:
        stub = pair.stub(OfNone)
        assert [tick async for tick in stub.ticks()] == [None]
        assert await stub.count([None, None]) == 2
        assert await stub.soon() is None
