"""Connections and their streams as values: what each side holds, grants and waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import penstock
from penstock.session.views import flows_of, sessions_here, view_of

TCP = "tcp://127.0.0.1:0"


class Feed:
    async def watch(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def wait(self) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def connected(url: str = "memory://views") -> AsyncIterator[penstock.Peer]:
    async with penstock.serve(Feed(), listen=url) as server, penstock.connect(*server.urls) as peer:
        yield peer


def ahead(items: int) -> penstock.CallOptions:
    return penstock.CallOptions(buffer_size=items)


def served():
    return next(session for session in sessions_here() if session.role == "server")


async def test_a_stream_is_seen_from_both_of_its_ends():
    async with connected() as peer, peer.stream("Feed/watch", 100, options=ahead(8)) as numbers:
        for _ in range(3):
            await numbers.receive()
        await asyncio.sleep(0)
        client = next(session for session in sessions_here() if session.role == "client")
        (sent,), (taken,) = flows_of(served()), flows_of(client)
        assert (sent.target, sent.kind, sent.outgoing, sent.callee) == ("Feed/watch", "server_streaming", True, True)
        assert (taken.outgoing, taken.callee, taken.window) == (False, False, 8)
        assert 0 <= 3 - taken.taken <= 4  # it is counted in chunks of half a window
        assert taken.sent == sent.sent
        assert 8 <= sent.sent <= 11


async def test_a_producer_without_credit_is_held_by_its_consumer_and_no_longer_when_that_reads_on():
    async with connected() as peer:
        async with peer.stream("Feed/watch", 10, options=ahead(4)) as numbers:
            await numbers.receive()
            while next(flows_of(served())).sent < 4:  # noqa: ASYNC110 - a turn or two
                await asyncio.sleep(0)
            held = next(flows_of(served()))
            assert (held.held, held.credit) == ("consumer", 0)
            assert [number async for number in numbers] == list(range(1, 10))
        assert not list(flows_of(served()))


async def test_a_call_in_flight_has_no_items_and_the_response_of_a_client_stream_is_no_stream():
    async with connected() as peer:
        waiting = asyncio.create_task(peer.call("Feed/wait"))
        async with peer.open("Feed/total", kind="client_streaming") as call:
            await call.send(1)
            while len(list(flows_of(served()))) < 2:  # noqa: ASYNC110 - a turn or two
                await asyncio.sleep(0)
            seen = [(flow.target, flow.kind, flow.outgoing, flow.window > 0) for flow in flows_of(served())]
            assert seen == [("Feed/wait", "unary", True, False), ("Feed/total", "client_streaming", False, True)]
            call.cancel()
        waiting.cancel()


async def test_a_connection_tells_its_peer_its_state_and_what_it_holds():
    async with connected(TCP) as peer, peer.stream("Feed/watch", 10**6) as numbers:
        await numbers.receive()
        view = view_of(served())
        assert view.remote.startswith("tcp://127.0.0.1:")
        assert (view.role, view.state, view.here, view.streams, view.waiting) == ("server", "connected", True, 1, 0)
        assert view.agent.startswith("penstock")
        assert 0 < view.held_bytes <= view.held_bytes_max
        assert view.received_bytes > 0
        assert (view.sent_bytes or 0) > 0
        assert view.round_trip_s is None or 0 < view.round_trip_s < 10
        assert 0 <= view.silent_s < 10


async def test_a_session_without_a_link_is_detached_and_keeps_its_streams():
    async with connected() as peer, peer.stream("Feed/watch", 10**6) as numbers:
        await numbers.receive()
        session = served()
        session.link.abort()
        while view_of(session).state != "detached":  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)
        view = view_of(session)
        assert (view.streams, view.remote[:6]) == (1, "memory")
        async for state in peer.states():
            if state == "reconnecting":
                break
        await peer.wait_connected()
        assert view_of(session).state == "connected"


async def test_sessions_that_are_over_are_not_listed():
    async with connected():
        assert len(sessions_here()) == 2
    assert sessions_here() == []
