"""One message on its way to an actor, and which one is being handled here. It decides nothing."""

from __future__ import annotations

import dis
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

from penstock.calls import CallInfo
from penstock.errors import StatusError

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell

Via = Literal["tell", "ask", "timer", "system"]


class Reply(Protocol):
    """Who waits for an answer: an ``asyncio.Future``, or somebody at the other end of a connection."""

    @abstractmethod
    def done(self) -> bool:
        """Whether nobody waits any more."""

    @abstractmethod
    def set_result(self, result: Any, /) -> None:
        """Answer."""

    @abstractmethod
    def set_exception(self, error: Any, /) -> None:
        """Answer with an error."""


class _Nobody:
    """Nobody waits for an answer any more."""

    __slots__ = ()

    def done(self) -> bool:
        return True

    def set_result(self, _result: Any, /) -> None: ...

    def set_exception(self, _error: Any, /) -> None: ...


#: In the place of a future whose answer was taken: one that failed holds its asker's frames, and they the envelope.
NO_REPLY: Final[Reply] = _Nobody()


class Envelope(msgspec.Struct):
    """A message for the actor of `cell`: run its method `name`.

    `cause` is the message whose handler waits for this one's answer; `waiting` names those that wait in other processes;
    `waits` are those, or the work of them, for which its own handler waits now. `size` is what a large one that came from
    elsewhere takes, in bytes; 0 for any other.
    """

    cell: Cell
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    via: Via
    reply: Any = None
    cause: Envelope | None = None
    info: CallInfo | None = None
    sender: str | None = None
    waiting: tuple[str, ...] = ()
    waits: Sequence[Cell | Envelope] = ()
    size: int = 0

    @property
    def type(self) -> str:
        """What it is called in a history: the type of a message that no method answers, else the method."""
        return self.args[0].type if self.name == "receive" and self.args else self.name

    def give_up(self, error: StatusError) -> None:
        """Its asker wants no answer any more."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)


#: The message that is being handled here. Work beside the mailbox has one of its own, which is never `Cell.current`.
handling: ContextVar[Envelope | None] = ContextVar("penstock_handling", default=None)


def chain(envelope: Envelope | None) -> Iterator[Envelope]:
    """Iterate over a message, the one whose handler waits for it, and so on."""
    while envelope is not None:
        yield envelope
        envelope = envelope.cause


def sender_here() -> str | None:
    """Return the address of the actor that runs here."""
    envelope = handling.get()
    return envelope.cell.address if envelope is not None else None


#: What the code of a coroutine has where it may wait (CPython 3.11 to 3.14); of a later one nothing is said.
_KNOWN_UNTIL: Final = (3, 15)
_WAITS: Final = frozenset({"GET_AWAITABLE", "GET_AITER", "GET_ANEXT", "BEFORE_ASYNC_WITH", "SEND", "YIELD_VALUE"})
_INLINE_CODE: Final = 0x80  # inspect.CO_COROUTINE


def never_waits(function: Any) -> bool:
    """Whether a coroutine function has no ``await`` in it, nor anything else that may wait."""
    code = getattr(function, "__code__", None)
    if code is None or sys.version_info >= _KNOWN_UNTIL or not code.co_flags & _INLINE_CODE:
        return False
    return not any(instruction.opname in _WAITS for instruction in dis.get_instructions(code))
