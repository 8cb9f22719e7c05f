"""The actor's end of a lane: messages from one peer to one address, in order, and the answers back (PROTOCOL.md §12).

A reader puts what arrives into the mailbox and waits when that is full, so that credit, and with it the sender, waits too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from penstock.actors.arrivals._answers import Answers
from penstock.actors.arrivals._inside import Inside
from penstock.actors.arrivals._known import Known, find
from penstock.actors.arrivals._messages import Messages
from penstock.actors.arrivals._reply import RemoteReply
from penstock.actors.cell import Cell, Letter, handle_now, handling
from penstock.codec import MSGPACK
from penstock.errors import (
    ActorStopped,
    Cancelled,
    DeadlineExceeded,
    EndOfStream,
    InvalidArgument,
    NotFound,
    ReentrancyError,
    StatusError,
    Unavailable,
    Unimplemented,
)
from penstock.protocol import Cancel, Status, WireStream, grant_wished
from penstock.rpc import NO_DEADLINE_S, CallInfo, Dispatcher, LaneMessage, Peer, current_call
from penstock.session import NOBODY, Endpoint, status_of

if TYPE_CHECKING:
    from penstock.actors._system import ActorSystem

#: Asks of one lane that are being worked on, and answers that its caller has not taken: beyond it the lane is not read.
ASKS_MAX: Final = 4096
#: Messages handled in a row before the answers leave and others get a turn.
TURN_MESSAGES: Final = 256
#: How long messages whose teller has gone wait for room in the mailbox, before they become dead letters.
ORPHAN_S: Final = 5.0
_BIDIRECTIONAL: Final = 3


class LaneWork(Endpoint):
    """One lane, of one peer and one address."""

    def __init__(self, system: ActorSystem, address: str, dispatcher: Dispatcher, peer: Peer, stream: WireStream) -> None:
        opened, session = stream.opened, peer.session
        if opened.kind != _BIDIRECTIONAL or opened.codec != MSGPACK.number:
            raise Unimplemented(f"{opened.target} is a lane: a bidirectional call in msgpack", started=False)
        self.asks: dict[int, RemoteReply] = {}
        self.peer = peer
        self.system = system
        self.dispatcher = dispatcher
        self.interceptors = dispatcher.interceptors
        self._address = address
        self._cell: Cell = system.cell(address)
        self._known: dict[str, Known] = {}
        self._stream = stream
        self._handled = 0
        self._gone = False
        self._patience: asyncio.TimerHandle | None = None
        self._bell: asyncio.Future[None] | None = None
        session.connection.accept(stream, grant_wished(session.settings, opened.wish_items, opened.wish_bytes))
        stream.endpoint = self
        stream.handled = True
        assert stream.receive is not None  # noqa: S101 - it was accepted with a grant
        self._half = stream.receive
        self._messages = Messages(session, stream, self._half)
        self.answers = Answers(dispatcher, session, stream, address)
        self._task = peer.own(self._run())

    # ── what happens to the stream ────────────────────────────────────────────────────────────────────────────────────

    def on_items(self) -> None:
        message = self._messages.alone()
        if message is not None:
            if self._handle_alone(message):
                return
            self._messages.put_back(message)
        self._messages.wake()

    def on_room(self) -> None:
        self.answers.on_room()
        self.ring()

    def on_ended(self, status: Status | None) -> None:
        self._messages.finish(EndOfStream())

    def on_cancelled(self, cancel: Cancel) -> None:
        self._leave(Cancelled(f"the caller has given up the lane to {self._address}. {cancel.message}".rstrip()))

    def on_lost(self, error: StatusError) -> None:
        self._leave(error)

    def _leave(self, error: StatusError) -> None:
        """Nobody waits for answers any more; messages that were told, and are here, are handled all the same."""
        self._gone = True
        self._patience = self.system.loop.call_later(ORPHAN_S, self._task.cancel)
        self._messages.finish(error)
        self.answers.forget()
        self.answers.finish(error)
        for ask in tuple(self.asks.values()):
            ask.give_up(error)
        self.ring()

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """Hand the messages to the actor, one by one, until the caller ends the lane and everything is answered."""
        handling.set(None)  # it may have been connected from inside of an actor, or of a call
        current_call.set(None)
        error: StatusError | None = Unavailable(f"{self._address}: this side was closed before the lane was done")
        try:
            await self._read()
            await self._wait_while(self._is_busy)
        except StatusError as raised:  # a message that cannot be read, or the caller is gone
            error = raised
        else:
            error = None
        finally:
            if self._patience is not None:
                self._patience.cancel()
            self._bury_the_rest(error)
            self._finish(error)

    async def _read(self) -> None:
        async for message in self._messages:
            self._handled += 1
            if message.id < 0:
                self._give_up(-message.id)
            else:
                letter = self._take(message)
                if letter is not None:
                    await self._post(letter, message)
            if self._is_full():
                await self._wait_while(self._is_full)
            if not self._handled % TURN_MESSAGES:
                await asyncio.sleep(0)

    def _take(self, message: LaneMessage) -> Letter | None:
        """Answer a message at once if that can be done; else return it as a letter. What does not fit is answered."""
        number, cell = message.id, self._cell
        if number in self.asks:
            raise InvalidArgument(f"{cell.address}: number {number} is another ask's, which is not answered yet")
        if self._gone and number:  # its asker is gone
            return None
        if cell.state == "stopped":
            cell = self._find_again()
        try:
            known = self._known.get(message.name) or self._learn(cell, message.name)
            info = known.info
            if message.sender is not None or message.deadline_ms is not None or message.metadata or self.interceptors:
                info = self._described(cell, known, message)
            args, kwargs = known.arguments(message)
        except StatusError as error:
            error.started = False
            self._refuse(message, error)
            return None
        if number and known.instant and info is known.info and cell.is_idle():
            self._handle_now(cell, known, number, args, kwargs)
            return None
        letter = Letter(
            cell, known.name, args, kwargs, "ask" if number else "tell", None, None, info, message.sender, message.waiting
        )
        if number:
            letter.reply = self.asks[number] = RemoteReply(self, number, info)
        return letter

    def _find_again(self) -> Cell:
        """Return the actor that has the address now: it may be another one. Without one, the one that has stopped."""
        try:
            self._cell = self.system.cell(self._address)
        except NotFound:
            return self._cell
        self._known.clear()
        return self._cell

    def _learn(self, cell: Cell, name: str) -> Known:
        known = find(cell, name, self.peer)
        if known.method is not None:  # of others there are as many as a caller likes
            self._known[name] = known
        return known

    def _described(self, cell: Cell, known: Known, message: LaneMessage) -> CallInfo:
        """Check what a message says beside its name and its body, and write it as the handler will see it."""
        if message.waiting and cell.current is not None and cell.id in message.waiting:
            raise ReentrancyError(
                f"{cell.address} waits, by way of {message.sender}, for this very message. Use tell, or answer first"
            )
        if message.sender is not None:
            message.sender = self.system.seen_from_here(self.peer, message.sender)
        left_s = None if message.deadline_ms is None else message.deadline_ms / 1000
        if left_s is not None and left_s <= 0:
            raise DeadlineExceeded(f"{cell.address}: the deadline of {message.name!r} passed before it began")
        deadline = None if left_s is None or left_s > NO_DEADLINE_S else self.system.loop.time() + left_s
        metadata = message.metadata or {}
        return CallInfo(known.info.target, "unary", "callee", metadata=metadata, deadline=deadline, peer=self.peer)

    def _handle_alone(self, message: LaneMessage) -> bool:
        """Answer a plain ask that came alone, without waking the reader: a turn of the loop is a tenth of its round trip."""
        known, cell = self._known.get(message.name), self._cell
        if known is None or not known.instant or message.id <= 0 or self.interceptors or self._is_full() or not cell.is_idle():
            return False
        if message.sender is not None or message.deadline_ms is not None or message.metadata or message.id in self.asks:
            return False
        try:
            args, kwargs = known.arguments(message)
        except StatusError:  # the reader says why
            return False
        self._handled += 1
        self._handle_now(cell, known, message.id, args, kwargs)
        return True

    def _handle_now(self, cell: Cell, known: Known, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            result = handle_now(cell, known.name, args, kwargs, via="ask", context=known.context)
        except Exception as error:  # noqa: BLE001 - whatever the handler raised is its answer
            self.answers.refuse(number, error)
        else:
            self.answers.answer(number, result, last=self._handled == self._half.arrived)

    async def _post(self, letter: Letter, message: LaneMessage) -> None:
        buried = True  # by the cell itself, if it has stopped
        try:
            if self.interceptors and letter.info is not None:
                await Inside(self, letter, letter.info).posted()
            elif not letter.cell.post(letter):
                buried = False
                await letter.cell.post_when_room(letter)
        except ActorStopped as error:
            if message.id or not buried:
                self._refuse(message, error)
        except StatusError as error:
            self._refuse(message, error)
        except asyncio.CancelledError:
            self._refuse(message, Unavailable("this side was closed while it waited for room in the mailbox", started=False))
            raise

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _give_up(self, number: int) -> None:
        ask = self.asks.get(number)
        if ask is not None:
            ask.give_up(Cancelled(f"{self._address}: its caller has given up this message"))

    def _refuse(self, message: LaneMessage, error: StatusError) -> None:
        """Tell the asker; a message that was told is kept where it can be seen."""
        if message.id > 0:
            self.asks.pop(message.id, None)
            self.answers.refuse(message.id, error)
        elif message.id == 0:
            self.system.bury(Letter(self._cell, message.name, (), {}, "tell", sender=message.sender), error.message)

    def _bury_the_rest(self, error: StatusError | None) -> None:
        """What arrived and will not be handled: refused, if somebody waits, else where it can be seen."""
        for ask in tuple(self.asks.values()):
            ask.give_up(Cancelled(f"{self._address}: this side was closed"))
        if error is None:
            return
        why = Unavailable(f"{error.message}; this message was not begun", started=False)
        try:
            while rest := self._messages._take(TURN_MESSAGES):
                for message in rest:
                    self._refuse(message, why)
        except (EndOfStream, StatusError):
            pass  # that was all

    def _finish(self, error: StatusError | None) -> None:
        stream, session = self._stream, self.peer.session
        stream.endpoint = NOBODY
        session.connection.handled(stream)
        if self._gone or stream.over:
            return
        if error is None:
            self.answers.close()
        else:
            self.answers.finish(error)
            session.connection.fail(stream, status_of(error))
        session.flush_soon()

    def _is_full(self) -> bool:
        return len(self.asks) + len(self.answers.late) >= ASKS_MAX or self.answers.too_late

    def _is_busy(self) -> bool:
        return bool(self.asks or self.answers.late)

    async def _wait_while(self, condition: Any) -> None:
        while condition():
            self._bell = asyncio.get_running_loop().create_future()
            try:
                await self._bell
            finally:
                self._bell = None

    def ring(self) -> None:
        """An ask was answered, or given up, or an answer has left."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)
