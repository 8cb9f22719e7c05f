"""The graph of waits: a wait that would close a circle is refused, instead of hanging.

The message that an actor is handling may wait: for an answer, for room in a mailbox, for the start or end of another actor. Its
actor waits with it, because it handles one message at a time. A wait that closes a circle can never end::

    a ──asks──▶ b ──asks──▶ a                 one message leads to the next: `Envelope.cause`
    a ──asks──▶ b,  b ──asks──▶ a             two at the same time: `Envelope.waits`

A side task may wait, too, and the message that reads its stream waits for it.

A handler can start tasks. It waits for an answer to one of them only if it awaits that task, in whatever way (`is_awaited`). A
task that it leaves running waits for itself alone, and closes no circle.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Final

from penstock._upkeep import upkeep
from penstock.actors.cell._envelope import Envelope, Recipient, chain, handling
from penstock.errors import MailboxFull, ReentrancyError

_Task = asyncio.Task[Any]

#: How often an ask of a task that its handler does not await is looked at again: the handler may await the task later.
LOOK_AGAIN_S: Final = 1.0


class Waiting(AbstractContextManager[None]):
    """``with Waiting(target):`` this task waits for that actor, or for the side task of that envelope."""

    __slots__ = ("_here", "_target", "_task")

    def __init__(self, target: Recipient | Envelope, task: _Task | None = None) -> None:
        self._here = handling.get()
        self._target = target
        self._task = task or (None if self._here is None else current_task())

    def __enter__(self) -> None:
        if self._here is not None:
            self._here.add_wait(id(self), self._target, self._task)

    def __exit__(self, *_exception: object) -> None:
        if self._here is not None:
            self._here.drop_wait(id(self))


class WaitingTask(Waiting):
    """``with WaitingTask(envelope):`` a task of a handler waits for the answer to a message.

    The ask is refused once the handler that started this task awaits it and closes a circle.
    """

    __slots__ = ("_envelope", "_timer")

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope.cell, envelope.asker)
        self._envelope = envelope
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        super().__enter__()
        envelope = self._envelope
        awaited = envelope.cause is not None and is_awaited(envelope.asker, envelope.cause)
        self._look_later(LOOK_AGAIN_S if awaited else 0.0)  # an eager task asks before its handler can await it

    def __exit__(self, *exception: object) -> None:
        if self._timer is not None:  # else it would hold the message and its answer until its time
            self._timer.cancel()
        super().__exit__(*exception)

    def _look_later(self, delay_s: float) -> None:
        self._timer = self._envelope.cell.system.loop.call_later(delay_s, self._look_again)

    @upkeep
    def _look_again(self) -> None:
        envelope, self._timer = self._envelope, None
        if envelope.reply.done():
            return
        try:
            check_cycle(envelope.cell, envelope.cause, envelope.asker)
        except ReentrancyError as error:
            envelope.reply.set_exception(error.with_traceback(None))
            super().__exit__()  # this wait is over: of two that close a circle, one goes on
            self._here = None
        else:
            self._look_later(LOOK_AGAIN_S)


def circle(target: Recipient | Envelope, here: Envelope | None, task: _Task | None) -> list[str]:
    """Return the addresses on the way from `target` to the message `here`, each of which waits for the next.

    Empty without a way, and when the handler of `here` does not wait for `task`. With one, a wait of `task` for `target` would
    never end. It is a breadth-first search, so the way is a shortest.
    """
    first = _work_of(target)
    if here is None or first is None or not is_awaited(task, here):
        return []
    came_from: dict[int, Envelope | None] = {id(first): None}
    todo = [first]
    for envelope in todo:
        if envelope is here:
            return _addresses(envelope, came_from)
        for after in _waited_for(envelope):
            if id(after) not in came_from:
                came_from[id(after)] = envelope
                todo.append(after)
    return []


def _waited_for(envelope: Envelope) -> Iterator[Envelope]:
    """Iterate over the work for which the handler of a message waits."""
    for target, task in (envelope.waits or {}).values():
        work = _work_of(target)
        if work is not None and is_awaited(task, envelope):
            yield work


def _work_of(target: Recipient | Envelope) -> Envelope | None:
    """Return the message that an actor is handling: a wait for the actor is a wait for that."""
    return target if isinstance(target, Envelope) else target.current


def _addresses(last: Envelope, came_from: dict[int, Envelope | None]) -> list[str]:
    addresses: list[str] = []
    envelope: Envelope | None = last
    while envelope is not None:
        addresses.append(envelope.cell.address)
        envelope = came_from[id(envelope)]
    return addresses[::-1]


def check_cycle(cell: Recipient, cause: Envelope | None, task: _Task | None = None) -> None:
    """Raise `ReentrancyError` for an ask of `task`, by default this one, that would wait for itself."""
    if cause is None:
        return
    task = task or current_task()
    path: list[str] = []
    for envelope in waiting_chain(cause, task):
        path.append(envelope.cell.address)
        by_another_process = cell.current is not None and cell.id in envelope.waiting
        if by_another_process or (envelope.cell is cell and cell.current is envelope):
            raise _reentrant(" asks ".join([*reversed(path), cell.address]))
    way = circle(cell, cause, task)
    if way:
        raise _reentrant(f"{way[-1]} asks {', which waits for '.join(way)}")


def check_read(work: Envelope) -> None:
    """Raise `ReentrancyError` for a wait for an item of a stream whose producer waits for its reader."""
    way = circle(work, handling.get(), current_task())
    if way:
        raise _reentrant(f"{way[-1]} reads {work.name!r} of {', which waits for '.join(way)}")


def _reentrant(path: str) -> ReentrancyError:
    return ReentrancyError(
        f"{path}, and would wait for itself: an actor handles one message at a time. Use tell(), or answer first", started=False
    )


def check_room(cell: Recipient, envelope: Envelope, load: str) -> None:
    """Raise `MailboxFull` for a message whose wait for room would never end. The full mailbox holds `load`."""
    here, task = handling.get(), current_task()
    if here is None:
        return
    in_chain = any(cause.cell is cell and cell.current is cause for cause in waiting_chain(here, task))
    if not in_chain and not circle(cell, here, task):
        return
    recipient = "itself" if here.cell is cell else f"{cell.address}, which waits for it,"
    raise MailboxFull(
        f"{here.cell.address} tells {recipient} {envelope.type!r} while the mailbox holds {load}; "
        "waiting for room would be for ever",
        started=False,
    )


def is_waited_for(cell: Recipient) -> bool:
    """Whether the end of an actor has to wait for the message handled here: its own, a descendant's, one it waits for."""
    here = handling.get()
    for envelope in chain(here):
        above: Recipient | None = envelope.cell
        if envelope is not here and envelope.cell.current is not envelope:
            continue
        while above is not None and above is not cell:
            above = above.parent
        if above is cell:
            return True
    return bool(circle(cell, here, current_task()))


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def waiting_chain(envelope: Envelope | None, task: _Task | None) -> Iterator[Envelope]:
    """Iterate over the message whose handler waits for `task`, that whose handler waits for the answer to it, and so on."""
    link = envelope
    while link is not None and is_awaited(task, link):
        yield link
        task, link = link.asker, link.cause


