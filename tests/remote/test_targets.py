"""What a peer opens by a target that begins with a slash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest

import penstock
from penstock.errors import (
    ActorStopped,
    Cancelled,
    DeadlineExceeded,
    IdleTimeout,
    Internal,
    InvalidArgument,
    NotFound,
    Unavailable,
    Unimplemented,
)
from tests.actors.kit import Tape
from tests.remote.kit import outcome, town


async def test_a_method_is_a_call_like_any_other():
    async with town() as place:
        await place.desk()
        assert await place.peer.call("/desk/add", 2) == 2
        assert await place.peer.call("/desk/add_late", 2) == 4
        assert [item async for item in place.peer.stream("/desk", "ticks", 3)] == [0, 1, 2]


async def test_an_actor_can_be_named_by_its_id():
    async with town() as place:
        await place.desk()
        assert await place.peer.ask(place.system.info("desk").id, "add", 2) == 2


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        ("/desk/ad", Unimplemented, "did you mean 'add'"),
        ("/desks/add", NotFound, "did you mean 'desk'"),
        ("/desk/ticks", Unimplemented, "server_streaming, not unary"),
        ("/desk!lanes", Unimplemented, "did you mean 'lane'"),
        ("/desk!", Unimplemented, "unknown verb '' of an actor"),
        ("/", NotFound, "no actor"),
        ("//", NotFound, "no actor"),
        ("/!lane", Unimplemented, "is a lane"),
        ("/desk!port", Unimplemented, "server_streaming, not unary"),
    ],
)
async def test_what_is_not_there_is_refused(target: str, error: type[Exception], text: str):
    async with town() as place:
        await place.desk()
        with pytest.raises(error, match=text) as raised:
            await place.peer.call(target)
        assert raised.value.started is False  # type: ignore[attr-defined]


async def test_without_actors_such_a_target_is_refused():
    class Plain:
        async def add(self, k: int) -> int:
            return k

    async with penstock.serve(Plain(), listen="memory://plain") as server, penstock.connect(server.urls[0]) as peer:
        with pytest.raises(Unimplemented, match="no actors"):
            await peer.ask("desk", "add", 1)


async def test_a_stream_by_name_wants_a_stream():
    async with town() as place:
        await place.desk()
        with pytest.raises(Unimplemented, match="not a server streaming method"):
            await anext(aiter(place.peer.stream("desk", "add", 1)))
        with pytest.raises(InvalidArgument, match="count"):
            await anext(aiter(place.peer.stream("desk", "ticks", "x")))


async def test_the_streams_of_an_actor_end_with_it():
    async with town() as place:
        _desk, stub = await place.desk()
        stream = stub.ticks(1_000_000)
        await stream.receive()
        await place.peer.ref("desk").stop()

        async def read_on() -> None:
            while True:
                await stream.receive()

        assert isinstance(await outcome(read_on()), ActorStopped)


async def test_a_port_that_is_not_there_is_not_found():
    async with town() as place:
        await place.desk()
        with pytest.raises(NotFound, match="did you mean 'news'"):
            await place.peer.subscribe("desk", "new").receive()


async def test_stop_waits_until_it_has_stopped():
    async with town() as place:
        await place.desk()
        await place.peer.ref("desk").stop()
        assert not place.system.list()
        with pytest.raises(NotFound):
            await place.peer.ref("desk").stop()


async def test_interceptors_go_around_streams_of_actors_too():
    seen: list[str] = []

    def interceptor(call: penstock.CallInfo) -> Any:
        seen.append(call.target)
        return nullcontext()

    async with town(interceptors=[interceptor]) as place:
        _desk, stub = await place.desk()
        assert [item async for item in stub.ticks(1)] == [0]
        assert seen == ["/desk/ticks"]


async def test_an_error_names_the_method_and_not_the_verb_by_which_it_was_called():
    class Breaks(penstock.Actor):
        async def breaks(self) -> AsyncIterator[int]:
            yield 1
            raise LookupError("on purpose")

    async with town() as place:
        await place.system.spawn(Breaks, name="b")
        for stream in (place.peer.actor(Breaks, "b").breaks(), place.peer.stream("b", "breaks", None)):
            with pytest.raises(Internal, match=r"^b/breaks raised; its log"):
                [item async for item in stream]
        assert repr(place.peer.stream("b", "breaks", None)).startswith("<Stream b/breaks open")


async def test_a_stream_that_cannot_be_had_by_name_is_refused_before_it_begins():
    async with town() as place:
        await place.desk()
        for type_, payload, text in (
            ("tick", None, "did you mean 'ticks'"),
            ("add", 1, "not a server streaming method"),
            ("ticks", "x", "count"),
        ):
            with pytest.raises((Unimplemented, InvalidArgument), match=text) as raised:
                await place.peer.stream("desk", type_, payload).receive()
            assert raised.value.started is False


async def test_a_subscription_names_its_port_and_what_it_may_choose():
    async with town() as place:
        await place.desk()
        with pytest.raises(ValueError, match="overflow is 'newest'; it is one of wait, drop_oldest"):
            place.peer.subscribe("desk", "news", overflow="newest")
        news = place.peer._stream("/desk!port", ("news", 0, None))
        with pytest.raises(
            InvalidArgument, match="buffer_size is 0; it takes a whole number from 1 to 16384, or None for that of the port"
        ):
            await news.receive()
        assert repr(news).startswith("<Stream /desk!port failed")


class Told(penstock.Actor):
    """Notes how its stream has ended, as its handler sees it."""

    def __init__(self) -> None:
        self.words: list[str | None] = []

    async def items(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(1000)
        finally:
            self.words.append(penstock.context().outcome)


ENDS = {
    "deadline": ("deadline", DeadlineExceeded),
    "idle": ("deadline", IdleTimeout),
    "cancel": ("cancelled", Cancelled),
    "stop the actor": ("failed", ActorStopped),
    "close the server": ("cancelled", Unavailable),
    "close the connection": ("lost", Cancelled),
}


async def _end(end, place, stream):
    if end == "cancel":
        stream.cancel()
    elif end == "stop the actor":
        await place.system.stop("told")
    elif end == "close the server":
        await place.server.aclose(grace_s=0)
    elif end == "close the connection":
        place.peer._scope.session.abort()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize(("end", "word", "error"), [(end, *told) for end, told in ENDS.items()], ids=list(ENDS))
async def test_the_handler_the_history_and_the_consumer_name_one_outcome(where, end, word, error):
    """The table of docs/explanation/outcomes.md."""
    if where == "here" and end in {"close the server", "close the connection"}:
        return
    tape = Tape()
    async with town(reconnect=None) as place:
        place.system._host.tap = tape
        local = await place.system.spawn(Told, name="told")
        told = place.object("told", Told)
        stub = local if where == "here" else place.peer.actor(Told, "told")
        stream = penstock.options(
            stub, timeout=5 if end == "deadline" else None, idle_timeout=5 if end == "idle" else None
        ).items()
        assert await anext(stream) == 1
        await asyncio.sleep(1)
        await _end(end, place, stream)
        with pytest.raises(error):
            await anext(stream)
        await asyncio.sleep(1)
        assert told.words == [word]
        assert [data["outcome"] for data in tape.data("stream_ended")] == [word]
