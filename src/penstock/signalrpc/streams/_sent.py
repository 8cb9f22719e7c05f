"""A stream that this peer sends: `SentStream` pulls the items when they may be sent, and learns how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator
from typing import Any, Final

from penstock._outcomes import as_answer, as_internal, ends_the_loop
from penstock.errors import Cancelled, ConnectionLost, DeadlineExceeded, InvalidArgument, ResourceExhausted, StatusError
from penstock.signalrpc._messages import StreamCredit, StreamEnd, StreamFailure, fault_of, raw
from penstock.signalrpc._rates import Rate
from penstock.signalrpc.streams._queue import OutQueue
from penstock.streams import Bell, close_iterator, mark_retrieved

#: The bytes of one item: a relay passes on messages of 1 MiB by default.
SENT_ITEM_BYTES_MAX: Final = 1024 * 1024 - 4096

#: How often a stream is offered again to a receiver that does not ask for it; one of ours says in 10 seconds that it does not.
OFFERED_AGAIN_MAX: Final = 3

#: Seconds in which a peer that is gone may come again, before its streams are lost.
RESUME_S: Final = 30.0


class SentStream:
    """A stream on its way, as `RpcPeer.send_stream` returns it. ``await`` it for its end: it returns the id of the stream.

    id: of the stream. to: the address of the receiver; None for all of the topic. flow: whether the receiver bounds it.
    run: the word that tells it from other streams of its id, before and after it.

    It raises the error with which the stream has failed, `StreamCancelled` when the receiver has left, `Cancelled` after
    `abort`, and `ConnectionLost`. With flow control its end is when all items have arrived, else when the connection has them.
    """

    def __init__(self, stream_id: str, to: str | None, rate: Rate, resume_s: float) -> None:
        self.id = stream_id
        self.to = to
        self.flow = False
        self.run = ""
        self._rate = rate
        self._resume_s = resume_s
        self._queue: OutQueue
        self.changed = Bell()
        self._absent: asyncio.TimerHandle | None = None
        self._offers = 0
        self._task: asyncio.Task[None]
        self._done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<SentStream {self.id} {'over' if self._done.done() else 'open'}, {self.pulled} pulled>"

    def __await__(self) -> Generator[Any, None, str]:
        return asyncio.shield(self._done).__await__()

    @property
    def pulled(self) -> int:
        """How many items were taken from the iterable."""
        return self._queue.ledger.sent

    def start(self, items: AsyncIterable[Any], queue: OutQueue, when_over: Callable[[SentStream], None]) -> None:
        """Begin to send."""
        self._queue = queue
        self.flow, self.run = queue.flow, queue.run
        self._task = asyncio.create_task(self._run(items), name=f"signalrpc stream {self.id}")
        self._task.add_done_callback(lambda _: self._end(when_over))

    def abort(self, error: StatusError | None = None, *, tell: bool = True) -> None:
        """End it before its end: the iterable is closed, and the receiver is told, unless it has left by itself."""
        if not self._done.done():
            error = error or Cancelled("Stream aborted")
            self._queue.cut(_failure(self._queue, error) if tell else None)
            self._settle(error)
            self._task.cancel()

    async def wait_closed(self) -> None:
        """Wait until the iterable is closed, too."""
        await asyncio.wait([self._task])

    # ── the calls of the table ────────────────────────────────────────────────────────────────────────────────────────

    def take_credit(self, credit: StreamCredit) -> bool:
        """Take the credit of the receiver; return whether it has all items, and the end."""
        if self._absent is not None:
            self._absent.cancel()
            self._absent = None
        if credit.rate is not None:
            self._rate.slow_to(*credit.rate)
        try:
            self._queue.take_credit(credit)
        except InvalidArgument as error:
            self.abort(error)
        return self._queue.settled

    def take_absence(self, why: str) -> None:
        """Learn that the receiver cannot be reached: with flow control it may come again."""
        if not self.flow:
            self.abort(ConnectionLost(why), tell=False)
        elif self._absent is None:
            lost = ConnectionLost(f"{why}, and it did not come again within {self._resume_s:g} s")
            self._absent = asyncio.get_running_loop().call_later(self._resume_s, lambda: self.abort(lost, tell=False))

    def offer_again(self) -> None:
        """Look whether the receiver is still there. One that has not asked for the stream after some offers wants none."""
        self._offers += 1
        if self._queue.ledger.limit == 0 and self._offers > OFFERED_AGAIN_MAX:
            self.abort(DeadlineExceeded("the receiver has not asked for the stream in time"))
        elif self._absent is None:
            self._queue.open()

    def came_up(self, *, restored: bool) -> None:
        """Ask the receiver how far it is, on a new connection; under another address it would not know this peer."""
        if restored:
            self._queue.open(resume=True)
        else:
            self.abort(ConnectionLost("this peer has another address on its new connection"), tell=False)

    # ── items ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, items: AsyncIterable[Any]) -> None:
        iterator = aiter(items)
        outcome: StatusError | None = None
        try:
            if self.flow:
                self._queue.open()
            await self._pull(iterator)
        except asyncio.CancelledError:
            self.abort()
            raise
        except BaseException as error:  # the receiver is told of any
            outcome = as_answer(error, "the producer") or as_internal(error, f"the stream {self.id}", exposed=False)
            if ends_the_loop(error):
                raise
        finally:
            await close_iterator(iterator)
        self._queue.finish(_failure(self._queue, outcome) if outcome is not None else StreamEnd(**self._queue.fields()))
        while not (self._queue.settled or self._done.done()):
            await self.changed.wait()
        self._settle(outcome)

    async def _pull(self, iterator: AsyncIterator[Any]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._queue.may_pull:
                await self.changed.wait()
            if delay := self._rate.delay_s(loop.time()):
                await asyncio.sleep(delay)
                continue
            try:
                item = raw(await anext(iterator))
            except StopAsyncIteration:
                return
            if self._done.done():  # it was aborted, and the iterable has gone on
                return
            if len(item) > SENT_ITEM_BYTES_MAX:
                raise ResourceExhausted(f"an item of {len(item)} bytes does not fit a message of {SENT_ITEM_BYTES_MAX}")
            self._rate.spend(len(item))
            self._queue.put(item)

    def _end(self, when_over: Callable[[SentStream], None]) -> None:
        """Forget it; a producer that could not even be closed has failed."""
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            self.abort(as_answer(error, "the producer") or as_internal(error, f"the stream {self.id}", exposed=False))
        when_over(self)

    def _settle(self, error: Exception | None) -> None:
        if self._absent is not None:
            self._absent.cancel()
        if not self._done.done():
            if error is None:
                self._done.set_result(self.id)
            else:
                self._done.set_exception(error)
                mark_retrieved(self._done)


def _failure(queue: OutQueue, error: StatusError) -> StreamFailure:
    fault = fault_of(error)
    return StreamFailure(**queue.fields(), error=fault.message, code=fault.code, reason=fault.reason)
