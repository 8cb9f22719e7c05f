"""What a reader found: each of these hung, lost an outcome, or took the connection with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import Cancelled, DataLoss, InvalidArgument, PenstockError, Unavailable
from penstock.calls import Request
from penstock.codec import JSON, MSGPACK
from penstock.protocol import CallKind, Status
from tests.calls.kit import linked, rest, started


class Even(penstock.Struct):
    value: int

    def __post_init__(self) -> None:
        assert self.value % 2 == 0, "odd"


class Desk:
    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun = 0

    async def count(self) -> AsyncIterator[int]:
        for number in range(1_000_000):
            yield number

    async def silent(self) -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 0

    async def check(self, even: Even) -> int:
        return even.value

    async def wrong(self) -> Even:
        even = Even(2)
        even.value = 3
        return even

    async def slow(self) -> int:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            await self.open.wait()
        return 0


@asynccontextmanager
async def around(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


async def test_the_consumer_of_an_intercepted_stream_is_told_when_its_peer_is_closed():
    async with linked(Desk(), gate=False, client_interceptors=[around]) as pair:
        stream = penstock.Stream.of(pair.stub(Desk).silent())
        waiting = await started(stream.receive())
        await pair.peer.aclose()
        with pytest.raises((Cancelled, Unavailable)):
            await asyncio.wait_for(waiting, 1)


async def test_nothing_comes_after_a_cancel_inside_the_loop():
    async with linked(Desk()) as pair:
        stream = penstock.Stream.of(pair.stub(Desk).count())
        taken = []
        with pytest.raises(PenstockError):  # noqa: PT012 - the loop raises
            async for item in stream:
                taken.append(item)
                if item == 2:
                    stream.cancel()
        assert taken == [0, 1, 2]


async def test_a_type_that_checks_itself_may_raise_what_it_likes():
    async with linked(Desk()) as pair:
        stub = pair.stub(Desk)
        with pytest.raises(InvalidArgument, match="odd"):
            await pair.peer.call("Desk/check", {"value": 3})
        with pytest.raises(DataLoss, match="odd"):
            await stub.wrong()
        assert await stub.check(Even(4)) == 4


async def test_a_call_that_arrives_while_a_peer_closes_is_refused():
    desk = Desk()
    async with linked(Desk(), gate=False, client_services=[desk]) as pair:
        (served,) = pair.server.peers
        first = asyncio.ensure_future(served.call("Desk/slow"))
        await rest()
        closing = asyncio.ensure_future(pair.peer.aclose())
        await rest()
        with pytest.raises(Unavailable) as raised:
            await served.call("Desk/slow")
        assert not raised.value.started
        desk.open.set()
        await closing
        await asyncio.gather(first, return_exceptions=True)
        assert desk.begun == 1


async def test_a_unary_result_counts_when_the_end_says_so():
    desk = Desk()
    desk.open.set()
    async with linked(desk, gate=False) as pair:
        calling = asyncio.ensure_future(pair.peer.call("Desk/slow"))
        await rest()
        (served,) = pair.server.peers
        (stream,) = served.session.connection.streams.all()
        stream.send.push(MSGPACK.encode_into, 7)
        served.session.connection.accept(stream, None)
        served.session.touch(stream)
        await rest()
        assert not calling.done()
        served.session.connection.fail(stream, Status(5, "not_found", "after all"))
        served.session.flush_soon()
        with pytest.raises(penstock.NotFound, match="after all"):
            await calling
        assert await pair.peer.call("Desk/check", {"value": 4}) == 4
        for task in tuple(served._tasks):  # the handler, whose call was answered behind its back
            task.cancel()


async def test_an_item_that_is_here_after_a_stall_is_no_idle_stream():
    class Ticks:
        async def tick(self) -> AsyncIterator[int]:
            for number in range(3):
                await asyncio.sleep(1)
                yield number

    async with linked(Ticks()) as pair:
        stub = penstock.options(pair.stub(Ticks), idle_timeout=2)
        stream = penstock.Stream.of(stub.tick())
        assert await stream.receive() == 0
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().advance, 10)
        assert [item async for item in stream] == [1, 2]


async def test_an_error_may_carry_any_message():
    class Odd:
        async def raise_(self) -> int:
            raise penstock.NotFound(17)

    async with linked(Odd()) as pair:
        with pytest.raises(penstock.NotFound, match="17"):
            await pair.stub(Odd).raise_()


@pytest.mark.parametrize("code", [0, 17, 404, "x"])
def test_an_error_of_your_own_has_one_of_the_sixteen_codes(code):
    with pytest.raises(TypeError, match="1 to 16"):
        type("Mine", (penstock.StatusError,), {"code": code})


@pytest.mark.parametrize("timeout", [1e13, float("inf")])
async def test_a_time_out_beyond_all_measure_is_none(timeout):
    async with linked(Desk()) as pair:
        assert await penstock.options(pair.stub(Desk), timeout=timeout, idle_timeout=timeout).check(Even(4)) == 4


async def test_metadata_that_is_no_text_is_refused_and_the_connection_goes_on():
    @asynccontextmanager
    async def number(call: penstock.CallInfo) -> AsyncIterator[None]:
        call.metadata["attempt"] = 1  # type: ignore[assignment]
        yield

    async with linked(Desk(), client_interceptors=[number]) as pair:
        for _ in range(2):
            with pytest.raises(InvalidArgument, match="attempt"):
                await pair.stub(Desk).check(Even(4))


@pytest.mark.parametrize("argument", [b"[1,2,3,", b"{", b"["])
async def test_an_argument_that_cannot_be_read_is_refused_and_the_connection_goes_on(argument):
    async with linked(Desk()) as pair:
        request = Request("Desk/check", CallKind.UNARY, JSON, argument, JSON.decode_for(object), penstock.CallOptions())
        with pytest.raises(InvalidArgument):
            await pair.peer.unary(request)
        assert await pair.stub(Desk).check(Even(4)) == 4


@pytest.mark.parametrize("wrong", [{"window_items": 0}, {"max_frame_bytes": 100}, {"keepalive_s": -1.0}, {"compression": "x"}])
def test_settings_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        penstock.Settings(**wrong)


async def drained(answer: AsyncIterator[int]) -> list[int]:
    return [item async for item in answer]


class Picky:
    async def echo(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            if item == 3:
                raise penstock.FailedPrecondition("no threes")
            yield item

    async def refuse(self, items: AsyncIterator[int]) -> int:
        raise penstock.FailedPrecondition("no")


@pytest.mark.parametrize("method", ["echo", "refuse"])
async def test_who_feeds_a_call_by_a_pipe_is_told_when_the_call_is_over(method):
    async with linked(Picky()) as pair:
        sink, source = penstock.pipe(1)

        async def feed() -> None:
            for number in range(100):
                await sink.send(number)

        feeding = asyncio.ensure_future(feed())
        answer = getattr(pair.stub(Picky), method)(source)
        with pytest.raises(penstock.FailedPrecondition):
            await (drained(answer) if method == "echo" else answer)
        with pytest.raises(penstock.StreamCancelled):
            await asyncio.wait_for(feeding, 1)
        assert source.statistics().state == "cancelled"


async def test_what_a_handler_leaves_running_is_not_bound_by_its_deadline():
    called = []

    class Starter:
        async def start(self) -> None:
            called.append(asyncio.ensure_future(self.later()))

        async def later(self) -> int:
            await asyncio.sleep(5)
            return await penstock.context().peer.call("Desk/check", {"value": 4})

    async with linked(Starter(), client_services=[Desk()]) as pair:
        await penstock.options(pair.stub(Starter), timeout=1).start()
        assert await called[0] == 4


async def test_requests_that_outlive_their_handler_do_not_end_they_are_closed():
    read: list[object] = []

    class Leaver:
        async def take(self, items: AsyncIterator[int]) -> int:
            async def go_on() -> None:
                try:
                    async for item in items:
                        await asyncio.sleep(1)
                        read.append(item)
                except PenstockError as error:
                    read.append(error)
                else:
                    read.append("an end")

            read.append(asyncio.ensure_future(go_on()))
            await asyncio.sleep(2.5)
            return 1

    async with linked(Leaver()) as pair:
        assert await pair.stub(Leaver).take(range(1000)) == 1
        await read[0]
        assert isinstance(read[-1], penstock.StreamClosed)
