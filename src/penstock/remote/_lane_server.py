"""The actor's end of a lane: messages from one peer to one address, in order, and the answers back (PROTOCOL.md §12).

A reader task puts each message into the mailbox. It waits while the mailbox is full, and gives no credit meanwhile, so the
sender waits too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, cast

from penstock._outcomes import named
from penstock.actors import ActorHost
from penstock.actors.cell import Cell, Envelope
from penstock.calls import CallInfo, CallScope, Dispatcher, current_call
from penstock.codec import MSGPACK
from penstock.errors import (
    ActorStopped,
    Cancelled,
    EndOfStream,
    InvalidArgument,
    MailboxFull,
    StatusError,
    Unavailable,
    Unimplemented,
)
from penstock.protocol import CallKind, Cancel, ReceiveHalf, Status, grant_wished
from penstock.remote._answers import Answers, OpenAsks
from penstock.remote._intercepted import InterceptedMessage
from penstock.remote._method_entry import Addressee, MethodEntry, envelope_of
from penstock.remote._wire import LaneMessage, bound_all, salvaging
from penstock.session import TURN_S, Endpoint, RemoteSource, StreamHandle

log = logging.getLogger("penstock.actor")

#: Messages handled in a row before the answers are written and other tasks get a turn.
TURN_MESSAGES: Final = 256
#: … and messages after which the clock is looked at, as after a large one: when they have taken `TURN_S`, other tasks get a
#: turn, too.
MESSAGES_PER_LOOK: Final = 8
#: A message of more bytes than this takes a while to decode.
LARGE_BYTES: Final = 16 * 1024
#: Seconds that tells of a caller that is gone wait for room in the mailbox, before they become dead letters.
ORPHAN_S: Final = 5.0
_MESSAGES: Final = salvaging(LaneMessage, 2)


class LaneServer(Endpoint):
    """One lane, from one peer to one address. Raises `Unimplemented` for a wrong kind of call, `NotFound` without an actor.

    With interceptors, or where not each client may do everything, the lane to an unknown actor is open, too: each message gets
    its `NotFound` after them.
    """

    def __init__(self, host: ActorHost, address: str, dispatcher: Dispatcher, scope: CallScope, handle: StreamHandle) -> None:
        opened, session = handle.opened, handle.session
        if opened.kind != CallKind.BIDIRECTIONAL or opened.codec != MSGPACK.number:
            raise Unimplemented(f"{opened.target} is a lane: a bidirectional call in msgpack", started=False)
        self._to = Addressee(host, address, scope)
        if not dispatcher.interceptors and not scope.restricted:
            self._to.current()
        self.scope = scope
        self._host = host
        self._dispatcher = dispatcher
        self._interceptors = dispatcher.interceptors
        self._address = address
        self._call = CallInfo(opened.target, CallKind.BIDIRECTIONAL.label, "callee", metadata={}, deadline=None, scope=scope)
        self._handle = handle
        self._handled = 0
        self._lost = False
        self._patience: asyncio.TimerHandle | None = None
        handle.begin_handling(self)
        handle.accept_on_arrival(grant_wished(session.settings, session.hello, opened))
        self._half = cast("ReceiveHalf", handle.receiving)  # there is one: the lane was accepted with a grant
        self._messages = LaneInbox(handle, self._half)
        self.answers = Answers(handle, address, exposed=dispatcher.expose_errors)
        self._asks = OpenAsks(handle, self.answers)
        self._task = scope.own(self._run())

    # ── the events of the stream ──────────────────────────────────────────────────────────────────────────────────────

    def on_items(self) -> None:
        """Answer a lone ask here, without the reader, when its method runs inline; else wake the reader."""
        message = self._messages.pop_single()
        if message is not None:
            token = current_call.set(self._call)  # a ref in the answer is on offer to this peer
            try:
                if self._handle_single(message):
                    return
            finally:
                current_call.reset(token)
            self._messages.push_front(message)
        self._messages.note_arrival(self._host.loop)
        self._messages.wake()

    def on_room(self) -> None:
        self.answers.on_room()
        self._asks.changed.notify()

    def on_ended(self, status: Status | None) -> None:
        self._messages.finish(EndOfStream())

    def on_cancelled(self, cancel: Cancel) -> None:
        self.on_lost(Cancelled(f"the caller has cancelled the lane to {self._address}. {cancel.message}".rstrip()))

    def on_lost(self, error: StatusError) -> None:
        """Drop the asks and answers: the caller is gone. Tells that have arrived still go to the mailbox, for `ORPHAN_S`."""
        self._lost = True
        self._patience = self._host.loop.call_later(ORPHAN_S, self._task.cancel)
        self._messages.finish(error)
        self.answers.drop_unsent()
        self.answers.finish(error)
        self._asks.cancel_all(error)
        self._asks.changed.notify()

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """Hand the messages to the actor, one by one, until the caller ends the lane and every ask is answered."""
        current_call.set(self._call)
        error: StatusError | None = Unavailable(f"{self._address}: this side was closed before the lane was done")
        try:
            await self._read_messages()
            await self._asks.wait_while(self._asks.is_busy)
        except StatusError as raised:  # a message cannot be decoded, or the caller is gone
            error = raised
            if not self._lost:
                log.warning(
                    "%s: a lane from %s ends, and messages on it are lost: %.500s", self._address, self.scope.remote, error
                )
        else:
            error = None
        finally:
            if self._patience is not None:
                self._patience.cancel()
            self._refuse_unread(error)
            self._end_stream(error)

    async def _read_messages(self) -> None:
        """Accept and post each message; wait while too many asks are open, and give other tasks a turn.

        Raises `InvalidArgument` for the id of an ask that is open: the caller breaks the protocol, and the lane ends.
        """
        asks, to = self._asks, self._to
        looked_s = self._host.loop.time()
        async for message in self._messages:
            self._handled += 1
            if message.id < 0:
                asks.cancel(-message.id, Cancelled(f"{self._address}: the caller has cancelled this message"))
            elif message.id in asks.open:
                raise InvalidArgument(f"{self._address}: number {message.id} is already in use by an ask without an answer")
            elif self._lost and message.id:
                pass  # the asker is gone
            elif self._interceptors:
                info = to.announced(message, self._messages.arrived_s)
                reply = asks.expect(message.id, info) if message.id else None
                unwrap = partial(to.unwrap, message, info, asks)
                posting = InterceptedMessage(self.scope, self._dispatcher, info, unwrap, reply)
                await self._post(posting.posted(), message)
                del info, reply, unwrap, posting
            else:
                envelope = self._accept_message(message)
                if envelope is not None:
                    await self._post(envelope, message)
                del envelope
            is_large = len(message.body) > LARGE_BYTES
            del message  # while the lane waits, a message and its refs belong to the actor alone
            if asks.is_full():
                await asks.wait_while(asks.is_full)
            if is_large or not self._handled % MESSAGES_PER_LOOK:
                now_s = self._host.loop.time()
                if now_s - looked_s >= TURN_S or not self._handled % TURN_MESSAGES:
                    await asyncio.sleep(0)
                looked_s = now_s

    def _accept_message(self, message: LaneMessage) -> Envelope | None:
        """Return a message as an envelope to post; None when it was answered here, inline or with an error."""
        number, to = message.id, self._to
        try:
            to.check_access(message)
            cell = to.current()
            entry = to.entries.get(message.name) or to.resolve(cell, message.name)
            info = entry.info
            if message.sender is not None or message.deadline_ms is not None or message.metadata:
                info = to.described(message, self._messages.arrived_s)
                to.check(cell, message)
            args, kwargs = entry.arguments(message)
        except StatusError as error:
            error.started = False
            self._refuse(message, to.refusal(error))
            return None
        if number and entry.runs_inline and info is entry.info and cell.is_idle():
            self._handle_now(cell, entry, number, args, kwargs)
            del args, kwargs  # the traceback of a crash may hold this frame
            return None
        envelope = envelope_of(cell, entry, args, kwargs, (info, message, self._asks))
        if number:
            envelope.reply = self._asks.expect(number, info)
        return envelope

    def _handle_single(self, message: LaneMessage) -> bool:
        """Answer a plain ask that came alone without waking the reader; return False when the reader must handle it.

        A turn of the loop is a tenth of the round trip of such an ask.
        """
        entry, cell = self._to.entries.get(message.name), self._to.cell
        if (
            entry is None
            or cell is None
            or not entry.runs_inline
            or message.id <= 0
            or self._interceptors
            or not cell.is_idle()
        ):
            return False
        if message.sender is not None or message.deadline_ms is not None or message.metadata:
            return False
        if message.id in self._asks.open or self._asks.is_full():
            return False
        try:
            if not self._to.check_access(message):
                return False
            args, kwargs = entry.arguments(message)
        except StatusError:  # the reader does this again and reports the error
            return False
        self._handled += 1
        self._handle_now(cell, entry, message.id, args, kwargs)
        del args, kwargs  # the traceback of a crash may hold this frame
        return True

    def _handle_now(self, cell: Cell, entry: MethodEntry, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler here and answer; flush when no more messages of this lane wait."""
        try:
            result = cell.handle_now(entry.name, args, kwargs, via="ask", context=entry.context and entry.context.copy())
        except Exception as error:  # noqa: BLE001 - any error of the handler is its answer
            self.answers.refuse(number, error, cell.inline_envelope.error_id)
        else:
            self.answers.answer(number, result, flush=self._handled == self._half.arrived)

    async def _post(self, posting: Envelope | Awaitable[None], message: LaneMessage) -> None:
        """Put a message into the mailbox, or wait until `posting` has; wait for room.

        A refusal goes to the asker, or makes a tell a dead letter.
        """
        try:
            if isinstance(posting, Envelope):
                if not posting.cell.post(posting):
                    await posting.cell.post_when_room(posting)
                if posting.reply is not None:
                    posting.reply.message = posting
            else:
                await posting
        except StatusError as error:
            _leave(posting)
            self._refuse(message, error, counted=isinstance(error, ActorStopped | MailboxFull))
        except asyncio.CancelledError:
            _leave(posting)
            self._refuse(
                message, Unavailable("this side was closed while the message waited for room in the mailbox", started=False)
            )
            raise

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, message: LaneMessage, error: StatusError, *, counted: bool = False) -> None:
        """Answer an ask with `error`; log a tell, and make it a dead letter unless its actor has done so (`counted`)."""
        if message.id > 0:
            self._asks.open.pop(message.id, None)
            self.answers.refuse(message.id, error)
        elif message.id == 0:
            text = named(error)  # a record of the log that had the error itself would keep its frames
            log.warning("%s: the tell %.200r is a dead letter: %.500s", self._address, message.name, text)
            if self._to.cell is not None and not counted:
                letter = Envelope(self._to.cell, message.name, (), {}, "tell", sender=message.sender)
                self._host.dead_letter(letter, error.message)

    def _refuse_unread(self, error: StatusError | None) -> None:
        """Refuse the messages that have arrived and will not be handled: asks get an error, tells become dead letters."""
        self._asks.cancel_all(Cancelled(f"{self._address}: this side was closed"))
        if error is None:
            return
        why = Unavailable(f"{error.message}; this message was not begun", started=False)
        try:
            while messages := self._messages._take(TURN_MESSAGES):
                for message in messages:
                    self._refuse(message, why)
        except (EndOfStream, StatusError):
            pass  # no message is left

    def _end_stream(self, error: StatusError | None) -> None:
        """End the stream of the lane, with `error` if there is one, unless the caller has gone."""
        handle = self._handle
        handle.end_handling()
        if self._lost or handle.over:
            return
        if error is None:
            self.answers.close()
        else:
            self.answers.finish(error)
            handle.fail(error)


