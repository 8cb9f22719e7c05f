"""Who waits for which answer of a lane. This module knows no stream."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.errors import StatusError
from penstock.rpc.addressed import LaneReply, ShortMessage
from penstock.session import RemoteSink


class Asks:
    """The asks of one lane, by their numbers.

    `number` is that of the last one, `told` what it was when something was told last, `answered` the highest that was
    answered; `given_up` are those that nobody waits for, and of which the other side is still to be told.
    """

    __slots__ = ("answered", "given_up", "number", "told", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.told = -1
        self.answered = 0
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.given_up: list[int] = []

    def hand_out(self, replies: list[LaneReply]) -> None:
        """Give these answers to who waits for them."""
        waiting = self.waiting
        for reply in replies:
            future = waiting.get(reply.id)
            if future is None or future.done():
                continue
            if reply.error is None:
                future.set_result(reply.result)
            else:
                future.set_exception(reply.error.raised())
        self.answered = max(self.answered, replies[-1].id)

    def fail(self, error: StatusError) -> None:
        """There will be no answers."""
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(error.again())

    def tell_given_up(self, sink: RemoteSink[Any]) -> None:
        """Tell the other side, as far as there is room for it."""
        given_up = self.given_up
        while given_up and sink.offer(ShortMessage(-given_up[-1], "", None)):
            given_up.pop()


def seen(future: asyncio.Future[Any]) -> None:
    """Its outcome may be nobody's: who waited for it has left by another way, and that is no error."""
    if future.done() and not future.cancelled():
        future.exception()
