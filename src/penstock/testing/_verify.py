"""Check the rules of a stream on any source: ours, yours, or a plain async generator. This module knows no rule itself.

::

    def numbers():
        sink, source = penstock.pipe(buffer_size=4)
        ...                                              # something sends 0 .. 99 into the sink
        return source, range(100)

    checked = await penstock.testing.verify_source(numbers)
    print(checked)                                       # which rules hold, and which could not be checked, and why
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.testing._rules import (
    NotApplicable,
    Reader,
    RuleBroken,
    SourceCase,
    a_cancelled_receive_loses_nothing,
    a_failure_is_typed_and_final,
    a_loop_brings_the_same_items,
    a_second_receiver_is_refused,
    batches_hold_the_same_items,
    closing_frees_the_producer,
    items_come_once_in_order,
    the_end_is_final,
    the_producer_waits_for_the_consumer,
)

#: How long a source may take for one item or its end, unless the caller says otherwise.
PATIENCE_S = 5.0

Given = AsyncIterable[Any] | tuple[AsyncIterable[Any], Sequence[Any]] | SourceCase
Factory = Callable[[], Given | Awaitable[Given]]

_RULES = (
    items_come_once_in_order,
    a_loop_brings_the_same_items,
    batches_hold_the_same_items,
    the_end_is_final,
    a_failure_is_typed_and_final,
    the_producer_waits_for_the_consumer,
    closing_frees_the_producer,
    a_cancelled_receive_loses_nothing,
    a_second_receiver_is_refused,
)


@dataclass(frozen=True, slots=True)
class Verified:
    """Which rules hold, and which could not be checked, with the reason."""

    held: tuple[str, ...]
    skipped: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"holds: {rule}" for rule in self.held]
        return "\n".join(lines + [f"not checked: {rule}: {why}" for rule, why in self.skipped.items()])


async def verify_source(factory: Factory, *, patience_s: float = PATIENCE_S) -> Verified:
    """Check every rule that makes sense for the sources which `factory` makes, and return which those were.

    `factory` is called once for each rule and returns (or is a coroutine that returns) a fresh source, a pair `(source,
    expected items)`, or a `SourceCase` that says more about it. `patience_s` is how long one item may take. Raises
    `RuleBroken`, an `AssertionError`, that lists every rule which does not hold and what happened instead. Under a
    `VirtualClockLoop` it takes no time. Cancelling it closes the source that is being checked.
    """
    broken: list[str] = []
    held: list[str] = []
    skipped: dict[str, str] = {}
    for rule in _RULES:
        name = rule.__name__.replace("_", " ")
        read = Reader(await _case(factory), patience_s)
        try:
            await _check(rule, read)
            held.append(name)
        except RuleBroken as error:
            broken.append(f"{name}: {error}")
        except NotApplicable as reason:
            skipped[name] = str(reason)
        except Exception as error:  # noqa: BLE001 - a source may fail with anything, and the other rules are still checked
            broken.append(f"{name}: it raised {error!r}")
    if broken:
        raise RuleBroken("\n".join(["a source broke the rules", *broken]))
    return Verified(tuple(held), skipped)


async def _check(rule: Callable[[Reader], Awaitable[None]], read: Reader) -> None:
    try:
        await rule(read)
    finally:
        await read.aclose()


async def _case(factory: Factory) -> SourceCase:
    given = factory()
    if inspect.isawaitable(given) and not isinstance(given, AsyncIterable):
        given = await given
    if isinstance(given, SourceCase):
        return given
    if isinstance(given, tuple):
        return SourceCase(*given)
    if isinstance(given, AsyncIterable):
        return SourceCase(given)
    raise TypeError(f"the factory returned {given!r}; a source, (source, items) or a SourceCase was expected")
