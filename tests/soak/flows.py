"""How a client plays its part of each kind of flow: it makes or takes the items, and keeps how that ended."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, Final

import penstock
from penstock import SinkRef, SourceRef
from tests.soak.model import Flow, Item, Wrong
from tests.soak.services import ACTORS, Hall

#: How long a deadline, or the time until a flow is cancelled, is for each item of `Flow.at`.
STEP_S: Final = 0.07
#: How long a retained stream is kept after its end: longer than any program takes, with the hours by which its clock jumps.
KEPT_FOR_S: Final = 1e6


class Player:
    """Plays one flow against the server. peer: that of its client; to: the one that a ref is passed on to."""

    def __init__(self, flow: Flow, peer: penstock.Peer, to: penstock.Peer) -> None:
        self.flow = flow
        self.peer = peer
        self.to = to

    async def go(self) -> None:
        """Play the flow to its end, and judge it. Only the end of the program cancels it."""
        flow = self.flow
        work = asyncio.ensure_future(_PLAYS[flow.kind](self))
        if flow.ending in {"cancel", "both"}:
            flow.world.loop.call_later(flow.at * STEP_S, self._cancel, work)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise
        flow.outcome = asyncio.CancelledError() if work.cancelled() else work.exception()
        flow.done = True
        flow.judge()

    def _cancel(self, work: asyncio.Future[None]) -> None:
        work.cancel()
        if self.flow.ending == "both":
            self.flow.world.cancel_handlers(self.flow.client)

    # ── what a client holds ───────────────────────────────────────────────────────────────────────────────────────────

    def _options(self, stub: Any) -> Any:
        flow, options = self.flow, {}
        if flow.buffer is not None:
            options["buffer_size"] = flow.buffer
        if flow.ending == "deadline":
            options["timeout"] = (flow.at + 1) * STEP_S
        if flow.ending == "refused":
            options["metadata"] = {"refuse": "yes"}
        return penstock.options(stub, **options) if options else stub

    @property
    def hall(self) -> Any:
        return self._options(self.peer.service(Hall))

    @property
    def clerk(self) -> Any:
        return self._options(self.peer.actor(ACTORS["clerk"], "clerk"))

    # ── calls of a service ────────────────────────────────────────────────────────────────────────────────────────────

    async def unary(self) -> None:
        hall = self.hall
        await self._numbered(lambda message: hall.add(self.flow.number, message), at_once=self.flow.size % 2 == 0)

    async def watch(self) -> None:
        await self.flow.down.drain(self.hall.watch(self.flow.number), leaves=True)

    async def record(self) -> None:
        flow = self.flow
        count = await self.hall.record(flow.number, flow.up.items())
        if count != flow.up.made.count:
            raise Wrong(f"lost: {count} items were recorded of {flow.up.made.count}")

    async def trade(self) -> None:
        flow = self.flow
        await flow.down.drain(self.hall.trade(flow.number, flow.up.items()), leaves=True)

    async def back(self) -> None:
        await self.hall.back(self.flow.number)

    # ── messages, streams and channels of an actor ────────────────────────────────────────────────────────────────────

    async def asks(self) -> None:
        clerk = self.clerk
        await self._numbered(lambda message: clerk.put(self.flow.number, message), at_once=self.flow.size % 2 == 0)

    async def tells(self) -> None:
        flow, clerk = self.flow, penstock.tell(self.peer.actor(ACTORS["clerk"], "clerk"))
        for message in range(flow.count):
            flow.sent.append(message)
            await clerk.note(flow.number, message)
            await flow.world.pause(flow.pause_s)
        await self.peer.actor(ACTORS["clerk"], "clerk").put(flow.number, flow.count)  # behind all of them
        flow.sent.append(flow.count)

    async def crowd(self) -> None:
        """Ask a busy actor with a small mailbox, all at once: what is refused was not handled."""
        flow, narrow = self.flow, self._options(self.peer.actor(ACTORS["narrow"], "narrow"))
        outcomes = await asyncio.gather(
            *(narrow.put(flow.number, message) for message in range(flow.count)), return_exceptions=True
        )
        for message, outcome in enumerate(outcomes):
            if outcome == message + 1:
                flow.answered.append(message)
            elif isinstance(outcome, penstock.MailboxFull) and message in flow.handled:
                raise Wrong(f"doubled: message {message} was refused, and handled")
            elif not isinstance(outcome, penstock.MailboxFull):
                assert isinstance(outcome, BaseException)
                raise outcome

    async def actor_stream(self) -> None:
        await self.flow.down.drain(self.clerk.items(self.flow.number), leaves=True)

    async def actor_requests(self) -> None:
        flow = self.flow
        count = await self.clerk.record(flow.number, flow.up.items())
        if count != flow.up.made.count:
            raise Wrong(f"lost: {count} items were recorded of {flow.up.made.count}")

    async def channel(self) -> None:
        flow = self.flow
        channel = await self.peer.ref("clerk").open_channel(flow.number, type=Item, timeout=None)
        async with channel:
            sending = asyncio.ensure_future(self._send_all(channel))
            try:
                await flow.down.drain(channel)
                await sending
            finally:
                sending.cancel()
                await asyncio.wait([sending])
                if not sending.cancelled():
                    sending.exception()

    async def _send_all(self, channel: Any) -> None:
        async for item in self.flow.up.items():
            await channel.send(item)
        channel.close_send()

    async def port(self) -> None:
        flow = self.flow
        name = await flow.world.herald(flow.number)
        options = {} if flow.buffer is None else {"buffer_size": flow.buffer}
        async with self.peer.ref(name).subscribe("news", type=Item, **options) as source:
            publishing = asyncio.ensure_future(self._publish(name))
            try:
                await flow.down.drain(source, leaves=True)
            finally:
                publishing.cancel()
                await asyncio.wait([publishing])
                if not publishing.cancelled():
                    publishing.exception()

    async def _publish(self, name: str) -> None:
        await asyncio.sleep(0.01)
        await self.peer.ref(name).ask("publish", self.flow.number, timeout=None)

    # ── ends of streams as values ─────────────────────────────────────────────────────────────────────────────────────

    async def source(self) -> None:
        ref = await self.peer.service(Hall).lend(self.flow.number)
        await self.flow.down.drain(ref.claim(buffer_size=self.flow.buffer), leaves=True)

    async def sink(self) -> None:
        flow = self.flow
        sink, source = penstock.pipe(2)
        filling = asyncio.ensure_future(self.hall.fill(flow.number, SinkRef(sink)))
        del sink
        try:
            await flow.down.drain(source)
            await filling
        finally:
            await source.aclose()
            filling.cancel()
            await asyncio.wait([filling])
            if not filling.cancelled():
                filling.exception()

    async def relay(self) -> None:
        """Give a source to the server, which gives it to another client, which reads it."""
        flow = self.flow
        await self.peer.service(Hall).keep(flow.number, SourceRef(flow.down.items()))
        ref = await self.to.service(Hall).kept(flow.number)
        with flow.world.as_client(flow.world.name_of(self.to)):
            source = ref.claim(buffer_size=flow.buffer)
            del ref
            await flow.down.drain(source, leaves=True)

    async def unclaimed(self) -> None:
        """Get a source, and let nobody read it for longer than it is on offer; then drop it."""
        ref = await self.peer.service(Hall).lend(self.flow.number)
        await asyncio.sleep(self.flow.at * 5)
        del ref
        gc.collect(0)

    async def retained(self) -> None:
        """Follow a stream that outlives its reader. One that leaves comes back as another reader, at the next offset."""
        flow = self.flow
        penstock.retained(f"run-{flow.number}", flow.down.items(), ttl_s=KEPT_FOR_S)
        metadata = {"refuse": "yes"} if flow.ending == "refused" else {}
        options = penstock.CallOptions(buffer_size=flow.buffer, metadata=metadata)
        follower = self.peer.follow(f"run-{flow.number}", type=Item, options=options)
        await flow.down.drain(follower, leaves=True)
        if flow.ending == "leave":
            offset = follower.offset
            if offset != flow.down.taken.count:
                raise Wrong(f"changed: the offset is {offset} after {flow.down.taken.count} items")
            await flow.down.drain(self.peer.follow(f"run-{flow.number}", since=offset, type=Item, options=options))

    # ── shared ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _numbered(self, call: Callable[[int], Awaitable[int]], *, at_once: bool) -> None:
        """Make numbered calls, one by one or all at once, and check the answers."""
        flow = self.flow

        async def one(message: int) -> None:
            if await call(message) != message + 1:
                raise Wrong(f"changed: the answer to message {message}")
            flow.answered.append(message)

        if at_once:
            outcomes = await asyncio.gather(*(one(message) for message in range(flow.count)), return_exceptions=True)
            failed = [outcome for outcome in outcomes if outcome is not None]
            if failed:
                raise failed[0]
            return
        for message in range(flow.count):
            await one(message)
            await flow.world.pause(flow.slow_s)


_PLAYS: Final[dict[str, Callable[[Player], Any]]] = {
    name.replace("_", " "): getattr(Player, name)
    for name in (
        "unary",
        "watch",
        "record",
        "trade",
        "back",
        "asks",
        "tells",
        "crowd",
        "actor_stream",
        "actor_requests",
        "channel",
        "port",
        "source",
        "sink",
        "relay",
        "unclaimed",
        "retained",
    )
}
