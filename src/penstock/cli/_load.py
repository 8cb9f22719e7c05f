"""From a text like `module:Class` or `path/to/file.py:name` to a service that can be served."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from penstock.cli._run import Unusable, print_traceback
from penstock.node import Search, Unloadable, error_text, user_traceback
from penstock.node import load as load_object
from penstock.service import Exposed, served, service_of

#: Frames of these files are left out of tracebacks: they do not help the author of the service.
_OWN_FILES: Final = (str(Path(__file__).parent),)


def load(spec: str) -> object:
    """Import the object that `spec` names. Raises `Unusable` that says which part is missing."""
    try:
        return load_object(spec, Search(Path.cwd(), _can_be_served, "serve"))
    except Unloadable as error:
        print_traceback(error)
        raise Unusable(error.message) from error


async def make(loaded: Any, spec: str, stack: AsyncExitStack) -> object:
    """Return a service: an object as it is, an instance of a class, or the result of a function.

    A service that is an async context manager is entered, and left with `stack`. Raises `Unusable`.
    """
    if inspect.isclass(loaded) and not hasattr(loaded, "__aenter__"):
        _check(service_of, loaded, spec)
    if inspect.isclass(loaded) or inspect.isroutine(loaded):
        _check_parameters(loaded, spec)
    try:
        made = await _made(loaded, stack)
    except Exception as error:
        print(user_traceback(error, _OWN_FILES), file=sys.stderr, end="")
        raise Unusable(f"{spec} could not be made: {error_text(error)}") from error
    _check(served, made, spec)
    return made


async def _made(loaded: Any, stack: AsyncExitStack) -> Any:
    made: Any = loaded() if inspect.isclass(loaded) or inspect.isroutine(loaded) else loaded
    if inspect.isawaitable(made):
        made = await made
    opening: Any = made
    return await stack.enter_async_context(opening) or made if hasattr(made, "__aenter__") else made


def _check(read: Callable[[Any], object], thing: object, spec: str) -> None:
    try:
        read(thing)
    except TypeError as error:
        raise Unusable(f"{spec} cannot be served: {error}") from None


def _check_parameters(loaded: Any, spec: str) -> None:
    """Raise `Unusable` for a class or function that needs arguments."""
    try:
        inspect.signature(loaded).bind()
    except TypeError as error:
        name = spec.rpartition(":")[2]
        raise Unusable(
            f"{spec} needs arguments ({error}); write `def make(): return {name}(…)` beside it and serve "
            f"{spec.rpartition(':')[0]}:make"
        ) from None
    except ValueError:  # a built-in without a signature: calling it raises the error
        return


def _can_be_served(cls: type) -> bool:
    try:
        service_of(cls)
    except TypeError:
        return cls is Exposed
    return True
