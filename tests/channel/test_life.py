"""The states of one end of a channel, without any other side."""

from __future__ import annotations

import asyncio

import pytest

from penstock.channel._life import Life
from penstock.errors import ChannelClosed, ConnectionLost, FailedPrecondition
from tests.streams.kit import rest, started, stopped


def test_the_states_follow_what_happened():
    life = Life()
    assert life.state == "opening"
    life.open()
    assert life.state == "open"
    life.end_receiving()
    assert life.state == "half-closed"
    life.end("closed", "done", ChannelClosed("done"))
    assert life.state == "closed"


@pytest.mark.parametrize("ending", ["closed", "rejected", "lost"])
def test_the_first_ending_counts(ending):
    life = Life()
    assert life.end(ending, "first", ChannelClosed("first"))
    assert not life.end("closed", "second", ChannelClosed("second"))
    assert (life.state, life.reason, str(life.refusal())) == (ending, "first", "first")


def test_a_refusal_says_what_stands_in_the_way():
    life = Life()
    assert isinstance(life.refusal(), FailedPrecondition)
    life.open()
    life.end_sending()
    assert "close_send" in str(life.refusal())


def test_a_refusal_is_a_new_error_each_time_so_that_tracebacks_do_not_grow():
    for error in (ChannelClosed("done"), ConnectionLost("gone")):
        life = Life()
        life.end("lost", "", error)
        assert life.refusal() is not life.refusal()
        assert type(life.refusal()) is type(error)


async def test_many_may_wait_and_a_waiter_may_leave():
    life = Life()
    waiting = [await started(life.wait_over()) for _ in range(3)]
    await stopped(waiting.pop())
    life.open()
    await rest()
    assert not any(task.done() for task in waiting)
    life.end("closed", "", ChannelClosed())
    await asyncio.gather(*waiting, life.wait_over())


async def test_a_wait_for_the_opening_returns_at_an_end_too():
    life = Life()
    waiting = await started(life.wait_opened())
    life.end("rejected", "", ChannelClosed())
    await waiting
