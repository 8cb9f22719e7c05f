"""The actor's end of a lane: messages from one peer to one address, in order, and the answers back (PROTOCOL.md §12).

A reader puts what arrives into the mailbox and waits when that is full, so that credit, and with it the sender, waits too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from penstock.actors.arrivals._answers import Answers
from penstock.actors.arrivals._inside import Inside
from penstock.actors.arrivals._known import Addressee, Known
from penstock.actors.arrivals._messages import Messages
from penstock.actors.arrivals._reply import Asks, RemoteReply
from penstock.actors.cell import LARGE_BYTES, Cell, Letter, World, handle_now, handling
from penstock.codec import MSGPACK
from penstock.errors import (
    ActorStopped,
    Cancelled,
    EndOfStream,
    InvalidArgument,
    StatusError,
    Unavailable,
    Unimplemented,
)
from penstock.protocol import Cancel, Status, WireStream, grant_wished
from penstock.rpc import KINDS, CallInfo, Dispatcher, LaneMessage, Peer, current_call
from penstock.session import NOBODY, Endpoint, status_of

log = logging.getLogger("penstock.actor")

#: Messages handled in a row before the answers leave and others get a turn.
TURN_MESSAGES: Final = 256
#: How long messages whose teller has gone wait for room in the mailbox, before they become dead letters.
ORPHAN_S: Final = 5.0
_BIDIRECTIONAL: Final = 3


class LaneWork(Endpoint):
    """One lane, of one peer and one address."""

    def __init__(self, system: World, address: str, dispatcher: Dispatcher, peer: Peer, stream: WireStream) -> None:
        opened, session = stream.opened, peer.session
        self._to = Addressee(system, address, peer)
        if opened.kind != _BIDIRECTIONAL or opened.codec != MSGPACK.number:
            raise Unimplemented(f"{opened.target} is a lane: a bidirectional call in msgpack", started=False)
        self.peer = peer
        self.system = system
        self.dispatcher = dispatcher
        self.interceptors = dispatcher.interceptors
        self._address = address
        self._call = CallInfo(opened.target, KINDS[opened.kind], "callee", metadata={}, deadline=None, peer=peer)
        self._stream = stream
        self._handled = 0
        self._gone = False
        self._patience: asyncio.TimerHandle | None = None
        session.connection.accept(stream, grant_wished(session.settings, opened.wish_items, opened.wish_bytes))
        stream.endpoint = self
        stream.handled = True
        assert stream.receive is not None  # noqa: S101 - it was accepted with a grant
        self._half = stream.receive
        self._messages = Messages(session, stream, self._half)
        self.answers = Answers(dispatcher, session, stream, address)
        self._asks = Asks(system.loop, self.answers)
        self._task = peer.own(self._run())

    # ── what happens to the stream ────────────────────────────────────────────────────────────────────────────────────

    def on_items(self) -> None:
        message = self._messages.alone()
        if message is not None:
            here = current_call.set(self._call)  # what an answer offers, it offers to this peer
            try:
                if self._handle_alone(message):
                    return
            finally:
                current_call.reset(here)
            self._messages.put_back(message)
        self._messages.wake()

    def on_room(self) -> None:
        self.answers.on_room()
        self._asks.ring()

    def on_ended(self, status: Status | None) -> None:
        self._messages.finish(EndOfStream())

    def on_cancelled(self, cancel: Cancel) -> None:
        self.on_lost(Cancelled(f"the caller has given up the lane to {self._address}. {cancel.message}".rstrip()))

    def on_lost(self, error: StatusError) -> None:
        """Nobody waits for answers any more; messages that were told, and are here, are handled all the same."""
        self._gone = True
        self._patience = self.system.loop.call_later(ORPHAN_S, self._task.cancel)
        self._messages.finish(error)
        self.answers.forget()
        self.answers.finish(error)
        self._asks.give_up_all(error)
        self._asks.ring()

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """Hand the messages to the actor, one by one, until the caller ends the lane and everything is answered."""
        handling.set(None)  # it may have been connected from inside of an actor, or of a call
        current_call.set(self._call)
        error: StatusError | None = Unavailable(f"{self._address}: this side was closed before the lane was done")
        try:
            await self._read()
            await self._asks.wait_while(self._asks.is_busy)
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
        asks = self._asks
        async for message in self._messages:
            self._handled += 1
            if message.id < 0:
                asks.give_up(-message.id, Cancelled(f"{self._address}: its caller has given up this message"))
            else:
                letter = self._take(message)
                if letter is not None:
                    await self._post(letter, message)
            if asks.is_full():
                await asks.wait_while(asks.is_full)
            if not self._handled % TURN_MESSAGES:
                await asyncio.sleep(0)

    def _take(self, message: LaneMessage) -> Letter | None:
        """Answer a message at once if that can be done; else return it as a letter. What does not fit is answered."""
        number, to = message.id, self._to
        cell = to.cell
        if number in self._asks.open:
            raise InvalidArgument(f"{cell.address}: number {number} is another ask's, which is not answered yet")
        if self._gone and number:  # its asker is gone
            return None
        if cell.state == "stopped":
            cell = to.look_again()
        try:
            known = to.known.get(message.name) or to.learn(message.name)
            info = known.info
            if message.sender is not None or message.deadline_ms is not None or message.metadata or self.interceptors:
                info = to.described(known, message)
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
        size = len(message.body)
        if size > LARGE_BYTES:
            letter.size = size
        if number:
            letter.reply = self._asks.open[number] = RemoteReply(self._asks, number, info)
        return letter

    def _handle_alone(self, message: LaneMessage) -> bool:
        """Answer a plain ask that came alone, without waking the reader: a turn of the loop is a tenth of its round trip."""
        known, cell = self._to.known.get(message.name), self._to.cell
        if known is None or not known.instant or message.id <= 0 or self.interceptors or not cell.is_idle():
            return False
        if message.sender is not None or message.deadline_ms is not None or message.metadata:
            return False
        if message.id in self._asks.open or self._asks.is_full():
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

    def _refuse(self, message: LaneMessage, error: StatusError) -> None:
        """Tell the asker; a message that was told is kept where it can be seen."""
        if message.id > 0:
            self._asks.open.pop(message.id, None)
            self.answers.refuse(message.id, error)
        elif message.id == 0:
            log.warning("%s: %r, which nobody waits for, is a dead letter: %r", self._address, message.name, error)
            self.system.bury(Letter(self._to.cell, message.name, (), {}, "tell", sender=message.sender), error.message)

    def _bury_the_rest(self, error: StatusError | None) -> None:
        """What arrived and will not be handled: refused, if somebody waits, else where it can be seen."""
        self._asks.give_up_all(Cancelled(f"{self._address}: this side was closed"))
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
