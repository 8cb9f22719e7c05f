"""Check the rules of a stream on any source: ours, yours, or a plain async generator.

::

    def numbers():
        sink, source = penstock.pipe(buffer_size=4)
        ...                                              # a task sends 0 .. 99 into the sink
        return source, range(100)

    checked = await penstock.testing.verify_source(numbers)
    print(checked)                                       # the rules that hold, and those that could not be checked
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
    a_cancelled_step_of_a_loop_loses_nothing,
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

Made = AsyncIterable[Any] | tuple[AsyncIterable[Any], Sequence[Any]] | SourceCase
Factory = Callable[[], Made | Awaitable[Made]]

_RULES = (
    items_come_once_in_order,
    a_loop_brings_the_same_items,
    batches_hold_the_same_items,
    the_end_is_final,
    a_failure_is_typed_and_final,
    the_producer_waits_for_the_consumer,
    closing_frees_the_producer,
    a_cancelled_receive_loses_nothing,
    a_cancelled_step_of_a_loop_loses_nothing,
    a_second_receiver_is_refused,
)


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of `verify_source`: the names of the rules that hold, and of those that were not checked, with the reason."""

    held: tuple[str, ...]
    skipped: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"holds: {rule}" for rule in self.held]
        return "\n".join(lines + [f"not checked: {rule}: {why}" for rule, why in self.skipped.items()])


async def verify_source(factory: Factory, *, patience_s: float = PATIENCE_S) -> Verified:
    """Check every rule that applies to the sources that `factory` makes, and return the names of these rules.

    `factory` is called once for each rule and returns (or is a coroutine that returns) a fresh source, a pair `(source,
    expected items)`, or a `SourceCase` with more facts. `patience_s` is how long one item may take (5 s by default). Raises
    `RuleBroken`, an `AssertionError`, which lists every rule that does not hold and what happened instead, and `TypeError` when
    the factory returns something else. On a `VirtualClockLoop` it takes no real time. Cancelling it closes the source that is
    being checked.
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
        except Exception as error:  # noqa: BLE001 - a source may fail with any error, and the other rules are still checked
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
    made = factory()
    if inspect.isawaitable(made) and not isinstance(made, AsyncIterable):
        made = await made
    if isinstance(made, SourceCase):
        return made
    if isinstance(made, tuple):
        return SourceCase(*made)
    if isinstance(made, AsyncIterable):
        return SourceCase(made)
    raise TypeError(f"the factory returned {made!r}; a source, (source, items) or a SourceCase was expected")
