"""What the run-time reads from a class of actors, once: methods, hooks, the methods that run inline, types of channels."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast, get_args, get_origin

from penstock.channel import Channel
from penstock.codec import check_type, keeps
from penstock.service import Service, hints_of, service_of

#: The methods that the run-time calls, if the class has them.
HOOKS: Final = frozenset(
    {
        "on_start",
        "on_stop",
        "on_child_failed",
        "on_terminated",
        "on_channel",
        "on_channel_open",
        "on_channel_message",
        "on_channel_close",
        "receive",
    }
)


class Profile(NamedTuple):
    """A class of actors as the run-time sees it.

    hooks: the names of the hooks that it defines. inline_methods: the names of the methods without an ``await``, which are
    handled where they are sent when the actor is idle. channel_type: the type of messages on its channels. kept_methods: the
    names of the methods whose arguments can be made again from JSON, by their types.
    """

    service: Service
    hooks: frozenset[str]
    inline_methods: frozenset[str]
    channel_type: Any
    kept_methods: frozenset[str]


def profile_of(cls: type[Any]) -> Profile:
    """Read a class of actors. Raises `TypeError` for a method or channel whose type cannot travel."""
    return _read(cast("Hashable", cls))


def is_actor_class(cls: object) -> bool:
    """Whether `cls` can be spawned: it derives from `penstock.Actor`."""
    return inspect.isclass(cls) and _derives(cast("Hashable", cls))


@lru_cache(maxsize=1024)
def _derives(cls: Any) -> bool:
    return any(_is_base(base) for base in cls.__mro__)


def _is_base(cls: type[Any]) -> bool:
    return cls.__name__ == "Actor" and cls.__module__.startswith("penstock.")


@lru_cache(maxsize=1024)
def _read(cls: Any) -> Profile:
    service = service_of(cls)
    base = next(filter(_is_base, cls.__mro__))
    hooks = frozenset(name for name in HOOKS if getattr(cls, name, None) is not getattr(base, name, None))
    methods = [name for name, method in service.methods.items() if not method.kind]
    inline = frozenset(name for name in [*methods, "receive"] if runs_inline(getattr(cls, name)))
    kept = [name for name, method in service.methods.items() if all(keeps(p.type) for p in method.arguments.parameters)]
    return Profile(service, hooks, inline, _channel_type(cls), frozenset(kept))


def _channel_type(cls: type[Any]) -> Any:
    """Return the type that a channel hook is annotated with (``channel: Channel[Order]``), `Any` without an annotation."""
    for hook in (cls.on_channel, getattr(cls, "on_channel_open", None)):
        if hook is None:
            continue
        try:
            hints = hints_of(cls, hook.__name__)
        except NameError:  # a hint that only a type checker can resolve says nothing here
            continue
        types = [get_args(hint)[0] for hint in hints.values() if get_origin(hint) is Channel]
        if types:
            check_type(types[0], f"{cls.__qualname__}.{hook.__name__}: the messages of its channel")
            return types[0]
    return Any


#: Instructions of CPython 3.11 to 3.14 at which a coroutine may wait; the code of later versions is not judged.
_KNOWN_UNTIL: Final = (3, 15)
_WAITS: Final = frozenset({"GET_AWAITABLE", "GET_AITER", "GET_ANEXT", "BEFORE_ASYNC_WITH", "SEND", "YIELD_VALUE"})
_IS_COROUTINE: Final = inspect.CO_COROUTINE


def runs_inline(function: Any) -> bool:
    """Whether a coroutine function has no ``await`` in its code, nor another instruction that may wait."""
    code = getattr(function, "__code__", None)
    if code is None or sys.version_info >= _KNOWN_UNTIL or not code.co_flags & _IS_COROUTINE:
        return False
    return not any(instruction.opname in _WAITS for instruction in dis.get_instructions(code))
