"""A retained stream in one process: each follower has its own place, leaving stops nothing, and the end is kept."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from datetime import UTC, datetime

import pytest

import penstock
from penstock import Dropped
from penstock.errors import (
    Aborted,
    Busy,
    Cancelled,
    DataLoss,
    EndOfStream,
    OutOfRange,
    ResourceExhausted,
    StreamCancelled,
    StreamClosed,
    WrongThread,
)
from penstock.retention import _streams
from penstock.retention._log import ITEM_BYTES
from tests.retention.kit import Token, Writer, counted, taken


async def test_a_follower_gets_all_items_and_the_end():
    assert [item async for item in penstock.retained("a", counted(100))] == [*range(100)]


async def test_a_follower_that_comes_late_gets_the_same():
    stream = penstock.retained("a", counted(5))
    assert [item async for item in stream] == [*range(5)]
    assert [item async for item in stream] == [*range(5)]
    assert [item async for item in stream.follow(3)] == [3, 4]
    assert [item async for item in stream.follow(5)] == []


async def test_a_follower_goes_on_live_behind_what_is_kept():
    writer = Writer(6)
    stream = penstock.retained("a", writer.numbers())
    await writer.write(3)
    early, late, now = stream.follow(), stream.follow(2), stream.follow("now")
    assert await taken(early, 3) == [0, 1, 2]
    assert await taken(late, 1) == [2]
    await writer.write(2)
    assert (await taken(early, 2), await taken(late, 2), await taken(now, 2)) == ([3, 4], [3, 4], [3, 4])
    assert (early.offset, late.offset, now.offset) == (5, 5, 5)
    await stream.stop()


async def test_leaving_stops_nothing():
    writer = Writer(6)
    stream = penstock.retained("a", writer.numbers())
    await writer.write(1)
    async for _item in stream:
        break
    follower = stream.follow()
    await follower.receive()
    await follower.aclose()
    async with stream.follow() as other:
        assert await other.receive() == 0
    del follower, other
    await writer.write(5)
    assert [item async for item in stream] == [*range(6)]
    assert writer.ended == ["end"]


async def test_stop_ends_the_generator_and_is_told_to_those_who_come_late():
    writer = Writer()
    stream = penstock.retained("a", writer.numbers())
    early = stream.follow()
    await writer.write(2)
    await stream.follow().stop()
    assert writer.ended == ["CancelledError"]
    for follower in (early, stream.follow()):
        assert await taken(follower, 2) == [0, 1]
        with pytest.raises(Cancelled, match="stream 'a' was stopped"):
            await follower.receive()
        assert follower.statistics().state == "cancelled"
    with pytest.raises(StreamCancelled):
        await stream.send(5)
    await stream.stop()


async def test_stop_waits_for_the_clean_up_of_the_generator():
    cleaned = asyncio.Event()

    async def slow():
        try:
            yield 1
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(3)
            cleaned.set()

    stream = penstock.retained("a", slow())
    assert await stream.follow().receive() == 1
    await asyncio.sleep(0.1)
    await stream.stop()
    assert cleaned.is_set()


async def test_a_generator_may_stop_its_own_stream():
    async def alone():
        yield 1
        await penstock.retained("a").stop()
        yield 2

    stream = penstock.retained("a", alone())
    follower = stream.follow()
    assert await follower.receive() == 1
    with pytest.raises(Cancelled):
        await follower.receive()


@pytest.mark.parametrize("failure", [ValueError("bad"), penstock.NotFound("gone")])
async def test_a_failure_is_kept(failure, caplog):
    async def failing():
        yield 1
        raise failure

    with caplog.at_level(logging.CRITICAL, "penstock.calls"):
        stream = penstock.retained("a", failing())
        for _ in range(2):
            follower = stream.follow()
            assert await follower.receive() == 1
            with pytest.raises(type(failure), match=str(failure)):
                await follower.receive()


async def test_an_unexpected_failure_without_a_follower_is_logged_once(caplog):
    async def failing():
        yield 1
        raise ValueError("bad")

    penstock.retained("a", failing())
    await asyncio.sleep(1)
    (record,) = caplog.records
    assert "stream 'a': ValueError: bad" in record.getMessage()
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("ending", [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), EndOfStream()])
async def test_a_writer_that_is_stopped_otherwise_never_ends_in_silence(ending, caplog):
    async def stopped():
        yield 1
        raise ending

    with caplog.at_level(logging.CRITICAL, "penstock.calls"):
        follower = penstock.retained("a", stopped()).follow()
        assert await follower.receive() == 1
        with pytest.raises((Cancelled, Aborted, RuntimeError)):
            await follower.receive()


async def test_a_program_writes_by_send():
    async with penstock.retained("a") as stream:
        await stream.send(1)
        await stream.send_many([2, 3])
        stream.send_nowait(4)
        assert stream.next_offset == 4
    assert [item async for item in stream] == [1, 2, 3, 4]
    for send in (stream.send(5), stream.send_many([5])):
        with pytest.raises(StreamClosed, match="ended"):
            await send
    with pytest.raises(StreamClosed):
        stream.send_nowait(5)


async def test_a_block_that_raises_fails_the_stream():
    with pytest.raises(KeyError):
        async with penstock.retained("a") as stream:
            raise KeyError("x")
    with pytest.raises(KeyError):
        await stream.follow().receive()


async def test_close_ends_a_generator():
    writer = Writer()
    stream = penstock.retained("a", writer.numbers())
    await writer.write(2)
    stream.close()
    assert [item async for item in stream] == [0, 1]
    await asyncio.sleep(0)
    assert writer.ended == ["CancelledError"]


async def test_the_name_finds_the_stream_also_after_its_end():
    writer = Writer(3)
    stream = penstock.retained("a", writer.numbers())
    await writer.write(1)
    assert penstock.retained("a", counted(100)) is stream
    await writer.write(2)
    assert [item async for item in stream] == [0, 1, 2]
    assert penstock.retained("a", counted(100)) is stream
    assert penstock.retained("a") is stream
    assert penstock.retained("b") is not stream


async def test_a_stream_that_was_looked_for_first_is_written_later():
    follower = penstock.retained("a").follow()
    waiting = asyncio.ensure_future(follower.receive())
    await asyncio.sleep(1)
    penstock.retained("a", lambda offset: [offset, offset + 1])
    assert await waiting == 0
    assert [item async for item in follower] == [1]


async def test_what_is_over_the_limits_goes_and_a_follower_that_needs_it_is_told():
    stream = penstock.retained("a", max_items=10)
    behind, inside = stream.follow(), stream.follow()
    await stream.send_many(range(8))
    assert await taken(inside, 8) == [*range(8)]
    await stream.send_many(range(8, 15))
    assert (stream.oldest, stream.next_offset) == (5, 15)
    assert await taken(inside, 7) == [*range(8, 15)]
    with pytest.raises(OutOfRange, match="item 0 of stream 'a'") as caught:
        await behind.receive()
    assert caught.value.details == {"oldest": 5, "next": 15}
    with pytest.raises(OutOfRange):
        await behind.receive()
    assert await taken(stream.follow(caught.value.details["oldest"]), 2) == [5, 6]
    assert await taken(stream.follow("oldest"), 1) == [5]
    assert behind.statistics().state == "failed"


async def test_the_bytes_of_a_stream_are_bounded():
    stream = penstock.retained("a", max_bytes=10 * (100 + 2 + ITEM_BYTES))
    await stream.send_many(bytes(100) for _ in range(25))
    assert stream.next_offset - stream.oldest == 10
    with pytest.raises(ResourceExhausted, match="max_bytes"):
        await stream.send(bytes(3000))
    assert stream.next_offset == 25


async def test_a_place_that_does_not_exist_yet_is_out_of_range():
    stream = penstock.retained("a", counted(3))
    await asyncio.sleep(1)
    with pytest.raises(OutOfRange, match="has 3 items so far"):
        await stream.follow(4).receive()


@pytest.mark.parametrize("since", [-1, True, 1.5, None, "last", b"now"])
async def test_another_place_is_refused(since):
    with pytest.raises(ValueError, match="since is"):
        penstock.retained("a").follow(since)


async def test_a_follower_that_wants_the_newest_item_skips_the_others():
    stream = penstock.retained("a")
    follower = stream.follow(latest=True)
    await stream.send_many(range(5))
    assert await follower.receive() == Dropped(4)
    assert follower.offset == 4
    await stream.send_many(range(5, 10))
    assert await follower.receive() == 4
    assert follower.offset == 5
    assert await taken(follower, 2) == [Dropped(4), 9]
    await stream.send(10)
    assert await follower.receive() == 10
    assert follower.offset == 11
    stream.close()
    with pytest.raises(EndOfStream):
        await follower.receive()


async def test_a_skipping_follower_is_never_out_of_range():
    stream = penstock.retained("a", max_items=2)
    follower = stream.follow(latest=True)
    await stream.send_many(range(50))
    assert await taken(follower, 2) == [Dropped(49), 49]


async def test_a_cancelled_receive_takes_no_item():
    stream = penstock.retained("a")
    follower = stream.follow()
    for number in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await follower.receive()
        await stream.send(number)
        assert await follower.receive() == number
    loop = aiter(follower)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await anext(loop)
    await stream.send(5)
    assert await anext(loop) == 5
    assert not stream._kept.bell.waiting


async def test_a_loop_that_is_left_leaves_the_follower_where_it_was():
    follower = penstock.retained("a", counted(1000)).follow()
    async for item in follower:
        if item == 300:
            break
    assert follower.offset == 301
    assert [item async for item in follower] == [*range(301, 1000)]


async def test_batches_bring_what_is_there():
    stream = penstock.retained("a")
    await stream.send_many(range(1000))
    stream.close()
    batches = [batch async for batch in stream.follow().batches(100)]
    assert [item for batch in batches for item in batch] == [*range(1000)]
    assert max(map(len, batches)) == 100


async def test_closing_a_follower_wakes_the_task_that_receives():
    follower = penstock.retained("a").follow()
    waiting = asyncio.ensure_future(follower.receive())
    await asyncio.sleep(1)
    with pytest.raises(Busy):
        await follower.receive()
    await follower.aclose()
    with pytest.raises(StreamClosed):
        await waiting


async def test_an_item_is_kept_as_it_was_sent():
    item = {"a": [1]}
    stream = penstock.retained("a")
    await stream.send(item)
    item["a"].append(2)
    first, second = await stream.follow().receive(), await stream.follow().receive()
    assert first == second == {"a": [1]}
    assert first is not second


@pytest.mark.parametrize(
    "item", [Token("x", 1), 1, "x", b"x", None, 1.5, [1], (1, 2), {"a": 1}, datetime(2026, 1, 1, tzinfo=UTC)], ids=repr
)
async def test_a_reader_here_gets_an_item_of_the_same_class(item):
    stream = penstock.retained("a")
    await stream.send(item)
    got = await stream.follow().receive()
    assert (got, type(got)) == (item, type(item))


async def test_a_declared_type_is_that_of_the_items():
    stream = penstock.retained("a", type=list[Token])
    await stream.send([Token("x", 1)])
    assert await stream.follow().receive() == [Token("x", 1)]
    assert await stream.follow(type=list[dict]).receive() == [{"text": "x", "place": 1}]
    await stream.send_many(["bad", []])
    follower = stream.follow()
    assert await follower.receive() == [Token("x", 1)]
    with pytest.raises(DataLoss, match="stream 'a': an item does not fit its type"):
        await follower.receive()
    assert follower.offset == 1


async def test_an_item_that_cannot_travel_is_refused_and_the_stream_goes_on():
    stream = penstock.retained("a")
    with pytest.raises(TypeError, match="an item of stream 'a' cannot travel"):
        await stream.send(object())
    await stream.send(1)
    assert stream.next_offset == 1


@pytest.mark.parametrize("mark", [Dropped(3), {"$penstock": "dropped", "count": 3}])
async def test_an_item_that_looks_like_a_mark_is_refused(mark):
    """A follower would count other offsets than there are."""
    stream = penstock.retained("a")
    with pytest.raises(TypeError, match="a mark of Penstock"):
        await stream.send(mark)
    others = [{"a": {"$penstock": "dropped", "count": 3}}, "$penstock", {"$penstock": "other"}]
    await stream.send_many(others)
    follower = stream.follow()
    assert await taken(follower, 3) == others
    assert follower.offset == 3


async def test_a_closed_follower_says_where_the_program_was():
    stream = penstock.retained("a")
    await stream.send_many(range(100))
    follower = stream.follow()
    await taken(follower, 3)
    await follower.aclose()
    assert follower.offset == 3


async def test_a_follower_holds_few_bytes_that_are_not_kept_any_more():
    stream = penstock.retained("a", max_bytes=10_000_000)
    await stream.send_many(bytes(50_000) for _ in range(100))
    follower = stream.follow()
    await follower.receive()
    assert len(follower._buffer) <= 1


async def test_a_writer_that_is_cancelled_by_another_hand_is_told():
    async def writer(offset: int):
        for number in range(offset, 10):
            yield number
            await asyncio.sleep(1)

    stream = penstock.retained("a", writer)
    follower = stream.follow()
    assert await follower.receive() == 0
    stream._writer.cancel()
    with pytest.raises(Cancelled, match="the writer of stream 'a' was stopped"):
        await follower.receive()


async def test_a_stream_is_forgotten_after_its_end():
    stream = penstock.retained("a", counted(3), ttl_s=10)
    await asyncio.sleep(9)
    assert penstock.retained("a") is stream
    await asyncio.sleep(2)
    follower = stream.follow()
    assert penstock.retained("a") is not stream
    with pytest.raises(OutOfRange):
        await follower.receive()
    assert _streams.streams_here().size == 0


async def test_an_open_stream_is_not_forgotten():
    stream = penstock.retained("a", ttl_s=1)
    await stream.send(1)
    await asyncio.sleep(1000)
    assert await penstock.retained("a").follow().receive() == 1


async def test_too_many_streams_are_refused_after_those_that_have_ended_are_forgotten(monkeypatch):
    monkeypatch.setattr(_streams, "RETAINED_MAX", 3)
    ended = penstock.retained("ended", counted(1))
    penstock.retained("a")
    penstock.retained("b")
    await asyncio.sleep(1)
    penstock.retained("c")
    assert ended.name not in _streams.streams_here().named
    with pytest.raises(ResourceExhausted, match="RETAINED_MAX"):
        penstock.retained("d")


async def test_all_streams_together_are_bounded(monkeypatch):
    monkeypatch.setattr(_streams, "RETAINED_BYTES_MAX", 10_000)
    penstock.retained("ended", [bytes(4000)])
    await asyncio.sleep(1)
    stream = penstock.retained("a")
    await stream.send(bytes(5000))
    await stream.send(bytes(4000))
    assert "ended" not in _streams.streams_here().named
    with pytest.raises(ResourceExhausted, match="RETAINED_BYTES_MAX"):
        await stream.send(bytes(1000))
    assert _streams.streams_here().size == 9000 + 2 * ITEM_BYTES + 6
    follower = stream.follow()
    assert list(map(len, await taken(follower, 2))) == [5000, 4000]


async def test_a_generator_that_never_waits_lets_other_tasks_run():
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(turn())
    assert [item async for item in penstock.retained("a", counted(6400)).follow()] == [*range(6400)]
    beside.cancel()
    assert turns >= 100


async def test_items_that_cannot_be_iterated_over_are_refused_at_once():
    async def forgotten_yield() -> None: ...

    work = forgotten_yield()
    for items in (work, 5, object()):
        with pytest.raises(TypeError, match="the items of stream 'a'"):
            penstock.retained("a", items)
    work.close()
    assert not _streams.streams_here().named


async def test_the_name_and_the_limits_are_checked():
    for name in ("", "a" * 257, "a\nb", 5, None):
        with pytest.raises(ValueError, match="the name of a retained stream"):
            penstock.retained(name)
    for options in ({"ttl_s": 0}, {"ttl_s": "x"}, {"max_items": 0}, {"max_bytes": True}):
        with pytest.raises(ValueError, match=next(iter(options))):
            penstock.retained("a", **options)
    assert not _streams.streams_here().named


def test_without_an_event_loop_it_says_so():
    with pytest.raises(RuntimeError, match="event loop"):
        penstock.retained("a")


async def test_another_thread_is_refused():
    stream = penstock.retained("a")
    errors: list[BaseException] = []

    def use() -> None:
        for verb in (stream.follow, stream.close, lambda: stream.send_nowait(1), lambda: stream.fail(ValueError())):
            try:
                verb()
            except WrongThread as error:
                errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(errors) == 4
    assert stream.statistics().state == "open"


async def test_a_follower_belongs_to_the_thread_of_its_stream():
    follower = penstock.retained("a", counted(3)).follow()
    errors: list[BaseException] = []

    async def use() -> None:
        for verb in (follower.receive, follower.aclose):
            try:
                await verb()
            except WrongThread as error:
                errors.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert len(errors) == 2
    assert [item async for item in follower] == [0, 1, 2]


async def test_a_kept_failure_holds_no_frame():
    class Held:
        pass

    async def failing():
        held = Held()
        try:
            yield 1
            {}["inner"]
        except KeyError as error:
            raise penstock.NotFound(f"outer {held is None}") from error

    async def read(stream: penstock.Retained) -> None:
        local = Held()
        with pytest.raises(ValueError, match="bad"):
            await stream.follow().receive()
        assert local

    stream = penstock.retained("b")
    stream.fail(ValueError("bad"))
    await read(stream)
    with pytest.raises(penstock.NotFound):
        await taken(penstock.retained("a", failing()).follow(), 2)
    gc.collect()
    assert not [found for found in gc.get_objects() if type(found).__name__ == "Held"]


async def test_the_clean_up_of_a_stopped_writer_that_raises_is_logged(caplog):
    async def bad():
        try:
            while True:
                yield 1
                await asyncio.sleep(1)
        finally:
            raise OSError("clean-up")

    stream = penstock.retained("a", bad())
    await stream.follow().receive()
    await stream.stop()
    assert "the writer of stream 'a' raised after the stream had ended" in caplog.text
    assert "OSError: clean-up" in caplog.text


async def test_an_item_that_its_own_stream_makes_room_for_is_taken(monkeypatch):
    monkeypatch.setattr(_streams, "RETAINED_BYTES_MAX", 10_000)
    stream = penstock.retained("a", max_bytes=9_900)
    for number in range(30):
        await stream.send(bytes([number]) * 900)
    assert (stream.next_offset, _streams.streams_here().size <= 10_000) == (30, True)


async def test_an_eager_writer_that_asks_for_its_own_stream_is_its_only_writer():
    async def writer():
        penstock.retained("a", counted(3))
        yield "own"

    assert [item async for item in penstock.retained("a", writer())] == ["own"]


async def test_send_nowait_never_blocks_in_memory():
    stream = penstock.retained("a", max_items=10)
    for number in range(100):
        stream.send_nowait(number)
    assert (stream.oldest, stream.next_offset) == (90, 100)


async def test_its_repr_says_how_it_is():
    stream = penstock.retained("a", counted(3))
    follower = stream.follow()
    await follower.receive()
    await asyncio.sleep(0)
    assert repr(stream) == "<Retained 'a' ended, 3 sent, 3 kept>"
    assert repr(follower) == "<Follower of 'a' open at 1, 1 received>"


async def test_it_describes_itself():
    stream = penstock.retained("a", counted(3), ttl_s=5, max_items=10, max_bytes=1000)
    await asyncio.sleep(0.1)
    described = await stream.follow().describe()
    assert (described.name, described.state, described.oldest, described.next) == ("a", "ended", 0, 3)
    assert (described.ttl_s, described.max_items, described.max_bytes) == (5, 10, 1000)
    assert described.kept.startswith("in memory")


async def test_the_loop_that_ends_cancels_the_writers():
    ended: list[str] = []

    def program() -> None:
        async def main() -> None:
            penstock.retained("a", endless())
            await asyncio.sleep(0.01)

        async def endless():
            try:
                while True:
                    yield 1
                    await asyncio.sleep(0.001)
            finally:
                ended.append("writer")

        asyncio.run(main())
        ended.append("loop")

    thread = threading.Thread(target=program)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert ended == ["writer", "loop"]
