"""The context of a call is that call's: a variable is seen by what its setter started, and by nothing else.

A handler sees what the interceptors of its own side have set for this call, whatever kind of handler it is. It sees nothing
that callers, other calls, earlier messages, or the programs that serve and connect have set. Each handler here returns what it
sees, and then sets the variable, for the next one to find.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

import pytest

import penstock
from penstock import Actor, ActorSystem, Channel, Message, options, ref, tell

INSIDE = "set by an interceptor of the caller"
mark: ContextVar[str] = ContextVar("mark", default="clean")


def look(who: str) -> str:
    """Return what is seen here, and leave something to be seen."""
    seen = mark.get()
    mark.set(f"set by {who}")
    return seen


class Looks:
    """Every kind of handler, of a service or an actor."""

    async def quick(self) -> str:
        return look("quick")

    async def late(self) -> str:
        await asyncio.sleep(0)
        seen = look("late")
        await asyncio.sleep(0)
        assert mark.get() == "set by late"
        return seen

    async def by_a_task(self) -> str:
        async def inner() -> str:
            await asyncio.sleep(0)
            return look("a task")

        seen = await asyncio.create_task(inner())
        assert mark.get() == seen, "a task has a context of its own"
        return seen

    async def numbers(self) -> AsyncIterator[str]:
        yield look("numbers")
        await asyncio.sleep(0)
        assert mark.get() == "set by numbers"

    async def collect(self, items: AsyncIterator[str]) -> str:
        async for _ in items:
            await asyncio.sleep(0)
        return look("collect")

    async def both(self, items: AsyncIterator[str]) -> AsyncIterator[str]:
        async for _ in items:
            yield look("both")
            return


class Looker(Looks, Actor):
    """As an actor, which has more kinds of handlers."""

    def __init__(self) -> None:
        self.told: list[str] = []
        look("__init__")

    async def on_start(self) -> None:
        self.started = look("on_start")

    async def on_stop(self) -> None:
        stopped.append(look("on_stop"))

    async def tick(self) -> None:
        self.told.append(look("tick"))

    async def tick_soon(self) -> None:
        look("tick_soon")
        self.schedule(0, "tick")

    async def note(self) -> None:
        await asyncio.sleep(0)
        self.told.append(look("note"))

    async def taken(self) -> list[str]:
        told, self.told = self.told, []
        return [self.started, *told]

    async def child(self) -> str:
        child = await self.spawn(Looker)
        return (await child.taken())[0]

    async def receive(self, message: Message) -> str:
        return look(f"receive {message.type}")

    async def on_channel(self, channel: Channel[str]) -> None:
        await channel.accept(look("on_channel"))
        async for _ in channel:
            await channel.send(mark.get())


class Calls(Actor):
    """Handles a channel by callbacks, each of which is a message."""

    async def on_channel_open(self, channel: Channel[str]) -> str:
        await asyncio.sleep(0)
        return look("on_channel_open")

    async def on_channel_message(self, channel: Channel[str], message: str) -> None:
        await channel.send(look("on_channel_message"))


stopped: list[str] = []


async def kinds(stub: Looks, name: str) -> list[str]:
    """Call every kind of handler twice, one after the other and all at once; return what each has seen."""

    async def items() -> AsyncIterator[str]:
        assert mark.get() in {name, INSIDE}, "a request stream runs where its call does: inside the interceptors of the caller"
        yield "item"
        assert mark.get() in {name, INSIDE}

    async def read(stream: AsyncIterator[str]) -> str:
        return "".join([item async for item in stream])

    def calls():
        return [
            stub.quick(),
            stub.late(),
            stub.by_a_task(),
            read(stub.numbers()),
            stub.collect(items()),
            read(stub.both(items())),
        ]

    return [*[await call for call in calls()], *await asyncio.gather(*calls(), *calls())]


async def channels(actor: object) -> list[str]:
    found = []
    for _ in range(2):
        async with await ref(actor).open_channel("hello") as channel:
            await channel.send("x")
            found += [channel.accepted, await channel.receive()]
    return found


@asynccontextmanager
async def linked(scheme: str, folder, *, guarded: bool, connections: int = 3):
    """Yield a stub of the service, and stubs of the actors, for each connection; for "local" those of the system."""

    @asynccontextmanager
    async def guard(call: penstock.CallInfo) -> AsyncIterator[None]:
        mark.set(f"guard of {call.metadata.get('n', '-')}")
        await asyncio.sleep(0)
        yield

    @asynccontextmanager
    async def caller(call: penstock.CallInfo) -> AsyncIterator[None]:
        token = mark.set(INSIDE)
        yield
        mark.reset(token)

    url = {"memory": "memory://law", "tcp": "tcp://127.0.0.1:0", "unix": f"unix://{folder}/s"}
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(ActorSystem())
        looker, calls = await system.spawn(Looker, name="looker"), await system.spawn(Calls, name="calls")
        if scheme == "local":
            yield [(None, looker, calls)]
            return
        server = await stack.enter_async_context(
            penstock.serve(Looks(), system, listen=url[scheme], interceptors=[guard] if guarded else [])
        )
        peers = [
            await stack.enter_async_context(penstock.connect(server.urls[0], interceptors=[caller] if at else []))
            for at in range(connections)
        ]
        yield [(peer.service(Looks), peer.actor(Looker, "looker"), peer.actor(Calls, "calls")) for peer in peers]


SCHEMES = ["local", "memory", "tcp", "unix"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_handler_sees_no_variable_that_its_own_side_has_not_set_for_it(scheme, tmp_path):
    """FAULTS C1, C3: concurrent callers with variables of their own, on several connections, for every kind of handler."""
    mark.set("the program")

    async def use(number: int, stubs) -> list[str]:
        mark.set(name := f"caller {number}")
        service, looker, _calls = stubs
        found = [] if service is None else await kinds(service, name)
        found += await kinds(looker, name)
        found += await channels(looker) if scheme == "local" else []
        found += [await ref(looker).ask("anything"), await looker.child(), await looker.child()]
        await tell(looker).note()
        await looker.tick_soon()
        await asyncio.sleep(0)
        found += await looker.taken()
        assert mark.get() == name, "a call leaves nothing in the context of its caller"
        return found

    async with linked(scheme, tmp_path, guarded=False) as stubs:
        for _ in range(2):
            found = await asyncio.gather(*(use(number, one) for number, one in enumerate(stubs)))
            # what a channel's own handler has set is seen by that handler alone
            assert {seen for one in found for seen in one} <= {"clean", "set by on_channel"}
        stopped.clear()
    assert set(stopped) == {"clean"}
    assert mark.get() == "the program"


@pytest.mark.parametrize("scheme", SCHEMES[1:])
async def test_what_an_interceptor_of_the_callee_sets_reaches_the_handler_whatever_it_is(scheme, tmp_path):
    """FAULTS C2: each call has its own value, also of concurrent calls on several connections."""

    async def use(number: int, stubs) -> tuple[set[str], str]:
        mark.set(name := f"caller {number}")
        service, looker, _calls = (options(stub, metadata={"n": str(number)}) for stub in stubs)
        found = await kinds(service, name) + await kinds(looker, name) + [await looker.child()]
        return set(found) - {"clean"}, f"guard of {number}"

    async with linked(scheme, tmp_path, guarded=True) as stubs:
        for found, expected in await asyncio.gather(*(use(number, one) for number, one in enumerate(stubs))):
            assert found == {expected}
        _service, looker, calls = stubs[0]
        assert await ref(looker).ask("anything") == "guard of -"
        await tell(looker).note()
        assert (await looker.taken())[-1] == "guard of -"
        async with await ref(looker).open_channel() as channel:
            await channel.send("x")
            assert (channel.accepted, await channel.receive()) == ("guard of -", "set by on_channel")
        assert set(await channels(calls)) == {"guard of -"}


class Lingers(Looks):
    """Cleans up for long after its caller has left."""

    async def linger(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            look("linger")


@pytest.mark.parametrize("url", ["memory://law", "tcp://127.0.0.1:0"])
async def test_a_call_that_waits_for_room_begins_as_any_other(url):
    """FAULTS C1, C3: it began in the context of the program that had made the connection."""
    mark.set("the program")
    async with (
        penstock.serve(Lingers(), listen=url, settings=penstock.Settings(max_streams=1)) as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        stub = peer.service(Lingers)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stub.linger(), 0.01)
        assert await asyncio.gather(*(stub.quick() for _ in range(3))) == ["clean"] * 3


class Front(Actor):
    """Calls a service over a connection that others use, too."""

    def __init__(self, peer: penstock.Peer) -> None:
        self.peer = peer

    async def call_out(self) -> str:
        return (await asyncio.gather(*(self.peer.call("Back/hold") for _ in range(3))))[0]

    async def hello(self) -> str:
        await asyncio.sleep(0)
        return "hello"


class Back:
    """Asks an actor for anybody."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system

    async def hold(self) -> str:
        await asyncio.sleep(0.01)
        return "held"

    async def ask(self) -> str:
        return await self.system.ask("front", "hello")


@pytest.mark.parametrize("scheme", ["memory", "tcp"])
@pytest.mark.parametrize("turns", range(4))
async def test_a_caller_outside_of_actors_is_not_taken_for_the_actor_that_writes_to_the_same_connection(turns, scheme):
    """FAULTS C3: over memory://, what was written by one turn of the loop was handled in the context of the first writer."""
    url = {"memory": "memory://front", "tcp": "tcp://127.0.0.1:0"}[scheme]
    async with (
        ActorSystem() as system,
        penstock.serve(Back(system), listen=url) as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        await peer.call("Back/hold")  # the connection is idle
        front = await system.spawn(Front, peer, name="front")

        async def outside() -> str:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await peer.call("Back/ask")

        assert await asyncio.gather(front.call_out(), outside()) == ["held", "hello"]
