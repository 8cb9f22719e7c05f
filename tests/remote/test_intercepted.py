"""Interceptors see each message as a call, on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import penstock
from penstock import Mailbox
from penstock.errors import Aborted, Cancelled, DeadlineExceeded, Internal, NotFound, PermissionDenied, Unauthenticated
from tests.remote.kit import Broken, Desk, Town, outcome, town


class Seen(list[Any]):
    """An interceptor that writes down what goes through it."""

    @asynccontextmanager
    async def __call__(self, call: penstock.CallInfo) -> AsyncIterator[None]:
        self.append(("in", call.side, call.target, call.kind))
        try:
            yield
        except BaseException as error:
            self.append(("out", type(error).__name__))
            raise
        self.append(("out", ""))


@asynccontextmanager
async def badge(call: penstock.CallInfo) -> AsyncIterator[None]:
    """Refuse who shows no badge; a handler learns who it is."""
    if call.metadata.get("badge") != "7":
        raise Unauthenticated("show your badge")
    call.principal = "agent 7"
    yield


@asynccontextmanager
async def with_badge(call: penstock.CallInfo) -> AsyncIterator[None]:
    call.metadata["badge"] = "7"
    yield


class Spy(Desk):
    async def who(self) -> Any:
        return penstock.context().principal


async def test_each_message_is_a_call_to_the_interceptors_of_both_sides():
    here, there = Seen(), Seen()
    async with town(interceptors=[there], client_interceptors=[here]) as place:
        _desk, stub = await place.desk()
        await stub.add()
        assert here == [("in", "caller", "/desk/add", "unary"), ("out", "")]
        assert there == [("in", "callee", "/desk/add", "unary"), ("out", "")]
        assert isinstance(await outcome(stub.missing()), NotFound)
        assert (here[-1], there[-1]) == (("out", "NotFound"), ("out", "NotFound"))
        await penstock.tell(stub).add()
        await place.peer.tell("desk", "add", 1)
        assert await place.peer.ask("desk", "add", 1) == 4
        assert [what for what in there if what[0] == "in"] == [
            ("in", "callee", f"/desk/{name}", "unary") for name in ("add", "missing", "add", "add", "add")
        ]


async def test_an_interceptor_refuses_and_names_the_caller():
    async with town(interceptors=[badge]) as place:
        await place.system.spawn(Spy, name="desk")
        stub = place.peer.actor(Spy, "desk")
        assert isinstance(await outcome(stub.add()), Unauthenticated)
        assert await penstock.options(stub, metadata={"badge": "7"}).who() == "agent 7"
        await penstock.tell(stub).add()
        await asyncio.sleep(1)
        assert [envelope.reason for envelope in place.system.dead_letters] == ["show your badge"]
        assert place.object("desk", Spy).total == 0


async def test_metadata_that_an_interceptor_adds_travels_with_each_message():
    async with town(interceptors=[badge], client_interceptors=[with_badge]) as place:
        await place.system.spawn(Spy, name="desk")
        assert await place.peer.actor(Spy, "desk").who() == "agent 7"
        await place.peer.tell("desk", "add", 1)
        assert await place.peer.ask("desk", "add", 1) == 2


async def test_order_is_kept_by_interceptors_that_wait():
    @asynccontextmanager
    async def slow(call: penstock.CallInfo) -> AsyncIterator[None]:
        await asyncio.sleep(1 if call.target.endswith("note") else 0)
        yield

    async with town(interceptors=[slow]) as place:
        _desk, stub = await place.desk()
        await penstock.tell(stub).note(1)
        await penstock.tell(stub).note_late(2)
        asks = [asyncio.ensure_future(stub.note(3)), asyncio.ensure_future(stub.note_late(4))]
        await asyncio.gather(*asks)
        assert await stub.noted() == [1, 2, 3, 4]


async def test_an_interceptor_replaces_and_may_not_swallow_an_outcome():
    @asynccontextmanager
    async def other(call: penstock.CallInfo) -> AsyncIterator[None]:
        try:
            yield
        except NotFound:
            raise PermissionDenied("you may not know") from None
        except Exception:  # noqa: BLE001 - what the test is about
            pass

    async with town(interceptors=[other]) as place:
        _desk, stub = await place.desk()
        assert isinstance(await outcome(stub.missing()), PermissionDenied)
        assert isinstance(await outcome(stub.crash()), Aborted)
        assert await stub.add() == 1


async def test_an_interceptor_that_breaks_is_an_internal_error():
    @asynccontextmanager
    async def broken(call: penstock.CallInfo) -> AsyncIterator[None]:
        raise RuntimeError("broken")
        yield

    async with town(interceptors=[broken]) as place:
        _desk, stub = await place.desk()
        assert isinstance(await outcome(stub.add()), Internal)
        await penstock.tell(stub).add()
        await asyncio.sleep(1)
        assert place.system.dead_letters.count == 1


async def test_deadlines_and_cancelling_hold_inside_of_interceptors():
    seen = Seen()
    async with town(interceptors=[seen]) as place:
        desk, stub = await place.desk()
        first = asyncio.ensure_future(stub.wait("a"))
        await asyncio.sleep(1)
        with pytest.raises(DeadlineExceeded):
            await penstock.options(stub, timeout=1).note_late("late")
        token = penstock.CancelToken()
        second = asyncio.ensure_future(outcome(place.peer.ask("desk", "note_late", "given up", cancel=token)))
        await asyncio.sleep(1)
        token.cancel()
        assert isinstance(await second, Cancelled)
        await asyncio.sleep(1)
        desk.gate.set()
        assert await first == "a"
        assert await stub.noted() == ["begun a", "done a"]
        assert [what[1] for what in seen if what[0] == "out"] == ["CancelledError", "Cancelled", "", ""]


async def test_a_full_mailbox_holds_the_lane_up_inside_of_interceptors():
    async with town(interceptors=[Seen()]) as place:
        desk, stub = await place.desk(mailbox=Mailbox(1))
        first = asyncio.ensure_future(stub.wait("a"))
        await asyncio.sleep(1)
        for number in range(5):
            await penstock.tell(stub).note_late(number)
        await asyncio.sleep(1)
        desk.gate.set()
        await first
        assert await stub.noted() == ["begun a", "done a", *range(5)]


async def test_a_server_that_closes_leaves_nobody_inside():
    async with town(interceptors=[Seen()]) as place:
        _desk, stub = await place.desk()
        waiting = asyncio.ensure_future(outcome(stub.wait()))
        await asyncio.sleep(1)
        await place.back.aclose()
        assert isinstance(await waiting, penstock.errors.Unavailable)


async def opened_in_each_way(place: Town) -> list[Any]:
    """Open whatever can be opened to an actor, and say how it went."""

    async def whole(items: Any) -> list[Any]:
        return [item async for item in items]

    peer, stub = place.peer, place.peer.actor(Desk, "desk")

    async def channel() -> Any:
        async with await peer.open_channel("desk", 1) as opened:
            return opened.accepted["hello"] == peer.name

    async def port() -> Any:
        news = peer.subscribe("desk", "news")
        arrives = asyncio.ensure_future(news.receive())
        await asyncio.sleep(1)
        await place.object("desk", Desk).publish("new")
        return await arrives

    ways = [whole(stub.ticks(2)), whole(peer.stream("/desk", "ticks", 2)), stub.sum_of([1, 2]), channel(), port()]
    return [await outcome(way) for way in [*ways, peer.call("/desk/add"), peer.ref("desk").stop()]]


async def test_whatever_is_opened_is_a_call_to_interceptors_who_may_refuse_it():
    there = Seen()
    async with town(interceptors=[there, badge]) as place:
        desk, _stub = await place.desk()
        assert {type(one) for one in await opened_in_each_way(place)} == {Unauthenticated}
        assert (desk.total, place.system.state("desk")["notes"]) == (0, [])
    targets = [what[2:] for what in there if what[0] == "in"]
    assert targets == [
        ("/desk/ticks", "server_streaming"),
        ("/desk/ticks", "server_streaming"),
        ("/desk/sum_of", "client_streaming"),
        ("/desk!channel", "bidirectional"),
        ("/desk!port", "server_streaming"),
        ("/desk/add", "unary"),
        ("/desk!stop", "unary"),
    ]


async def test_what_an_interceptor_of_the_caller_adds_travels_with_whatever_is_opened():
    async with town(interceptors=[badge], client_interceptors=[with_badge]) as place:
        await place.desk()
        assert await opened_in_each_way(place) == [[0, 1], [0, 1], 3, True, "new", 1, None]


async def test_a_channel_is_inside_of_the_interceptors_until_it_is_over():
    there = Seen()
    async with town(interceptors=[there]) as place:
        await place.desk()
        channel = await place.peer.open_channel("desk", 1)
        await channel.send("hello")
        assert await channel.receive() == "hello"
        assert there == [("in", "callee", "/desk!channel", "bidirectional")]
        await channel.close()
        await asyncio.sleep(1)
        assert there[1:] == [("out", "")]


async def test_an_interceptor_that_swallows_how_a_channel_ended_makes_no_end_of_it():
    @asynccontextmanager
    async def swallow(call: penstock.CallInfo) -> AsyncIterator[None]:
        with suppress(Broken):
            yield

    class Breaks(penstock.Actor):
        async def on_channel(self, channel: penstock.Channel[Any]) -> None:
            await channel.accept()
            raise Broken

    async with town(interceptors=[swallow]) as place:
        await place.system.spawn(Breaks, name="breaks")
        channel = await place.peer.open_channel("breaks")
        with pytest.raises(Aborted, match="swallowed"):
            await channel.receive()


@pytest.mark.parametrize("from_here", [True, False])
async def test_the_handler_of_a_channel_knows_its_call(from_here: bool):
    class Knows(penstock.Actor):
        async def on_channel(self, channel: penstock.Channel[Any]) -> None:
            call = penstock.context()
            await channel.accept([call.target, call.kind, call.peer is not None])

    class KnowsToo(penstock.Actor):
        async def on_channel_open(self, channel: penstock.Channel[Any]) -> Any:
            call = penstock.context()
            return [call.target, call.kind, call.peer is not None]

    async with town() as place:
        for cls in (Knows, KnowsToo):
            await place.system.spawn(cls, name="knows")
            router: Any = place.system if from_here else place.peer
            channel = await router.open_channel("knows")
            assert channel.accepted == ["/knows!channel", "bidirectional", not from_here]
            await channel.close()
            await place.system.stop("knows")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["ask", "method", "stream"])
async def test_an_exit_in_an_interceptor_of_the_callee_is_internal_for_every_call(call, when):
    @asynccontextmanager
    async def leaves(_call: penstock.CallInfo) -> AsyncIterator[None]:
        if when == "before":
            raise SystemExit(1)
        yield
        raise SystemExit(1)

    async with town(interceptors=[leaves]) as place:
        await place.desk()
        if call == "ask":
            error = await outcome(place.peer.ask("desk", "add", 1))
        elif call == "method":
            error = await outcome(place.peer.call("/desk/add", 1))
        else:
            with pytest.raises(Internal) as found:
                [item async for item in place.peer.stream("/desk", "ticks", 3)]
            error = found.value
        assert isinstance(error, Internal)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("way", "error"), [(SystemExit, RuntimeError), (asyncio.CancelledError, Cancelled)])
async def test_an_exit_in_an_interceptor_of_the_caller_is_the_error_of_one_message(moment, way, error):
    """It ended the event loop of the caller's program, and a `CancelledError` ended the task in silence."""
    exits_now = True

    @asynccontextmanager
    async def exits(_call: penstock.CallInfo) -> AsyncIterator[None]:
        if exits_now and moment == "before":
            raise way
        yield
        if exits_now:
            raise way

    async with town(client_interceptors=[exits]) as place:
        _desk, stub = await place.desk()
        ways = [stub.add(), penstock.tell(stub).add(), place.peer.open_channel("desk", 1), place.peer.ref("desk").stop()]
        for made in ways[: 3 if moment == "after" else 4]:
            with pytest.raises(error, match="an interceptor" if error is Cancelled else "SystemExit"):
                await made
        exits_now = False
        before = place.object("desk", Desk).total
        assert await stub.add() == before + 1
        if moment == "after":
            ways[3].close()
