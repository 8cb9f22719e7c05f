"""`module:Class`, `module:object` or `path/to/file.py:name` to a service. This module never opens a connection."""

from __future__ import annotations

import inspect
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from penstock.cli._run import Unusable
from penstock.errors import InvalidArgument
from penstock.node import Search, Unloadable, said, shown
from penstock.node import load as load_object
from penstock.service import service_of

#: Frames of these files are no news to who wrote the service.
_NOT_THEIRS: Final = (str(Path(__file__).parent),)


def load(spec: str) -> object:
    """Import what `spec` names. Raises `Unusable` that says what is missing and what may have been meant."""
    try:
        return load_object(spec, Search(Path.cwd(), _can_be_served, "serve"))
    except Unloadable as error:
        raise Unusable(told(error)) from error


def told(error: InvalidArgument) -> str:
    """Show where the user's code raised, when it did, and return the message."""
    print(error.details.get("traceback", ""), file=sys.stderr, end="")
    return error.message


async def make(found: Any, spec: str, stack: AsyncExitStack) -> object:
    """Return the service that was found: an object as it is, one made of a class, or what a function returns.

    What is an async context manager is entered, and left when `stack` is. Raises `Unusable`.
    """
    if inspect.isclass(found) and not hasattr(found, "__aenter__"):
        _check_service(found, spec)
    if inspect.isclass(found) or inspect.isroutine(found):
        _check_parameters(found, spec)
    try:
        made = await _made(found, stack)
    except Exception as error:
        print(shown(error, _NOT_THEIRS), file=sys.stderr, end="")
        raise Unusable(f"{spec} could not be made: {said(error)}") from error
    _check_service(type(made), spec)
    return made


async def _made(found: Any, stack: AsyncExitStack) -> Any:
    made: Any = found() if inspect.isclass(found) or inspect.isroutine(found) else found
    if inspect.isawaitable(made):
        made = await made
    opening: Any = made
    return await stack.enter_async_context(opening) or made if hasattr(made, "__aenter__") else made


def _check_service(kind: type, spec: str) -> None:
    try:
        service_of(kind)
    except TypeError as error:
        raise Unusable(f"{spec} cannot be served: {error}") from None


def _check_parameters(found: Any, spec: str) -> None:
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        name = spec.rpartition(":")[2]
        raise Unusable(
            f"{spec} needs arguments ({error}); write `def make(): return {name}(…)` beside it and serve that, "
            f"{spec.rpartition(':')[0]}:make"
        ) from None
    except ValueError:  # built in, without a signature: it will say so itself
        return


def _can_be_served(kind: type) -> bool:
    try:
        service_of(kind)
    except TypeError:
        return False
    return True
