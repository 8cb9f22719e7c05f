"""Channels and ports as actors use them: who handles one, what ends with whom, and that nobody waits for another's."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import (
    Actor,
    ActorStopped,
    Channel,
    ChannelClosed,
    ChannelRejected,
    DeadlineExceeded,
    Dropped,
    EndOfStream,
    NotFound,
    Supervision,
    Unavailable,
    ref,
)
from tests.actors.kit import Broken, ended, now, outcome, rest, started, stopped


class Echo(Actor):
    def __init__(self, mode: str = "") -> None:
        self.mode = mode
        self.seen: list[object] = []

    async def on_channel(self, channel: Channel[object]) -> None:
        if self.mode == "reject":
            await channel.reject("not today")
            return
        if self.mode == "ignore":
            return
        if self.mode == "never":
            await asyncio.sleep(1000)
        if self.mode == "raise before":
            raise Broken("before")
        await channel.accept({"hello": channel.initiator, "you gave": channel.payload})
        if self.mode == "raise":
            raise Broken("after")
        if self.mode == "leave":
            return
        async for message in channel:
            self.seen.append(message)
            if self.mode == "slow":
                await asyncio.sleep(1000)
            await channel.send(message)

    async def busy(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def crash(self) -> None:
        raise Broken


async def echo(system, mode="", **options):
    return ref(await system.spawn(Echo, mode, name="echo", **options))


async def test_an_accepted_channel_carries_messages_both_ways(system):
    actor = await echo(system)
    channel = await system.open_channel("echo", {"initial": 1})
    assert channel.accepted == {"hello": "outside", "you gave": {"initial": 1}}
    for message in (1, "two", {"three": 3}):
        await channel.send(message)
        assert await channel.receive() == message
    assert system.info("echo").channels == 1
    await channel.close("enough")
    await rest()
    assert system.info("echo").channels == 0
    assert actor.address == "echo"


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("reject", ChannelRejected, "not today"),
        ("ignore", ChannelRejected, "neither accepted nor rejected"),
        ("raise before", Broken, "before"),
        ("never", DeadlineExceeded, "within 30 s"),
    ],
)
async def test_a_channel_that_is_not_accepted_says_why(system, mode, error, words):
    await echo(system, mode)
    with pytest.raises(error, match=words):
        await system.open_channel("echo")
    await rest()
    assert system.info("echo").restarts == 0


async def test_an_actor_without_a_handler_takes_no_channels(system):
    class Plain(Actor): ...

    plain = await system.spawn(Plain, name="plain")
    with pytest.raises(ChannelRejected, match="plain takes no channels"):
        await ref(plain).open_channel()


async def test_opening_can_be_cancelled_and_the_handler_is_told(system):
    told = []

    class Waits(Actor):
        async def on_channel(self, channel) -> None:
            await channel.wait_closed()
            told.append(type(await outcome(channel.accept())))

    waits = await system.spawn(Waits)
    assert isinstance(await stopped(await started(ref(waits).open_channel())), asyncio.CancelledError)
    await rest()
    assert told == [ChannelClosed]


async def test_a_handler_that_fails_fails_its_channel_only(system, caplog):
    actor = await echo(system, "raise")
    channel = await actor.open_channel()
    with pytest.raises(Broken):
        await channel.receive()
    assert "its channel is over, the actor goes on" in caplog.text
    assert system.info("echo").restarts == 0


async def test_a_handler_that_returns_closes_its_channel(system):
    channel = await (await echo(system, "leave")).open_channel()
    with pytest.raises(EndOfStream):
        await channel.receive()


@pytest.mark.parametrize("how", ["stop", "restart", "crash"])
async def test_an_actor_that_ends_closes_its_channels_with_an_error_at_once(system, how):
    actor = await echo(system, "", supervision=Supervision(backoff=0.0))
    channel = await actor.open_channel()
    reading = await started(channel.receive())
    await (outcome(actor.ask("crash")) if how == "crash" else getattr(system, how)("echo"))
    assert isinstance(await ended(reading), ActorStopped)
    with pytest.raises(ActorStopped):
        await channel.send(1)
    assert now() < 1


async def test_a_channel_ends_with_the_actor_that_opened_it(system):
    class Opens(Actor):
        async def open(self, whom: str) -> str:
            self.channel = await self.system.open_channel(whom)
            return self.channel.accepted["hello"]

    await echo(system)
    opens = await system.spawn(Opens, name="opens")
    assert await opens.open("echo") == "opens"
    assert system.info("echo").channels == 1
    await system.stop("opens")
    await rest()
    assert system.info("echo").channels == 0


async def test_a_busy_actor_s_channels_go_on_and_a_slow_channel_delays_nobody(system):
    actor = await echo(system)
    slow = ref(await system.spawn(Echo, "slow", name="slow"))
    stuck = await slow.open_channel()
    channels = [await actor.open_channel() for _ in range(20)]
    busy = await started(actor.ask("busy", 20))
    filling = await started(stuck.send_many(range(100)))
    for channel in channels:
        await channel.send("x")
        assert await channel.receive() == "x"
    assert now() < 1
    other = await slow.open_channel()
    await other.send(1)
    await busy
    filling.cancel()
    await asyncio.wait([filling])


async def test_a_sender_is_held_back_by_a_receiver_that_does_not_read(system):
    actor = await echo(system, "slow")
    channel = await actor.open_channel()
    filling = await started(channel.send_many(range(1000)))
    assert channel.statistics().sent <= 16 + 2
    filling.cancel()
    await asyncio.wait([filling])
    del channel
    await rest()


class Callbacks(Actor):
    def __init__(self, fail: str = "") -> None:
        self.fail = fail
        self.seen: list[object] = []

    async def on_channel_open(self, channel) -> str:
        if self.fail == "raise":
            raise ChannelRejected("full")
        if self.fail == "reject":
            await channel.reject("full")
        if self.fail == "close":
            await channel.close("full")
        self.seen.append(("open", channel.initiator))
        return "welcome"

    async def on_channel_message(self, channel, message: object) -> None:
        self.seen.append(message)
        if message == "bad":
            raise Broken("bad message")
        await asyncio.sleep(0)
        await channel.send(message)

    async def on_channel_close(self, channel, reason: str) -> None:
        self.seen.append(("close", reason))

    async def slow(self) -> None:
        self.seen.append("slow begins")
        await asyncio.sleep(1)
        self.seen.append("slow ends")


async def test_callbacks_are_messages_of_the_mailbox(system):
    actor = await system.spawn(Callbacks, name="c")
    channel = await ref(actor).open_channel()
    assert channel.accepted == "welcome"
    slow = await started(actor.slow())
    await channel.send(1)
    await rest()
    await slow
    assert await channel.receive() == 1
    await channel.close("bye")
    await rest()
    assert system.state("c")["seen"] == [("open", "outside"), "slow begins", "slow ends", 1, ("close", "bye")]


@pytest.mark.parametrize("how", ["raise", "reject", "close"])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_callback_that_rejects_rejects_and_the_channel_is_not_closed_then(system, how, elsewhere):
    """FAULTS F7."""
    await system.spawn(Callbacks, how, name="c")
    async with penstock.serve(system, listen="memory://f7"), penstock.connect("memory://f7") as peer:
        with pytest.raises(ChannelRejected, match="full"):
            await (peer if elsewhere else system).open_channel("c")
        await rest()
    assert [what for what in system.state("c")["seen"] if what[0] != "open"] == []


async def test_a_callback_that_fails_is_a_message_that_fails(system):
    """It runs in the mailbox: the actor is restarted, its channels are over, with an error."""
    actor = await system.spawn(Callbacks, name="c", supervision=Supervision(backoff=0.0))
    channel = await ref(actor).open_channel()
    await channel.send("bad")
    error = await outcome(channel.receive())
    assert isinstance(error, Broken | ActorStopped)
    await rest()
    assert system.info("c").restarts == 1
    assert system.info("c").channels == 0


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Hub(Actor):
    def __init__(self, overflow: str = "wait") -> None:
        self.hub = self.port("hub", overflow=overflow, buffer_size=4)

    async def publish_many(self, count: int) -> None:
        for number in range(count):
            await self.hub.send(number)


async def test_all_subscribers_get_everything_from_then_on(system):
    await system.spawn(Hub, name="h")
    hub = system.ref("h")
    await hub.ask("publish_many", 2)
    sources = [system.subscribe("h", "hub") for _ in range(3)]
    await hub.ask("publish_many", 3)
    for source in sources:
        assert [await source.receive() for _ in range(3)] == [0, 1, 2]
        await source.aclose()


async def test_a_subscriber_that_drops_is_told_what_it_lost_and_delays_nobody(system):
    await system.spawn(Hub, "drop_oldest", name="h")
    slow = system.subscribe("h", "hub")
    quick = system.subscribe("h", "hub", buffer_size=100)
    await system.ask("h", "publish_many", 50, timeout=1)
    assert [await quick.receive() for _ in range(50)] == list(range(50))
    first = await slow.receive()
    assert isinstance(first, Dropped)
    assert first.count == 46
    assert [await slow.receive() for _ in range(4)] == [46, 47, 48, 49]


async def test_a_port_that_waits_holds_its_actor_s_publishing_and_leaving_frees_it(system):
    await system.spawn(Hub, name="h")
    source = system.subscribe("h", "hub")
    publishing = await started(system.ask("h", "publish_many", 50, timeout=None))
    assert not publishing.done()
    await source.aclose()
    await publishing


async def test_subscribers_of_an_actor_that_ends_are_told(system):
    await system.spawn(Hub, name="h", supervision=Supervision(backoff=0.0))
    source = system.subscribe("h", "hub")
    await system.restart("h")
    with pytest.raises(ActorStopped):
        await source.receive()
    again = system.subscribe("h", "hub")
    await system.ask("h", "publish_many", 1)
    assert await again.receive() == 0


async def test_a_port_that_is_not_there_says_what_may_have_been_meant(system):
    await system.spawn(Hub, name="h")
    await system.spawn(Echo, name="echo")
    with pytest.raises(NotFound, match="did you mean 'hub'"):
        system.subscribe("h", "hubb")
    with pytest.raises(NotFound, match="it has none"):
        system.subscribe("echo", "hub")


async def test_a_port_of_an_actor_that_has_stopped_or_starts_again_says_so(system):
    class Late(Hub):
        async def crash(self) -> None:
            raise Broken

    late = await system.spawn(Late, name="h", supervision=Supervision(backoff=10.0))
    await outcome(late.crash())
    await rest()
    with pytest.raises(Unavailable, match="h is restarting"):
        system.subscribe("h", "hub")
    gone = ref(late)
    await gone.stop()
    with pytest.raises(ActorStopped):
        gone.subscribe("hub")
