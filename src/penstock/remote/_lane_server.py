"""The actor's end of a lane: messages from one peer to one address, in order, and the answers back (PROTOCOL.md §12).

A reader puts what arrives into the mailbox and waits when that is full, so that credit, and with it the sender, waits too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

from penstock.actors import ActorHost
from penstock.actors.cell import LARGE_BYTES, Cell, Envelope, handling
from penstock.calls import CallInfo, CallScope, Dispatcher, current_call
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
from penstock.protocol import CallKind, Cancel, ReceiveHalf, Status, grant_wished
from penstock.remote._answers import Answers
from penstock.remote._inside import InterceptedMessage
from penstock.remote._method_entry import Addressee, MethodEntry
from penstock.remote._replies import OpenAsks, RemoteReply
from penstock.remote._wire import LaneMessage
from penstock.session import Endpoint, RemoteSource, StreamHandle

log = logging.getLogger("penstock.actor")

#: Messages handled in a row before the answers leave and others get a turn.
TURN_MESSAGES: Final = 256
#: How long messages whose teller has gone wait for room in the mailbox, before they become dead letters.
ORPHAN_S: Final = 5.0


_MESSAGES: Final = MSGPACK.decode_for(LaneMessage)


class LaneServer(Endpoint):
    """One lane, of one peer and one address."""

    def __init__(self, system: ActorHost, address: str, dispatcher: Dispatcher, scope: CallScope, stream: StreamHandle) -> None:
        opened, session = stream.opened, scope.session
        self._to = Addressee(system, address, scope)
        if opened.kind != CallKind.BIDIRECTIONAL or opened.codec != MSGPACK.number:
            raise Unimplemented(f"{opened.target} is a lane: a bidirectional call in msgpack", started=False)
        self.scope = scope
        self.system = system
        self.internal = dispatcher.internal
        self.interceptors = dispatcher.interceptors
        self._address = address
        self._call = CallInfo(opened.target, CallKind.BIDIRECTIONAL.label, "callee", metadata={}, deadline=None, scope=scope)
        self._stream = stream
        self._handled = 0
        self._lost = False
        self._patience: asyncio.TimerHandle | None = None
        stream.begin_handling(self)
        stream.accept_on_arrival(grant_wished(session.settings, opened.wish_items, opened.wish_bytes))
        self._half = cast("ReceiveHalf", stream.receiving)  # there is one: the lane was accepted with a grant
        self._messages = LaneInbox(stream, self._half)
        self.answers = Answers(stream, address, dispatcher.internal)
        self._asks = OpenAsks(system.loop, self.answers)
        self._task = scope.own(self._run())

    # ── what happens to the stream ────────────────────────────────────────────────────────────────────────────────────

    def on_items(self) -> None:
        message = self._messages.take_single()
        if message is not None:
            here = current_call.set(self._call)  # what an answer offers, it offers to this peer
            try:
                if self._handle_single(message):
                    return
            finally:
                current_call.reset(here)
            self._messages.put_back(message)
        self._messages.wake()

    def on_room(self) -> None:
        self.answers.on_room()
        self._asks.changed.notify()

    def on_ended(self, status: Status | None) -> None:
        self._messages.finish(EndOfStream())

    def on_cancelled(self, cancel: Cancel) -> None:
        self.on_lost(Cancelled(f"the caller has given up the lane to {self._address}. {cancel.message}".rstrip()))

    def on_lost(self, error: StatusError) -> None:
        """Nobody waits for answers any more; messages that were told, and are here, are handled all the same."""
        self._lost = True
        self._patience = self.system.loop.call_later(ORPHAN_S, self._task.cancel)
        self._messages.finish(error)
        self.answers.forget()
        self.answers.finish(error)
        self._asks.give_up_all(error)
        self._asks.changed.notify()

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
            self._refuse_the_rest(error)
            self._finish(error)

    async def _read(self) -> None:
        asks = self._asks
        async for message in self._messages:
            self._handled += 1
            if message.id < 0:
                asks.give_up(-message.id, Cancelled(f"{self._address}: its caller has given up this message"))
            else:
                envelope = self._take(message)
                if envelope is not None:
                    await self._post(envelope, message)
            if asks.is_full():
                await asks.wait_while(asks.is_full)
            if not self._handled % TURN_MESSAGES:
                await asyncio.sleep(0)

    def _take(self, message: LaneMessage) -> Envelope | None:
        """Answer a message at once if that can be done; else return it as an envelope. What does not fit is answered."""
        number, to = message.id, self._to
        cell = to.cell
        if number in self._asks.open:
            raise InvalidArgument(f"{cell.address}: number {number} is another ask's, which is not answered yet")
        if self._lost and number:  # its asker is gone
            return None
        if cell.state == "stopped":
            cell = to.refresh()
        try:
            entry = to.entries.get(message.name) or to.resolve(message.name)
            info = entry.info
            if message.sender is not None or message.deadline_ms is not None or message.metadata or self.interceptors:
                info = to.described(entry, message)
            args, kwargs = entry.arguments(message)
        except StatusError as error:
            error.started = False
            self._refuse(message, error)
            return None
        if number and entry.runs_inline and info is entry.info and cell.is_idle():
            self._handle_now(cell, entry, number, args, kwargs)
            return None
        envelope = Envelope(
            cell, entry.name, args, kwargs, "ask" if number else "tell", None, None, info, message.sender, message.waiting
        )
        size = len(message.body)
        if size > LARGE_BYTES:
            envelope.size = size
        if number:
            envelope.reply = self._asks.open[number] = RemoteReply(self._asks, number, info)
        return envelope

    def _handle_single(self, message: LaneMessage) -> bool:
        """Answer a plain ask that came alone, without waking the reader: a turn of the loop is a tenth of its round trip."""
        entry, cell = self._to.entries.get(message.name), self._to.cell
        if entry is None or not entry.runs_inline or message.id <= 0 or self.interceptors or not cell.is_idle():
            return False
        if message.sender is not None or message.deadline_ms is not None or message.metadata:
            return False
        if message.id in self._asks.open or self._asks.is_full():
            return False
        try:
            args, kwargs = entry.arguments(message)
        except StatusError:  # the reader says why
            return False
        self._handled += 1
        self._handle_now(cell, entry, message.id, args, kwargs)
        return True

    def _handle_now(self, cell: Cell, entry: MethodEntry, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            result = cell.handle_now(entry.name, args, kwargs, via="ask", context=entry.context)
        except Exception as error:  # noqa: BLE001 - whatever the handler raised is its answer
            self.answers.refuse(number, error)
        else:
            self.answers.answer(number, result, flush=self._handled == self._half.arrived)

    async def _post(self, envelope: Envelope, message: LaneMessage) -> None:
        buried = True  # by the cell itself, if it has stopped
        try:
            if self.interceptors and envelope.info is not None:
                await InterceptedMessage(self, envelope, envelope.info).posted()
            elif not envelope.cell.post(envelope):
                buried = False
                await envelope.cell.post_when_room(envelope)
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
            self.system.dead_letter(Envelope(self._to.cell, message.name, (), {}, "tell", sender=message.sender), error.message)

    def _refuse_the_rest(self, error: StatusError | None) -> None:
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
        stream = self._stream
        stream.end_handling()
        if self._lost or stream.over:
            return
        if error is None:
            self.answers.close()
        else:
            self.answers.finish(error)
            stream.fail(error)


class LaneInbox(RemoteSource[LaneMessage]):
    """What the reader of a lane iterates over."""

    __slots__ = ()

    def __init__(self, stream: StreamHandle, half: ReceiveHalf) -> None:
        super().__init__(stream.session, stream.opened.target, half, _MESSAGES)
        stream.feed_into(self)
        self.bad_item = InvalidArgument

    def take_single(self) -> LaneMessage | None:
        """Return the one message that is here, for which the reader waits; None when there are more, or the reader is busy."""
        queue = self._half.queue
        if self.waiter is None or len(queue) != 1 or queue[0].items != 1:
            return None
        try:
            return self._take(1)[0]
        except (StatusError, IndexError):  # it cannot be read: the reader will see
            return None

    def put_back(self, message: LaneMessage) -> None:
        """Let the reader have it, before all others."""
        self._chunk = iter((message,))
