"""Programs made by a seed: what a user of actors may do, in any order, with right and with wrong arguments.

A program is a list of steps. `Runner` takes them at a `Place`, and notes what the program met: results with their types,
errors, what the actors saw. The same program has to meet the same wherever its actors live, but for `MEANT`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

import penstock
from penstock import Actor, Channel, Dropped, Mailbox, SinkRef, SourceRef
from penstock.errors import NotFound, PenstockError
from tests.laws.ways import Item, Place, Special, settle

Note = Any


class Difference(NamedTuple):
    """A difference between the ways that is meant. says: the words of `page` that tell it to users."""

    page: str
    says: str


#: What may differ, and where users read it.
MEANT = {
    "crash": Difference("docs/howto/actors.md", "A caller in the same process gets the exception itself."),
    "unread": Difference("docs/howto/actors.md", "a `tell` has returned by then"),
    "untyped": Difference("docs/howto/actors.md", "an actor of this process gives the object itself"),
    "subclass": Difference("docs/howto/actors.md", "in the same process, an argument stays the object that it is"),
    "unchecked": Difference("docs/howto/actors.md", "nothing is copied or checked through a typed stub"),
    "at once": Difference("docs/howto/actors.md", "raises an unknown method or a wrong payload at once in one process"),
    "gone": Difference("docs/howto/remote.md", "After the stop of an actor, its ref in the same process raises `ActorStopped`"),
    "ahead": Difference("docs/howto/services.md", "may run ahead of the handler"),
    "buffers": Difference("docs/howto/options.md", "One that you do not set holds 16 items for an actor of the same process"),
    "on the way": Difference("docs/howto/ports.md", "items are also on the way, besides those in the buffer"),
}


class Crash(Exception):
    """An error of the program that is not an answer."""


class Desk(Actor):
    """Does some of everything, and remembers what came."""

    mailbox = Mailbox(50)

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.made = 0
        self.news = self.port("news", overflow="drop_oldest", buffer_size=3)
        self.lines = self.port("lines")

    async def add(self, number: int, more: int = 1) -> int:
        self.seen.append(number)
        return number + more

    async def nap(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def echo(self, value: Any) -> Any:
        return value

    async def grown(self, item: Item) -> Item:
        return Item(item.name, item.size + 1)

    async def missing(self) -> None:
        raise NotFound("no such thing", {"where": "here"})

    async def crash(self) -> None:
        raise Crash("on purpose")

    async def strange(self) -> Any:
        return {"a": (1, 2), "b": None}

    async def noted(self) -> list[Any]:
        return self.seen

    async def count(self, until: int, pause: float = 0.0, fails_at: int = -1) -> AsyncIterator[int]:
        try:
            for number in range(until):
                if number == fails_at:
                    raise NotFound(f"no {number}")
                if pause:
                    await asyncio.sleep(pause)
                self.made += 1
                yield number
        finally:
            self.seen.append("count is over")

    async def items(self, until: int) -> AsyncIterator[Item]:
        for number in range(until):
            yield Item(str(number), number)

    async def breaks(self, until: int) -> AsyncIterator[int]:
        for number in range(until):
            yield number
        raise Crash("in a stream")

    async def total(self, numbers: AsyncIterator[int]) -> int:
        total = 0
        async for number in numbers:
            total += number
        return total

    async def first_of(self, numbers: AsyncIterator[int]) -> int:
        async for number in numbers:
            return number
        return -1

    async def doubled(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number * 2

    async def on_channel(self, channel: Channel[Any]) -> None:
        how = channel.payload
        if how == "reject":
            await channel.reject("busy")
            return
        if how == "missing":
            raise NotFound("no such room")
        if how == "ignore":
            return
        if how == "slow":
            await asyncio.sleep(0.7)
        await channel.accept({"hello": how})
        async for message in channel:
            if message == "close":
                await channel.close("said so")
                return
            if message == "fail":
                raise NotFound("in the middle")
            await channel.send(message)

    async def publish(self, count: int, port: str) -> None:
        for number in range(count):
            await (self.news if port == "news" else self.lines).send(number)
        if port == "end":
            self.lines.close()

    async def source(self, until: int, fails_at: int = -1) -> SourceRef[int]:
        return SourceRef(penstock.ref(self).stream("count", {"until": until, "fails_at": fails_at}))

    async def sum_source(self, source: SourceRef[int]) -> int:
        return sum([number async for number in source])

    async def fill(self, sink: SinkRef[int], count: int, fails: bool = False) -> None:
        for number in range(count):
            await sink.send(number)
        if fails:
            sink.fail(NotFound("no more"))
        else:
            sink.close()


# ── what a program met ────────────────────────────────────────────────────────────────────────────────────────────────


def seen(value: Any) -> Note:
    """Return a value with the types in it."""
    if isinstance(value, penstock.StreamEvent):
        return ["event", value.type, seen(value.payload)]
    if isinstance(value, dict):
        return {"dict": {key: seen(each) for key, each in value.items()}}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(seen, value)]
    return [type(value).__name__, repr(value)]


def error_seen(error: BaseException) -> Note:
    """Return what a program can tell of an error: a crash is the error itself here, and `Internal` elsewhere (`MEANT`)."""
    if isinstance(error, Crash) or (isinstance(error, penstock.Internal) and not isinstance(error, Crash)):
        return "crash"
    if isinstance(error, penstock.ActorStopped) or (isinstance(error, NotFound) and "stopped" in error.message):
        return "gone"
    if isinstance(error, penstock.StatusError):
        return [type(error).__name__, error.details if isinstance(error, NotFound) else None]
    return type(error).__name__


async def met(work: Callable[[], Any], *, typed: bool = True) -> Note:
    """Return what a piece of a program meets: its result, or its error. typed: the result has a declared type (`MEANT`)."""
    try:
        result = work()
        if isinstance(result, Awaitable):
            result = await result
    except asyncio.CancelledError:
        return "CancelledError"
    except Exception as error:  # noqa: BLE001 - it is the outcome
        return error_seen(error)
    return seen(result if typed else msgspec.msgpack.decode(msgspec.msgpack.encode(result)))


async def numbers(count: int, *, fails: str = "") -> AsyncIterator[Any]:
    for number in range(count):
        yield number
    if fails == "status":
        raise NotFound("my own")
    if fails == "type":
        yield "three"


async def slow_numbers() -> AsyncIterator[int]:
    for number in range(5):
        await asyncio.sleep(0.3)
        yield number


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Step(NamedTuple):
    """One step: the name of a method of `Runner`, and its arguments. timed: it needs a clock that jumps."""

    name: str
    args: tuple[Any, ...] = ()
    timed: bool = False


class Runner:
    """Takes the steps of one program at a place, with an actor of its own."""

    def __init__(self, there: Place, name: str) -> None:
        self.there = there
        self.name = name
        self.address = there.prefix + name
        self.notes: list[Note] = []

    async def run(self, steps: list[Step]) -> list[Note]:
        await self.there.system.spawn(Desk, name=self.name)
        self.stub, self.ref = self.there.stub(Desk, self.name), self.there.ref(self.name)
        letters = self.there.system.dead_letters.count
        for step in steps:
            note = await getattr(self, step.name)(*step.args)
            await self._rest()
            self.notes.append([step.name, step.args, note])
        await settle(50)
        if not self.alive():
            return [*self.notes, "stopped"]
        self.notes.append([seen(self.desk.seen), self.there.system.dead_letters.count - letters])
        self.there.system._host.end_grace()
        await self.there.system.stop(self.name)
        return self.notes

    def alive(self) -> bool:
        """Whether the actor has not stopped."""
        return bool(self.there.system.list(self.name))

    @property
    def desk(self) -> Desk:
        """The object of the actor itself."""
        return self.there.system._host.cell(self.name).actor

    async def _rest(self) -> None:
        """Let what is under way arrive, and an actor that has crashed begin again."""
        await settle(30)
        for _ in range(1000):
            if not self.alive() or self.there.system.info(self.name).state != "restarting":
                return
            await asyncio.sleep(0.01)

    async def ask(self, how: str, name: str, payload: Any, timeout: float | None) -> Note:
        if how == "stub":
            stub = penstock.options(self.stub, timeout=timeout) if timeout else self.stub
            return await met(lambda: getattr(stub, name)(*([] if payload is None else [payload])), typed=name == "grown")
        if how == "ref":
            return await met(lambda: self.ref.ask(name, payload, timeout=timeout), typed=False)
        return await met(lambda: self.there.router.ask(self.address, name, payload, timeout=timeout), typed=False)

    async def typed_ask(self, name: str, payload: Any, kind: Any) -> Note:
        return await met(lambda: self.ref.ask(name, payload, type=kind))

    async def cancelled_ask(self, seconds: float) -> Note:
        asking = asyncio.ensure_future(self.ref.ask("nap", seconds))
        await asyncio.sleep(seconds / 2)
        asking.cancel()
        return await met(lambda: asking)

    async def tell(self, how: str, name: str, payload: Any) -> Note:
        tell = penstock.tell(self.stub).add if how == "stub" else None
        await met(lambda: tell(payload) if tell else self.ref.tell(name, payload))
        await settle(30)
        return "told"  # its sender may hear of a refusal here (`MEANT`); the dead letters are counted in both

    async def stream(  # noqa: C901 - the ways to read a stream
        self, how: str, name: str, payload: Any, read: str, options: dict[str, Any]
    ) -> Note:
        def begin() -> Any:
            if how == "stub":
                stub = penstock.options(self.stub, **options) if options else self.stub
                return getattr(stub, name)(*(payload.values() if isinstance(payload, dict) else [payload]))
            return self.ref.stream(name, payload, **options)

        taken: list[Any] = []

        async def reading() -> str:
            stream = begin()
            if read == "receive":
                while len(taken) < 3:
                    taken.append(await stream.receive())
                await stream.aclose()
                return "closed"
            if read == "batches":
                async for batch in stream.batches(2):
                    taken.extend(batch)
                return "ended"
            async for item in stream:
                taken.append(item)
                if read == "break" and len(taken) == 2:
                    return "left"
                if read == "raise" and len(taken) == 2:
                    raise KeyError("the consumer")
                if read == "slow":
                    await asyncio.sleep(0.05)
            return "ended"

        outcome = await met(reading)
        await settle(30)
        if read == "slow" and options.get("timeout", 50.0) < 1:  # how many were here in time depends on the buffers (`MEANT`)
            return "in time"
        return [outcome, seen(taken)]

    async def token(self, how: str, after: int) -> Note:
        """Cancel a stream, an ask or a loop by a token, or before it begins."""
        token, taken = penstock.CancelToken(), []
        if after == 0:
            token.cancel("too late")

        async def reading() -> Any:
            if how == "ask":
                asyncio.get_running_loop().call_later(0.2, token.cancel, "enough")
                return await self.ref.ask("nap", 1.0, cancel=token)
            async for item in self.ref.stream("count", {"until": 9, "pause": 0.01}, cancel=token, events=how == "events"):
                taken.append(item)
                if len(taken) == after:
                    token.cancel("enough")
            return "ended"

        return [await met(reading), seen(taken)]

    async def stopped_stream(self, name: str, after: int, how: str) -> Note:
        """Stop, restart or crash the actor in the middle of its stream."""
        taken = []

        async def reading() -> str:
            async for item in self.stub.count(30, 0.05):
                taken.append(item)
                if len(taken) == after and how == "stop":
                    await self.there.system.stop(self.name)
                elif len(taken) == after and how == "restart":
                    await self.there.system.restart(self.name)
                elif len(taken) == after:
                    await met(self.stub.crash)
            return "ended"

        outcome = await met(reading)
        return [outcome, taken[:after] if outcome == "gone" else taken]  # when it stops depends on delays with jitter

    async def bound(self, how: str, size: int, count: int) -> Note:
        """Take some items slowly: the producer is never further ahead than the buffer that was set."""
        before, ahead, taken = self.desk.made if self.alive() else 0, 0, 0

        async def reading() -> str:
            nonlocal ahead, taken
            if how == "stub":
                stream = penstock.options(self.stub, buffer_size=size).count(200)
            elif how == "ref":
                stream = self.ref.stream("count", 200, buffer_size=size)
            else:
                stream = (await self.stub.source(200)).claim(buffer_size=size)
            async with stream:
                while taken < count:
                    await stream.receive()
                    taken += 1
                    await settle(30)
                    ahead = max(ahead, self.desk.made - before - taken)
            return "left"

        outcome = await met(reading)
        await settle(50)
        return [outcome, taken, ahead <= size, ahead > 0]

    async def crowd(self, calls: list[tuple[str, tuple[Any, ...]]]) -> Note:
        """Ask many at once."""
        return await asyncio.gather(*(met(partial(getattr(self.stub, name), *args), typed=False) for name, args in calls))

    async def cut_short(self, what: str, seconds: float) -> Note:
        """Give a piece of a program some time."""
        work: Callable[[], Any]
        if what == "channel":
            work = lambda: self.ref.open_channel("slow", timeout=None)  # noqa: E731
        elif what == "port":
            work = lambda: self.ref.subscribe("lines").receive()  # noqa: E731
        elif what == "stream":
            work = lambda: self.stub.count(5, 3.0).receive()  # noqa: E731
        elif what == "requests":
            work = lambda: self.stub.total(slow_numbers())  # noqa: E731
        elif what == "option":
            work = lambda: penstock.options(self.stub, timeout=seconds / 2).total(slow_numbers())  # noqa: E731
        else:
            work = lambda: self.ref.ask("nap", 9.0)  # noqa: E731

        async def within() -> Any:
            async with asyncio.timeout(seconds):
                return await work()

        return await met(within)

    async def late_channel(self, deeds: list[str]) -> Note:
        """Use a channel in any order, also after its end."""
        notes: list[Note] = []
        try:
            channel = await self.ref.open_channel("ok")
        except PenstockError as error:
            return error_seen(error)
        for deed in deeds:
            work: Callable[[], Any] = {
                "send": lambda: channel.send(1),
                "bye": lambda: channel.send("close"),
                "fail": lambda: channel.send("fail"),
                "receive": channel.receive,
                "half": channel.close_send,
                "close": lambda: channel.close("enough"),
                "accept": channel.accept,
                "state": lambda: settle(30),
            }[deed]

            async def within(work: Callable[[], Any] = work) -> Any:
                async with asyncio.timeout(0.5):
                    return await work()

            notes.append([deed, await met(within), channel.state])
            await settle(30)
        await channel.close()
        return notes

    async def requests(self, name: str, count: int, fails: str) -> Note:
        async def reading() -> Any:
            result = getattr(self.stub, name)(numbers(count, fails=fails))
            return [item async for item in result] if name == "doubled" else await result

        note = await met(reading)
        # a generator may run ahead of its reader, and its error may come before the answer (`MEANT`)
        return "ahead" if name == "first_of" and fails and count else note

    async def channel(self, payload: Any, messages: list[Any], ends: str) -> Note:
        received: list[Any] = []

        async def talking() -> Any:
            channel = await self.ref.open_channel(payload)
            received.append(channel.accepted)
            for message in messages:
                await channel.send(message)
                received.append(await channel.receive())
            if ends == "half":
                await channel.close_send()
                received.extend([message async for message in channel])
                return channel.state
            if ends == "fail":
                channel.fail(NotFound("the opener"))
                return channel.state
            await channel.close("enough")
            return [channel.state, channel.reason]

        outcome = await met(talking)
        return [outcome, seen(received)]

    async def port(self, port: str, count: int, options: dict[str, Any]) -> Note:
        taken: list[Any] = []

        async def reading() -> str:
            async with self.ref.subscribe(port, **options) as source:
                first = asyncio.ensure_future(source.receive())
                await settle(30)
                publishing = asyncio.ensure_future(self.there.system.ask(self.name, "publish", [count, port]))
                try:
                    taken.append(await first)
                    while taken[-1] != count - 1:
                        taken.append(await source.receive())
                finally:
                    first.cancel()
                    await asyncio.gather(publishing, return_exceptions=True)
                return "read"

        outcome = await met(reading)
        # how many are dropped depends on what is on the way (`MEANT`): the sum of what came and what was dropped does not
        total = sum(item.count if isinstance(item, Dropped) else 1 for item in taken)
        return [outcome, total, taken[-1] if taken else None]

    async def source(self, until: int, fails_at: int, read: str) -> Note:
        taken: list[Any] = []

        async def reading() -> str:
            source = await self.stub.source(until, fails_at)
            async for item in source:
                taken.append(item)
                if read == "break" and len(taken) == 2:
                    return "left"
            if read == "twice":
                taken.extend([item async for item in source])
            return "ended"

        outcome = await met(reading)
        await settle(50)
        return [outcome, taken]

    async def given_source(self, count: int, fails: str) -> Note:
        return await met(lambda: self.stub.sum_source(SourceRef(numbers(count, fails=fails))))

    async def sink(self, count: int, fails: bool, leaves: bool) -> Note:
        taken: list[Any] = []
        sink, source = penstock.pipe(2)

        async def reading() -> str:
            async for item in source:
                taken.append(item)
                if leaves and len(taken) == 2:
                    await source.aclose()
                    return "left"
            return "ended"

        filling = asyncio.ensure_future(met(partial(self.stub.fill, SinkRef(sink), count, fails)))
        del sink
        outcome, filled = await met(reading), await filling
        return "gone" if filled == "gone" else [outcome, taken, filled]  # a ref that nobody got is reclaimed later elsewhere

    async def stop(self) -> Note:
        note = await met(self.ref.stop)
        return "stopped" if note == "gone" else note and "stopped"


# ── programs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_RIGHT = [("add", 1), ("add", {"number": 2}), ("add", [3, 4]), ("missing", None), ("crash", None), ("grown", {"name": "x"})]
_WRONG = [
    ("add", "one"),
    ("add", None),
    ("add", {"numbr": 1}),
    ("add", [1, 2, 3]),
    ("nothing", 1),
    ("grown", {"size": 1}),
    ("count", 3),
]
_OTHER = [
    ("echo", 5),
    ("echo", None),
    ("echo", [1, "a"]),
    ("echo", {"value": 1}),
    ("strange", None),
    ("grown", Special("s", 1)),
    ("ping", None),
]


def program(seed: int) -> list[Step]:
    """Make the program of a seed."""
    chance = random.Random(seed)
    makers = [
        _ask,
        _ask,
        _tell,
        _stream,
        _stream,
        _stream,
        _requests,
        _channel,
        _port,
        _source,
        _sink,
        _timed,
        _typed,
        _other,
        _other,
    ]
    steps = [chance.choice(makers)(chance) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.1:
        steps += [Step("stop"), chance.choice([_ask, _stream, _channel, _port])(chance)]
    return steps


def _ask(chance: random.Random) -> Step:
    how = chance.choice(["ref", "router", "stub"])
    name, payload = chance.choice(_RIGHT + _OTHER + (_WRONG if how != "stub" else []))
    if how == "stub" and not isinstance(payload, int | None):
        name, payload = "add", chance.randint(1, 9)
    if name in {"strange", "echo"} and isinstance(payload, tuple):
        payload = 1
    return Step("ask", (how, name, payload, chance.choice([None, None, 5.0])))


def _tell(chance: random.Random) -> Step:
    if chance.random() < 0.5:
        return Step("tell", ("stub", "add", chance.randint(1, 9)))
    return Step("tell", ("ref", *chance.choice([*_RIGHT, *_WRONG])))


def _stream(chance: random.Random) -> Step:
    how = chance.choice(["ref", "stub"])
    options: dict[str, Any] = {}
    if chance.random() < 0.4:
        options["buffer_size"] = chance.choice([1, 2, 100])
    name, payload = chance.choice(
        [
            ("count", {"until": chance.randint(0, 20), "pause": 0.0, "fails_at": chance.choice([-1, -1, 0, 3])}),
            ("count", {"until": 500, "pause": 0.0, "fails_at": -1}),
            ("breaks", {"until": chance.randint(0, 4)}),
            ("count", {"until": 30, "pause": 0.02, "fails_at": -1}),
        ]
    )
    read = chance.choice(["all", "break", "raise", "receive", "batches", "slow"])
    if how == "ref" and chance.random() < 0.3:
        options["events"] = True
    if how == "ref" and chance.random() < 0.2:
        name, payload = chance.choice([("nothing", None), ("add", 1), ("count", "many"), ("count", {"untill": 1})])
    timed = read == "slow" or (isinstance(payload, dict) and bool(payload.get("pause")))
    if timed and chance.random() < 0.5:
        options[chance.choice(["timeout", "idle_timeout"])] = chance.choice([0.011, 0.33, 50.0])
    return Step("stream", (how, name, payload, read, options), timed)


def _requests(chance: random.Random) -> Step:
    return Step(
        "requests", (chance.choice(["total", "first_of", "doubled"]), chance.randint(0, 30), chance.choice(["", "", "status"]))
    )


def _channel(chance: random.Random) -> Step:
    payload = chance.choice(["ok", "ok", None, {"a": 1}, "reject", "missing", "ignore"])
    messages = [chance.choice([1, "a", None, [1], "close", "fail"]) for _ in range(chance.randint(0, 3))]
    return Step("channel", (payload, messages, chance.choice(["half", "fail", "close"])))


def _port(chance: random.Random) -> Step:
    port, options = chance.choice(
        [
            ("news", {}),
            ("news", {"overflow": "latest"}),
            ("news", {"overflow": "wait"}),
            ("news", {"overflow": "often"}),
            ("news", {"buffer_size": 0}),
            ("lines", {}),
            ("lines", {"buffer_size": 2}),
            ("lines", {"overflow": "drop_oldest", "buffer_size": 1}),
            ("nothing", {}),
        ]
    )
    return Step("port", (port, chance.randint(1, 40), options))


def _source(chance: random.Random) -> Step:
    if chance.random() < 0.3:
        return Step("given_source", (chance.randint(0, 20), chance.choice(["", "status"])))
    return Step("source", (chance.randint(0, 20), chance.choice([-1, -1, 3]), chance.choice(["all", "break", "twice"])))


def _sink(chance: random.Random) -> Step:
    return Step("sink", (chance.randint(0, 20), chance.random() < 0.3, chance.random() < 0.3))


def _timed(chance: random.Random) -> Step:
    if chance.random() < 0.3:
        return Step("cancelled_ask", (1.0,), timed=True)
    how = chance.choice(["ref", "router", "stub"])
    return Step("ask", (how, "nap", chance.choice([0.5, 2.0]), chance.choice([1.0, 10.0])), timed=True)


def _other(chance: random.Random) -> Step:
    deeds = [
        chance.choice(["send", "send", "receive", "receive", "half", "close", "bye", "fail", "accept", "state"])
        for _ in range(7)
    ]
    calls = [
        chance.choice([("add", (1,)), ("crash", ()), ("missing", ()), ("nap", (0.1,)), ("echo", ("x",))]) for _ in range(6)
    ]
    return chance.choice(
        [
            Step("token", (chance.choice(["ask", "events", "stream"]), chance.choice([0, 1, 3])), timed=True),
            Step("stopped_stream", ("count", chance.randint(1, 4), chance.choice(["stop", "restart", "crash"])), timed=True),
            Step("crowd", (calls,), timed=True),
            Step("late_channel", (deeds,), timed=True),
            Step("bound", (chance.choice(["stub", "ref", "claim"]), chance.choice([1, 2, 5, 30]), chance.randint(1, 9))),
            Step("cut_short", (chance.choice(["channel", "port", "stream", "requests", "option", "ask"]), 0.5), timed=True),
        ]
    )


def _typed(chance: random.Random) -> Step:
    return Step(
        "typed_ask",
        chance.choice(
            [
                ("grown", {"name": "x"}, Item),
                ("grown", Special("x", 2), Item),
                ("echo", {"name": "x"}, Item),
                ("echo", 5, str),
                ("strange", None, dict[str, list[int] | None]),
                ("add", 1, float),
            ]
        ),
    )


__all__ = ["MEANT", "PenstockError", "Runner", "Step", "program"]
