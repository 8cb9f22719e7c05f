"""Sizes and time-outs that a program gives: one rule for pipes, ports, mailboxes, channels, refs, calls and asks."""

from __future__ import annotations

import pytest

import penstock
from penstock.channel import local_channel
from penstock.errors import DeadlineExceeded
from penstock.streams import checked_seconds
from tests.streams.kit import rest

NOT_SIZES = [True, False, 0, -1, 1.0, "5", b"x", [], 2**60, float("nan")]


async def numbers():
    yield 1


@pytest.mark.parametrize("size", NOT_SIZES)
@pytest.mark.parametrize(
    "make",
    [
        lambda size: penstock.pipe(buffer_size=size),
        lambda size: penstock.Port("news", buffer_size=size),
        lambda size: penstock.Port("news").subscribe(buffer_size=size),
        lambda size: penstock.Mailbox(size=size),
        lambda size: penstock.CallOptions(buffer_size=size),
        lambda size: local_channel("a", "b", buffer_size=size),
        lambda size: local_channel("a", "b", accept_buffer_size=size),
        lambda size: penstock.SourceRef(numbers()).claim(buffer_size=size),
        lambda size: penstock.SinkRef(penstock.pipe()[0]).claim(buffer_size=size),
    ],
    ids=["pipe", "port", "subscribe", "mailbox", "call", "channel", "acceptor", "source_ref", "sink_ref"],
)
async def test_a_size_of_a_wrong_type_or_out_of_range_is_refused_where_it_is_given(make, size):
    """FAULTS G3."""
    with pytest.raises(ValueError, match=r"size is .*; it takes a whole number of at least one"):
        make(size)
    await rest()


@pytest.mark.parametrize("seconds", [True, "5", float("nan"), [], b"x"])
def test_a_time_out_of_a_wrong_type_is_refused(seconds):
    with pytest.raises(ValueError, match=r"timeout is .*; it takes seconds"):
        checked_seconds("timeout", seconds)


@pytest.mark.parametrize("seconds", [0, -1, float("-inf")])
def test_a_time_out_that_is_over_is_refused_unless_it_may_be(seconds):
    with pytest.raises(ValueError, match="above zero"):
        checked_seconds("timeout", seconds)
    assert checked_seconds("timeout", 0, above=float("-inf")) == 0


class Clerk(penstock.Actor):
    async def add(self, k: int) -> int:
        return k


@pytest.mark.parametrize("seconds", [True, "5", float("nan"), []])
async def test_an_ask_refuses_a_time_out_of_a_wrong_type_here_and_elsewhere(seconds):
    async with (
        penstock.ActorSystem() as system,
        penstock.serve(system, listen="memory://clerks") as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        await system.spawn(Clerk, name="clerk")
        for router in (system, peer):
            with pytest.raises(ValueError, match="timeout is"):
                await router.ask("clerk", "add", 1, timeout=seconds)
            with pytest.raises(ValueError, match="timeout is"):
                await router.open_channel("clerk", timeout=seconds)
        with pytest.raises(DeadlineExceeded):
            await peer.ask("clerk", "add", 1, timeout=0)
