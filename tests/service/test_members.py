"""Each public method of a class is served, or it is said why not: at the registration, or to a caller of that name."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import pytest

import penstock
from penstock.errors import Unimplemented
from penstock.service import service_of
from tests.calls.kit import linked

P = ParamSpec("P")
R = TypeVar("R")


def logged(method: Callable[P, R]) -> Callable[P, R]:
    """A decorator whose wrapper is a plain function."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(*args, **kwargs)

    return wrapper


def counted(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return await method(*args, **kwargs)

    return wrapper


class Base:
    async def inherited(self, n: int) -> int:
        return n


class Methods(Base):
    @logged
    async def plainly(self, n: int) -> int:
        return n

    @logged
    @counted
    async def doubly(self, n: int) -> int:
        return n

    @logged
    async def numbers(self, n: int) -> AsyncIterator[int]:
        yield n

    @logged
    async def total(self, ns: AsyncIterator[int]) -> int:
        return sum([n async for n in ns])

    @staticmethod
    async def static(n: int) -> int:
        return n

    @staticmethod
    async def static_numbers(n: int) -> AsyncIterator[int]:
        yield n

    @classmethod
    async def of_the_class(cls, n: int) -> int:
        assert issubclass(cls, Base)
        return n

    @staticmethod
    @logged
    async def all_of_it(n: int) -> int:
        return n


class ActorMethods(penstock.Actor, Methods):
    pass


STREAMS = ("numbers", "static_numbers")
ONE_BY_ONE = ("inherited", "plainly", "doubly", "static", "of_the_class", "all_of_it")


async def check(stub: Any) -> None:
    for name in ONE_BY_ONE:
        assert await getattr(stub, name)(3) == 3
        assert await getattr(stub, name)(n=3) == 3
    for name in STREAMS:
        assert [item async for item in getattr(stub, name)(3)] == [3]
    assert await stub.total([1, 2]) == 3


async def test_async_methods_behind_decorators_are_served():
    """FAULTS E5: behind a plain `functools.wraps`, static, of the class, inherited."""
    async with linked(Methods()) as pair:
        await check(pair.stub(Methods))


async def test_an_actor_has_the_same_methods_here_and_from_elsewhere():
    """FAULTS E5."""
    async with penstock.ActorSystem() as system:
        await check(await system.spawn(ActorMethods, name="a"))
        async with linked(system, gate=False) as pair:
            await check(pair.peer.actor(ActorMethods, "a"))


class NotServed:
    closed = 0

    async def good(self) -> int:
        return 1

    async def aclose(self) -> None:
        NotServed.closed += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def __call__(self) -> int:
        return 1

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[int]:
        yield 1

    @logged
    @asynccontextmanager
    async def opened_too(self) -> AsyncIterator[int]:
        yield 1

    @contextmanager
    def held(self) -> Iterator[int]:
        yield 1

    def plain(self) -> int:
        return 1

    number = 3


REASONS = [
    ("aclose", "it ends the object for its owner"),
    ("opened", "it makes a context manager"),
    ("opened_too", "it makes a context manager"),
    ("held", "it makes a context manager"),
    ("plain", "it is not async; write `async def`"),
    ("number", "it is not a method"),
]


class ActorNotServed(penstock.Actor):
    aclose = NotServed.aclose
    opened = NotServed.opened
    opened_too = NotServed.opened_too
    held = NotServed.held
    plain = NotServed.plain
    number = NotServed.number


@pytest.mark.parametrize(("name", "reason"), REASONS)
async def test_what_is_not_served_is_told_with_the_reason_to_a_caller_of_that_name(name, reason):
    """FAULTS E5: context managers, dunders and `aclose` are never served; a plain method is not, and the error says it."""
    async with linked(NotServed()) as pair:
        with pytest.raises(AttributeError, match=f"'{name}' of NotServed cannot be called: {reason}"):
            getattr(pair.stub(NotServed), name)
        with pytest.raises(Unimplemented, match=f"'NotServed/{name}' cannot be called: {reason}"):
            await pair.peer.call(f"NotServed/{name}")
    assert NotServed.closed == 0


@pytest.mark.parametrize(("name", "reason"), REASONS)
async def test_an_actor_says_the_same_here_and_from_elsewhere(name, reason):
    async with penstock.ActorSystem() as system:
        actor = await system.spawn(ActorNotServed, name="a")
        async with linked(system, gate=False) as pair:
            for stub in (actor, pair.peer.actor(ActorNotServed, "a")):
                with pytest.raises(AttributeError, match=f"cannot be called: {reason}"):
                    getattr(stub, name)
            for router in (system, pair.peer):
                with pytest.raises(Unimplemented, match=f"'{name}' of a .* cannot be called: {reason}"):
                    await router.ask("a", name)


def test_only_good_is_served():
    assert list(service_of(NotServed).methods) == ["good"]


class Cached:
    @functools.lru_cache  # noqa: B019 - a mistake, and a frequent one
    async def get(self, n: int) -> int:
        return n


class Partial:
    async def get(self, n: int) -> int:
        return n

    three = functools.partialmethod(get, 3)


class Unwrapped:
    def _decorated(method: Any) -> Any:  # noqa: N805 - a decorator
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await method(*args, **kwargs)

        return wrapper

    @_decorated
    async def get(self, n: int) -> int:
        return n


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (Cached, r"Cached\.get cannot be served: it is an async method inside a _lru_cache_wrapper"),
        (Partial, r"Partial\.three cannot be served: it is an async method inside a partialmethod"),
        (Unwrapped, r"Unwrapped\.get: parameter .* has no fixed shape, .*; a decorator needs functools\.wraps"),
    ],
)
def test_an_async_method_that_cannot_be_served_is_refused_at_the_registration(cls, text):
    """FAULTS E5."""
    with pytest.raises(TypeError, match=text):
        service_of(cls)


# ── docstrings ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Undocumented(penstock.Actor):
    async def get(self) -> int: ...


class UndocumentedProtocol(Protocol):
    async def get(self) -> int: ...


class Documented(penstock.Actor):
    """Mine."""


class Child(Documented): ...


@pytest.mark.parametrize(
    ("cls", "doc"), [(Undocumented, ""), (UndocumentedProtocol, ""), (Documented, "Mine."), (Child, "Mine.")]
)
def test_the_docstring_of_a_class_is_that_of_its_program(cls, doc):
    """FAULTS E6: not that of `Actor` or `Protocol`."""
    assert service_of(cls).doc == doc
