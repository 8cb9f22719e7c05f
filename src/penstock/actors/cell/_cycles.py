"""The graph of waits: a wait that would close a circle is refused, instead of hanging.

The message that an actor is handling may wait: for an answer, for room in a mailbox, for the start or end of another actor. Its
actor waits with it, because it handles one message at a time. A wait that closes a circle can never end::

    a ──asks──▶ b ──asks──▶ a                 one message leads to the next: `Envelope.cause`
    a ──asks──▶ b,  b ──asks──▶ a             two at the same time: `Envelope.waits`

A side task may wait, too, and the message that reads its stream waits for it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from penstock.actors.cell._envelope import Envelope, Recipient, chain, handling
from penstock.errors import MailboxFull, ReentrancyError


class Waiting(AbstractContextManager[None]):
    """``with Waiting(target):`` the message handled here waits for that actor, or for the side task of that envelope."""

    __slots__ = ("_here", "_target")

    def __init__(self, target: Recipient | Envelope) -> None:
        self._here = handling.get()
        self._target = target

    def __enter__(self) -> None:
        if self._here is not None:
            self._here.add_wait(self._target)

    def __exit__(self, *_exception: object) -> None:
        if self._here is not None:
            self._here.drop_wait(self._target)


def circle(target: Recipient | Envelope) -> list[str]:
    """Return the addresses on the way from `target` to the message handled here, each of which waits for the next.

    Empty without a way. With one, a wait for `target` would never end. It is a breadth-first search, so the way is a shortest.
    """
    here = handling.get()
    first = _work_of(target)
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


def check_cycle(cell: Recipient, cause: Envelope | None) -> None:
    """Raise `ReentrancyError` for an ask that would wait for itself."""
    path: list[str] = []
    for envelope in chain(cause):
        path.append(envelope.cell.address)
        by_another_process = cell.current is not None and cell.id in envelope.waiting
        if by_another_process or (envelope.cell is cell and cell.current is envelope):
            raise _reentrant(" asks ".join([*reversed(path), cell.address]))
    way = circle(cell)
    if way:
        raise _reentrant(f"{way[-1]} asks {', which waits for '.join(way)}")


def check_read(work: Envelope) -> None:
    """Raise `ReentrancyError` for a wait for an item of a stream whose producer waits for its reader."""
    way = circle(work)
    if way:
        raise _reentrant(f"{way[-1]} reads {work.name!r} of {', which waits for '.join(way)}")


def _reentrant(path: str) -> ReentrancyError:
    return ReentrancyError(
        f"{path}, and would wait for itself: an actor handles one message at a time. Use tell(), or answer first", started=False
    )


def check_room(cell: Recipient, envelope: Envelope, load: str) -> None:
    """Raise `MailboxFull` for a message whose wait for room would never end. The full mailbox holds `load`."""
    here = handling.get()
    if here is None:
        return
    in_chain = any(cause.cell is cell and cell.current is cause for cause in chain(here))
    if not in_chain and not circle(cell):
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
    return bool(circle(cell))