def task_of(envelope: Envelope) -> _Task | None:
    """Return the task in which a message, or side work, is handled; None when it is over, and when its handler never waits."""
    if envelope.task is not None:
        return envelope.task
    cell = envelope.cell
    return cell.task if cell.current is envelope and envelope is not cell.inline_envelope else None


def is_awaited(task: _Task | None, envelope: Envelope) -> bool:
    """Whether the handler of a message goes on only after `task`: it runs there, or awaits it, also by way of others."""
    own = task_of(envelope)
    if own is None or task is None:
        return False
    return task is own or _leads(task, own)


def _leads(task: _Task, own: _Task) -> bool:
    """Whether `own` waits for `task`: the search goes from a future to those that its callbacks wake."""
    seen: set[int] = set()
    todo: list[Any] = [task]
    for future in todo:
        if future is own:
            return True
        woken = [one for callback, _context in future._callbacks or () for one in _woken_by(callback) if id(one) not in seen]
        seen.update(map(id, woken))
        todo += woken
    return False


def _woken_by(callback: Any) -> Iterator[asyncio.Future[Any]]:
    """Iterate over the futures that a callback of `asyncio` sets, and the task that it wakes.

    A task that awaits a future is the object of the callback; `gather`, `wait` and `shield` keep their future in a closure,
    `wait_for` (3.11) in a partial function, and a `TaskGroup`, whose method it is, in an attribute.
    """
    holders = [getattr(callback, "__self__", None), *(callback.args if isinstance(callback, partial) else ())]
    for variable in getattr(callback, "__closure__", None) or ():
        with suppress(ValueError):  # it has no value yet
            holders.append(variable.cell_contents)
    for holder in holders:
        future = holder if isinstance(holder, asyncio.Future) else getattr(holder, "_on_completed_fut", None)
        if isinstance(future, asyncio.Future):
            yield future
