"""The connection of a peer to its relay, made again when it is lost: `RpcWire`. It answers pings and reads the welcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final, Protocol

from penstock._texts import one_line
from penstock._upkeep import upkeep
from penstock.errors import ConnectionLost, InvalidArgument, StatusError, Unavailable
from penstock.peer import Reconnect
from penstock.signalrpc._messages import Message, RpcPing, RpcPong, StreamFrame, Welcome, decode, encode
from penstock.streams import Bell

logger = logging.getLogger("penstock.signalrpc")

#: Seconds for the welcome of a relay.
WELCOME_S: Final = 4.0

_SHOWN: Final = 200


class Carried(Protocol):
    """A connection that carries texts, as a `TextLink`."""

    def send(self, text: bytes) -> None:
        """Send a text; never blocks."""

    def pause_reading(self) -> None:
        """Take no more texts."""

    def resume_reading(self) -> None:
        """Take texts again."""

    def close(self) -> None:
        """End it after all that was sent."""

    def abort(self) -> None:
        """End it at once."""


class Events(Protocol):
    """The calls of a `RpcWire` to its peer."""

    def came_up(self, *, restored: bool) -> None:
        """Learn that there is a connection. restored: the address of this peer is that of the connection before."""

    def went_down(self, error: ConnectionLost) -> None:
        """Learn that the connection was lost; another one may follow."""

    def ended(self, error: Exception) -> None:
        """Learn that there will be no other connection."""

    def writable(self) -> None:
        """Learn that the connection takes messages again."""

    def took(self, message: Message | StreamFrame) -> None:
        """Take a message."""


#: Makes one connection: for a receiver, and the secret of the session before, empty for none.
Dial = Callable[[Any, str], Awaitable[Carried]]


class RpcWire:
    """One connection after the other. client_id and session_id: those of the last welcome. flow: whether the relay is ours."""

    def __init__(self, dial: Dial, events: Events, reconnect: Reconnect | None, heartbeat_s: float) -> None:
        self._dial = dial
        self._events = events
        self._reconnect = reconnect
        self._heartbeat_s = heartbeat_s
        self._link: Carried | None = None
        self._lost: asyncio.Future[Exception | None] | None = None
        self._welcomed: asyncio.Future[None] | None = None
        self._life: asyncio.Task[None] | None = None
        self._outcome: Exception | None = None
        self._changed = Bell()
        self._heard_at = 0.0
        self._late_pong: RpcPong | None = None
        self._has_warned = False
        self.choked = False
        self.client_id = ""
        self.session_id = ""

    @property
    def state(self) -> str:
        """Return "open", "connecting" or "closed"."""
        return "closed" if self._outcome is not None else "open" if self.up else "connecting"

    @property
    def up(self) -> bool:
        """Whether messages can be sent now."""
        return self._link is not None and self._welcomed is not None and self._welcomed.done()

    async def open(self) -> None:
        """Make the first connection. Raises `Unavailable`."""
        try:
            await self._connect()
        except BaseException:
            _drop(self._link)
            raise
        self._life = asyncio.create_task(self._live(), name="signalrpc wire")

    async def aclose(self) -> None:
        """End the connection, in good order."""
        self._finish(Unavailable("this peer was closed", started=False))
        if self._life is not None:
            if self._link is not None and self._lost is not None:
                self._link.close()
                await asyncio.wait([self._lost], timeout=WELCOME_S)
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        _drop(self._link)

    # ── messages out ──────────────────────────────────────────────────────────────────────────────────────────────────

    def send_now(self, message: bytes) -> None:
        """Send a message; without a connection it is dropped."""
        if self._link is not None:
            self._link.send(message)

    async def writable(self) -> None:
        """Wait until there is a connection that takes messages. Raises `Unavailable` when there will be none."""
        while not self.up or self.choked:
            if self._outcome is not None:
                raise Unavailable(str(self._outcome), started=False)
            await self._changed.wait()

    # ── the calls of the link ─────────────────────────────────────────────────────────────────────────────────────────

    def link_made(self, link: Carried) -> None:
        """Take the link."""
        self._link = link
        self.choked = self._has_warned = False
        self._late_pong = None
        self._heard_at = monotonic()

    def take_text(self, text: bytes) -> None:
        """Take a message. One that is not of the protocol is ignored; the first one of a connection is logged."""
        self._heard_at = monotonic()
        try:
            message = decode(text)
        except InvalidArgument as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("ignored a message: %s: %s", error.message, one_line(repr(bytes(text[:_SHOWN])), _SHOWN))
            return
        if isinstance(message, Welcome):
            self._take_welcome(message)
        elif isinstance(message, RpcPing):
            pong = RpcPong(timestamp=message.timestamp)
            self._late_pong = pong if self.choked else None  # of many, while the relay reads nothing, the last one
            if not self.choked:
                self.send_now(encode(pong))
        elif not isinstance(message, RpcPong):
            self._events.took(message)

    def pause_writing(self) -> None:
        """Let senders wait."""
        self.choked = True

    def resume_writing(self) -> None:
        """Let senders go on."""
        self.choked = False
        if self._late_pong is not None:
            self.send_now(encode(self._late_pong))
            self._late_pong = None
        self._changed.notify()
        self._events.writable()

    def link_lost(self, error: Exception | None) -> None:
        """Learn of the end of the link."""
        self._link = None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(error)
        if self._welcomed is not None and not self._welcomed.done():
            self._welcomed.cancel()

    def _take_welcome(self, welcome: Welcome) -> None:
        restored = bool(self.client_id) and welcome.client_id == self.client_id
        self.client_id = welcome.client_id
        self.session_id = welcome.session_id or self.session_id
        if self._welcomed is not None and not self._welcomed.done():
            self._welcomed.set_result(None)
            self._events.came_up(restored=restored)
            self._changed.notify()

    # ── its life ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._lost, self._welcomed = loop.create_future(), loop.create_future()
        await self._dial(self, self.session_id)
        await asyncio.wait([self._welcomed], timeout=WELCOME_S)
        if not self.up:
            _drop(self._link)
            raise Unavailable(f"the relay sent no welcome within {WELCOME_S:g} s", started=False)

    async def _live(self) -> None:
        upkeep(asyncio.current_task() or asyncio.Task)
        while self._lost is not None:
            error = await self._watch(self._lost)
            lost = ConnectionLost("Connection closed" if error is None else f"Connection closed: {error}")
            self._events.went_down(lost)
            if self._reconnect is None or self._outcome is not None or not await self._again(self._reconnect):
                self._finish(lost)
                return

    async def _watch(self, lost: asyncio.Future[Exception | None]) -> Exception | None:
        """Wait for the end of the connection, and end it when the relay does not answer a ping."""
        while True:
            await asyncio.wait([lost], timeout=self._heartbeat_s)
            if lost.done():
                return lost.result()
            silent_s = monotonic() - self._heard_at
            if silent_s > 2 * self._heartbeat_s and self._link is not None:
                self._link.abort()
            elif silent_s >= self._heartbeat_s:
                self.send_now(encode(RpcPing(timestamp=int(monotonic() * 1000))))

    async def _again(self, policy: Reconnect) -> bool:
        began, attempts = monotonic(), 0
        while policy.attempts is None or attempts < policy.attempts:
            await asyncio.sleep(policy.delay_s(monotonic() - began))
            attempts += 1
            try:
                await self._connect()
            except StatusError as error:
                logger.info("no connection to the relay yet: %s", error)
            else:
                return True
        return False

    def _finish(self, error: Exception) -> None:
        if self._outcome is None:
            self._outcome = error
            self._events.ended(error)
            self._changed.notify()


def _drop(link: Carried | None) -> None:
    if link is not None:
        link.abort()