def _leave(posting: Envelope | Awaitable[None]) -> None:
    if isinstance(posting, Envelope):
        posting.leave()


class LaneInbox(RemoteSource[LaneMessage]):
    """The messages of a lane, for its reader.

    arrived_s: when the message arrived that the reader has taken, a time of the loop's clock; None for just now.
    """

    __slots__ = ("_times", "_values_max", "arrived_s")

    def __init__(self, handle: StreamHandle, half: ReceiveHalf) -> None:
        self._values_max = handle.session.settings.max_item_values
        super().__init__(handle.session, handle.opened.target, half, _MESSAGES)
        self.arrived_s: float | None = None
        self._times: dict[int, float] = {}
        handle.feed_into(self)
        self.bad_item = InvalidArgument
        half.refuse_items()

    @property
    def waits(self) -> bool:
        """Whether the reader waits for a message; one that was cancelled does not."""
        return self.waiter is not None and not self.waiter.done()

    def note_arrival(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note when the last batch arrived, unless its one message is taken in this turn."""
        queue = self._half.queue
        if queue and (not self.waits or queue[-1].items > 1):
            self._times[queue[-1].first] = loop.time()

    def _next_batch(self) -> list[LaneMessage]:
        arrived = self._half.queue[0]
        self.arrived_s = self._times.pop(arrived.first, None)
        messages = super()._next_batch()
        if arrived.is_over_values and messages:
            bound_all(messages, self._values_max)
        return messages

    def pop_single(self) -> LaneMessage | None:
        """Return the only message in the queue; None when there are more, or when the reader does not wait for one."""
        queue = self._half.queue
        if not self.waits or len(queue) != 1 or queue[0].items != 1:
            return None
        try:
            return self._take(1)[0]
        except (StatusError, IndexError):  # it cannot be decoded; the reader raises the error
            return None

    def push_front(self, message: LaneMessage) -> None:
        """Make `message` the next one that the reader gets."""
        self._chunk = iter((message,))
