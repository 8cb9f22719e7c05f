"""Standard input and output as ends of streams, on pipes of our own."""

from __future__ import annotations

import asyncio
import os

import msgspec
import pytest

from penstock.cli import _stdio as stdio
from penstock.errors import InvalidArgument


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end is not None:
            os.close(end)


def close(pipe, which):
    os.close(pipe[which])
    pipe[which] = None


async def all_items(pipe, *parts):
    async def feed():
        for part in parts:
            await asyncio.to_thread(os.write, pipe[1], part)
        close(pipe, 1)

    feeding = asyncio.create_task(feed())
    try:
        return [bytes(item) async for item in stdio.items(pipe[0])]
    finally:
        await feeding


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", []),
        (b"\n\n \n", []),
        (b"1", [b"1"]),
        (b"1\n", [b"1"]),
        (b"1\r\n2\r\n", [b"1", b"2"]),
        (b'{"a": 1}\n\n "x" \n', [b'{"a": 1}', b'"x"']),
        ('"é"\n'.encode(), ['"é"'.encode()]),
    ],
)
async def test_items_are_the_lines_that_are_not_empty(pipe, text, found):
    assert await all_items(pipe, text) == found


async def test_a_line_may_come_in_pieces(pipe):
    assert await all_items(pipe, b'{"a"', b": 1", b"}\n[2", b"]") == [b'{"a": 1}', b"[2]"]


async def test_a_line_may_be_longer_than_what_is_read_at_a_time(pipe):
    long = b'"' + b"x" * (3 * stdio.STDIN_READ_BYTES) + b'"'
    assert await all_items(pipe, long, b"\n1\n") == [long, b"1"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"1\n\nnope\n", "line 3 of the input is not valid JSON"),
        (b"1\n{} {}\n", "line 2 of the input is not valid JSON"),
        (b'"\xff"\n', "line 1 of the input is not valid JSON"),
        (b"[" * 10_000, "line 1 of the input is not valid JSON"),
    ],
)
async def test_what_is_no_json_is_refused_by_its_line(pipe, text, why):
    with pytest.raises(InvalidArgument, match=why):
        await all_items(pipe, text)


async def test_a_line_without_end_is_refused(pipe, monkeypatch):
    monkeypatch.setattr(stdio, "TEXT_BYTES_MAX", stdio.STDIN_READ_BYTES)
    with pytest.raises(InvalidArgument, match="line 2 of the input is longer than 65536 bytes"):
        await all_items(pipe, b"1\n" + b" " * (2 * stdio.STDIN_READ_BYTES))


async def test_an_argument_without_end_is_refused(pipe, monkeypatch):
    monkeypatch.setattr(stdio, "TEXT_BYTES_MAX", 100)
    os.write(pipe[1], b" " * 101)
    with pytest.raises(InvalidArgument, match="longer than 100 bytes"):
        await stdio.argument(pipe[0])


async def test_waiting_for_input_holds_up_nobody_and_can_be_cancelled(pipe):
    waiting = asyncio.ensure_future(anext(stdio.items(pipe[0])))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    close(pipe, 1)


async def test_a_terminal_that_somebody_made_non_blocking_is_waited_for(pipe):
    os.set_blocking(pipe[0], False)
    reading = asyncio.ensure_future(anext(stdio.items(pipe[0])))
    await asyncio.sleep(0.01)
    os.write(pipe[1], b"1\n")
    assert bytes(await reading) == b"1"


async def test_values_are_written_one_a_line(pipe):
    await stdio.Output(pipe[1]).write([msgspec.Raw(b'{"a":1}'), msgspec.Raw(b"2")])
    assert os.read(pipe[0], 100) == b'{"a":1}\n2\n'


async def test_what_another_implementation_indents_is_still_one_line(pipe):
    await stdio.Output(pipe[1]).write([msgspec.Raw(b'{\n  "a": 1\n}'), msgspec.Raw(b"2")])
    assert os.read(pipe[0], 100) == b'{"a":1}\n2\n'


async def test_pretty_values_are_indented(pipe):
    await stdio.Output(pipe[1], pretty=True).write([msgspec.Raw(b'{"a":1}')])
    assert os.read(pipe[0], 100) == b'{\n  "a": 1\n}\n'


async def test_a_write_returns_when_all_of_it_is_out_also_where_it_cannot_block(pipe):
    os.set_blocking(pipe[1], False)
    long = b'"' + b"x" * 300_000 + b'"'
    writing = asyncio.ensure_future(stdio.Output(pipe[1]).write([msgspec.Raw(long)]))
    got = b""
    while len(got) < len(long) + 1:
        got += await asyncio.to_thread(os.read, pipe[0], 100_000)
    await writing
    assert got == long + b"\n"


async def test_a_write_that_nobody_reads_is_a_broken_pipe(pipe):
    close(pipe, 0)
    with pytest.raises(BrokenPipeError):
        await stdio.Output(pipe[1]).write([msgspec.Raw(b"1")])


async def test_a_pipe_that_breaks_while_nothing_is_written_is_noticed(pipe):
    async def work():
        async with stdio.Output(pipe[1]).until_broken():
            close(pipe, 0)
            await asyncio.Event().wait()

    with pytest.raises(BrokenPipeError):
        await work()


async def test_a_pipe_that_holds_is_left_as_it_was(pipe):
    output = stdio.Output(pipe[1])
    async with output.until_broken():
        await output.write([msgspec.Raw(b"1")])
    assert os.get_blocking(pipe[1])


async def test_a_cancelled_block_is_not_taken_for_a_broken_pipe(pipe):
    async def work():
        async with stdio.Output(pipe[1]).until_broken():
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
