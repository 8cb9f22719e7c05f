"""`block`: an async context manager whose `await` says how it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import _AsyncGeneratorContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def block(generator: Callable[P, AsyncIterator[T]]) -> Callable[P, _AsyncGeneratorContextManager[T]]:
    """As `contextlib.asynccontextmanager`; but ``await`` raises a `TypeError` that says to write ``async with``."""

    @wraps(generator)
    def enter(*args: P.args, **kwargs: P.kwargs) -> _AsyncGeneratorContextManager[T]:
        return _Block(cast("Any", generator), args, kwargs)

    return enter


class _Block(_AsyncGeneratorContextManager[T]):
    if not TYPE_CHECKING:  # for a type checker, the method would make it awaitable

        def __await__(self) -> NoReturn:
            name = self.gen.__name__
            raise TypeError(f"{name}() is not awaited: use it as a block, `async with {name}(...) as ...:`")
