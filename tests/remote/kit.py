"""Two systems of actors that are joined by a connection, on one event loop; and an actor that does what tests need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import penstock
from penstock import Actor, ActorSystem, Settings
from penstock.errors import FailedPrecondition, NotFound, StatusError

A = TypeVar("A")

URL = "memory://actors"
#: Windows that do not grow, so that what may be on its way is known.
SMALL = Settings(window_items=4, max_window_items=4)


class Broken(Exception):
    """A failure that is nobody's answer."""


class Person(penstock.Struct):
    name: str
    age: int = 0


class Desk(Actor):
    """Does some of everything, and keeps a log of what it was sent."""

    def __init__(self) -> None:
        self.total = 0
        self.notes: list[Any] = []
        self.gate = asyncio.Event()
        self.news = self.port("news")

    async def add(self, k: int = 1) -> int:
        self.total += k
        return self.total

    async def add_late(self, k: int = 1) -> int:
        await asyncio.sleep(0)
        self.total += k
        return self.total

    async def older(self, person: Person, *, years: int = 1) -> Person:
        return Person(person.name, person.age + years)

    async def note(self, what: Any) -> None:
        self.notes.append(what)

    async def note_late(self, what: Any) -> Any:
        await asyncio.sleep(0)
        self.notes.append(what)
        return what

    async def noted(self) -> list[Any]:
        return self.notes

    async def wait(self, what: Any = None) -> Any:
        self.notes.append(f"begun {what}")
        await self.gate.wait()
        self.notes.append(f"done {what}")
        return what

    async def sleep(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def missing(self) -> None:
        raise NotFound("no such thing", {"where": "here"})

    async def missing_late(self) -> None:
        await asyncio.sleep(0)
        raise NotFound("no such thing", {"where": "here"})

    async def crash(self) -> None:
        raise Broken("on purpose")

    async def strange(self) -> Any:
        return object()

    async def large(self, size: int) -> bytes:
        return bytes(size)

    async def large_late(self, size: int) -> bytes:
        await asyncio.sleep(0)
        return bytes(size)

    async def ticks(self, count: int = 3) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def sum_of(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def doubled(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number * 2

    async def on_channel(self, channel: penstock.Channel[Any]) -> None:
        if channel.payload == "no":
            await channel.reject("busy")
            return
        await channel.accept({"hello": channel.initiator})
        async for message in channel:
            await channel.send(message)

    async def publish(self, what: Any) -> None:
        await self.news.send(what)

    async def seen(self) -> dict[str, Any]:
        self.notes.append(seen := seen_here())
        return seen

    async def seen_late(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        return await self.seen()

    async def seen_streaming(self) -> AsyncIterator[list[str]]:
        call = penstock.context()
        yield [call.target, call.kind]

    async def seen_later(self) -> None:
        async def later() -> None:
            await asyncio.sleep(0.01)
            try:
                self.notes.append(penstock.context().time_remaining())
            except FailedPrecondition as error:
                self.notes.append(type(error).__name__)

        self.left = asyncio.ensure_future(later())


def seen_here() -> dict[str, Any]:
    """What a handler knows of its call."""
    call = penstock.context()
    return {"target": call.target, "kind": call.kind, "metadata": call.metadata, "left": call.time_remaining()}


class Listener(Actor):
    """Has no method of its own: whatever it is sent, it keeps."""

    def __init__(self) -> None:
        self.messages: list[penstock.Message] = []

    async def receive(self, message: penstock.Message) -> Any:
        self.messages.append(message)
        return message.payload


class Caller(Actor):
    """Asks others for what it is told to."""

    async def ask_there(self, address: str, name: str, payload: Any = None) -> Any:
        return await self.system.ask(address, name, payload)

    async def tell_there(self, address: str, name: str, payload: Any = None) -> None:
        await self.system.tell(address, name, payload)


@dataclass
class Town:
    """`system` is behind `server`; `peer` leads there; `visitors` are the actors of the side that connects."""

    system: ActorSystem
    server: penstock.Server
    peer: penstock.Peer
    visitors: ActorSystem

    @property
    def back(self) -> penstock.Peer:
        """The connection, from the side of the server."""
        (peer,) = self.server.peers
        return peer

    async def desk(self, **spawn: Any) -> tuple[Desk, Any]:
        """Spawn a desk and return its object, and a stub from over the connection."""
        await self.system.spawn(Desk, name="desk", **spawn)
        return self.object("desk", Desk), self.peer.actor(Desk, "desk")

    def object(self, address: str, cls: type[A]) -> A:
        """Return the actor itself."""
        found = self.system._host.cell(address).actor
        assert isinstance(found, cls)
        return found


#: As the default of `connect`.
RECONNECT = penstock.Reconnect()


@asynccontextmanager
async def town(
    url: str = URL,
    *,
    settings: Settings | None = None,
    client_settings: Settings | None = None,
    interceptors: Sequence[Any] = (),
    client_interceptors: Sequence[Any] = (),
    expose_errors: bool = False,
    reconnect: penstock.Reconnect | None = RECONNECT,
) -> AsyncIterator[Town]:
    """Join two systems by a connection."""
    async with (
        ActorSystem("town") as system,
        ActorSystem("visitors") as visitors,
        penstock.serve(system, listen=url, settings=settings, interceptors=interceptors, expose_errors=expose_errors) as server,
        penstock.connect(
            server.urls[0],
            services=[visitors],
            settings=client_settings,
            interceptors=client_interceptors,
            reconnect=reconnect,
        ) as peer,
    ):
        yield Town(system, server, peer, visitors)


async def outcome(work: Any) -> Any:
    """Return the result of `work`, or what it raised."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error


def said(error: StatusError) -> tuple[str, bool]:
    """What an error says of itself: its class, and whether the call was started."""
    return type(error).__name__, error.started
