"""Who waits for whom: what would wait for itself is refused, instead of hanging. This module waits for nothing.

The message that an actor is handling may wait: for an answer, for room in a mailbox, for another's start or end. Then its actor
waits, too, as it handles one message at a time. A wait that closes a circle can never end::

    a ──asks──▶ b ──asks──▶ a                 one message leads to the next: `Letter.cause`
    a ──asks──▶ b,  b ──asks──▶ a             two at the same time: `Letter.waits`

Work beside the mailbox may wait, too, and is waited for by the message that reads its stream.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from penstock.actors.cell._envelope import Envelope, chain, handling
from penstock.errors import MailboxFull, ReentrancyError

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell


class Waiting(AbstractContextManager[None]):
    """``with Waiting(whom):`` what is handled here waits for that actor, or for that work of one."""

    __slots__ = ("_here", "_whom")

    def __init__(self, whom: Cell | Envelope) -> None:
        self._here = handling.get()
        self._whom = whom

    def __enter__(self) -> None:
        here = self._here
        if here is not None:
            here.waits = [*here.waits, self._whom]

    def __exit__(self, *_exception: object) -> None:
        here = self._here
        if here is not None:
            waits = list(here.waits)
            del waits[next(place for place, whom in enumerate(waits) if whom is self._whom)]
            here.waits = waits


def circle(whom: Cell | Envelope) -> list[str]:
    """Return the addresses on the way from `whom` to what runs here, each of which waits for the next; empty without a way.

    With a way, a wait for `whom` would never end.
    """
    here = handling.get()
    first = _work_of(whom)
    if here is None or first is None:
        return []
    came_from: dict[int, Envelope | None] = {id(first): None}
    todo = [first]
    for envelope in todo:
        if envelope is here:
            return _addresses(envelope, came_from)
        for after in filter(None, map(_work_of, envelope.waits)):
            if id(after) not in came_from:
                came_from[id(after)] = envelope
                todo.append(after)
    return []


def _work_of(whom: Cell | Envelope) -> Envelope | None:
    """Return what an actor is doing: who waits for the actor waits for that."""
    return whom if isinstance(whom, Envelope) else whom.current


def _addresses(last: Envelope, came_from: dict[int, Envelope | None]) -> list[str]:
    found: list[str] = []
    envelope: Envelope | None = last
    while envelope is not None:
        found.append(envelope.cell.address)
        envelope = came_from[id(envelope)]
    return found[::-1]


def check_cycle(cell: Cell, cause: Envelope | None) -> None:
    """Raise `ReentrancyError` for an ask that would wait for itself."""
    path: list[str] = []
    for envelope in chain(cause):
        path.append(envelope.cell.address)
        by_another_process = cell.current is not None and cell.id in envelope.waiting
        if by_another_process or (envelope.cell is cell and cell.current is envelope):
            raise _reentrant(" asks ".join([*reversed(path), cell.address]))
    found = circle(cell)
    if found:
        raise _reentrant(f"{found[-1]} asks {', which waits for '.join(found)}")


def check_read(work: Envelope) -> None:
    """Raise `ReentrancyError` for a wait for an item of a stream that waits for who reads it."""
    found = circle(work)
    if found:
        raise _reentrant(f"{found[-1]} reads {work.name!r} of {', which waits for '.join(found)}")


def _reentrant(who: str) -> ReentrancyError:
    return ReentrancyError(
        f"{who}, and would wait for itself: an actor handles one message at a time. Use tell(), or answer first", started=False
    )


def check_room(cell: Cell, envelope: Envelope) -> None:
    """Raise `MailboxFull` for a message whose wait for room would never end."""
    here = handling.get()
    if here is None:
        return
    found = [cause for cause in chain(here) if cause.cell is cell and cell.current is cause]
    if not found and not circle(cell):
        return
    whom = "itself" if here.cell is cell else f"{cell.address}, which waits for it,"
    raise MailboxFull(
        f"{here.cell.address} tells {whom} {envelope.type!r} while the mailbox holds {cell.queue.load()}; "
        "waiting for room would be for ever",
        started=False,
    )


def is_waited_for(cell: Cell) -> bool:
    """Whether the end of an actor has to wait for what runs here: itself, one below it, one for which it waits."""
    here = handling.get()
    for envelope in chain(here):
        above: Cell | None = envelope.cell
        if envelope is not here and envelope.cell.current is not envelope:
            continue
        while above is not None and above is not cell:
            above = above.parent
        if above is cell:
            return True
    return bool(circle(cell))
