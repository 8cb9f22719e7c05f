"""A client that connects again: what ran goes on, and what cannot go on says so with the number of items that came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock.errors import ConnectionLost, Unavailable
from penstock.protocol._frames import FrameType, GoAway
from penstock.testing import SimulatedNetwork
from tests.peer.kit import AGAIN, URL, Desk, away, connected, restarted, served
from tests.protocol.kit import frame, hello
from tests.session.kit import held_for_peer

CLOSED = hello(keep_ms=9) + frame(FrameType.GOAWAY, GoAway(0, 8, "overloaded"))


async def test_all_kinds_of_calls_go_on_where_they_were():
    async with served() as (network, _desk, server, peer):
        desk = peer.service(Desk)

        async def cuts() -> None:
            for _ in range(30):
                await asyncio.sleep(network.random.uniform(0.01, 0.4))
                network.cut()

        async def slow() -> AsyncIterator[int]:
            for number in range(50):
                yield number
                await asyncio.sleep(0.1)

        async def echoes() -> list[int]:
            return [await desk.echo(number) for number in range(50)]

        async def numbers() -> list[int]:
            return [number async for number in desk.numbers(50)]

        *got, _cuts = await asyncio.gather(numbers(), echoes(), desk.total(slow()), cuts())
        assert got == [[*range(50)], [*range(50)], sum(range(50))]
        assert len(server.peers) == 1


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_a_session_whose_first_word_was_lost_with_its_link_goes_on(fault: str):
    """The client has heard the server, and the server has heard nothing: it may not even know that the link is lost."""
    settings = penstock.Settings(keepalive_s=1.0)
    with SimulatedNetwork(seed=1, latency_s=(0.1, 0.1)) as network:
        async with (
            penstock.serve(Desk(), listen=URL, settings=settings) as server,
            penstock.connect(URL, reconnect=AGAIN, settings=settings) as peer,
        ):
            numbers, echo = peer.service(Desk).numbers(5), asyncio.ensure_future(peer.service(Desk).echo(7))
            await asyncio.sleep(0.01)
            assert [served._scope.session.hello for served in server.peers] == [None]
            getattr(network, fault)()
            assert [number async for number in numbers] == [*range(5)]
            assert await echo == 7
            assert len(server.peers) == 1


async def test_a_session_that_began_over_its_second_link_goes_on_when_that_answer_is_lost_too():
    with SimulatedNetwork(seed=1, latency_s=(0.1, 0.1)) as network:
        async with penstock.serve(Desk(), listen=URL) as server, penstock.connect(URL, reconnect=AGAIN) as peer:
            numbers = peer.service(Desk).numbers(5)
            await asyncio.sleep(0.01)
            network.cut()
            while peer._scope.session.link is None:  # noqa: ASYNC110 - of the virtual clock
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.15)
            assert [served.state for served in server.peers] == ["connected"]
            assert peer.state == "reconnecting"
            network.cut()
            assert [number async for number in numbers] == [*range(5)]
            assert len(server.peers) == 1


async def test_a_program_sees_the_states_of_its_peer():
    seen = []
    async with served() as (network, _desk, _server, peer):

        async def watch() -> None:
            seen.extend([state async for state in peer.states()])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(1)
        network.cut()
        assert "connected" in repr(peer) or "reconnecting" in repr(peer)
        await asyncio.sleep(1)
        assert peer.state == "connected"
    await watching
    assert seen == ["connected", "reconnecting", "connected", "closed"]


async def test_a_server_shows_a_client_that_may_come_back():
    async with served() as (network, _desk, server, peer):
        await peer.service(Desk).echo(1)
        network.partition()
        network.cut()
        await asyncio.sleep(0.01)
        (client,) = server.peers
        assert client.state == peer.state == "reconnecting"
        network.heal()
        await asyncio.sleep(20)
        assert client.state == peer.state == "connected"


async def test_a_call_that_begins_between_two_links_waits():
    async with served() as (network, _desk, _server, peer):
        await peer.service(Desk).echo(6)
        network.cut()
        await asyncio.sleep(0)
        assert peer.state == "reconnecting"
        assert await peer.service(Desk).echo(7) == 7


async def test_after_the_time_to_live_a_stream_is_lost_with_its_offset_and_its_handler_ends():
    async with served(detach_ttl_s=5.0) as (network, desk, server, peer):
        got = []

        async def read() -> None:
            async for number in peer.service(Desk).numbers(1000):
                got.append(number)
                if number == 20:
                    network.partition()
                    network.cut()

        with pytest.raises(ConnectionLost, match="did not return in time") as caught:
            await read()
        assert caught.value.offset == len(got) == 21
        await asyncio.sleep(6)
        assert desk.ended == ["numbers"]
        assert not server.peers
        network.heal()
        await asyncio.sleep(10)
        assert await peer.service(Desk).echo(3) == 3  # a new session


async def test_a_server_that_has_restarted_refuses_and_the_next_calls_reach_it():
    with SimulatedNetwork(seed=1) as network:
        first = Desk()
        async with penstock.serve(first, listen=URL) as server:
            connecting = penstock.connect(URL, reconnect=AGAIN)
            peer = await connecting.__aenter__()
            stream = peer.service(Desk).numbers(1000)
            assert [await anext(stream) for _ in range(5)] == [*range(5)]
            for listener in server._listeners:  # as `kill -9` does: no goodbye
                await listener.aclose()
            network.cut()
            for session in [*server._kept._tokens]:
                server._kept.forget(session)
            async with penstock.serve(Desk(), listen=URL):
                with pytest.raises(ConnectionLost, match="no such session") as caught:
                    async for _number in stream:
                        pass
                assert caught.value.offset == 5
                assert peer.state == "reconnecting"
                assert await peer.service(Desk).echo(9) == 9  # it waits for the new session
                await connecting.__aexit__(None, None, None)


async def test_a_restart_costs_a_client_one_connection():
    """The link on which the server has said that it does not have the session carries the next one (rule 9.6)."""
    async with served() as (network, _desk, server, peer):
        links = []
        (listener,) = network._listeners.values()
        listener.receivers = lambda: links.append(1) or server._new_session()
        for count in range(1, 4):
            assert await peer.service(Desk).echo(count) == count
            await restarted(network, server)
            await connected(peer)
            assert await peer.service(Desk).echo(count) == count
            assert len(links) == count


async def test_a_peer_that_is_closed_while_its_session_is_refused_leaves_no_connection():
    for turns in range(40):
        async with served() as (network, _desk, server, peer):
            await restarted(network, server)
            await asyncio.sleep(0.001)
            assert peer.state == "reconnecting"
            async with asyncio.timeout(5):
                while not server.peers:  # noqa: ASYNC110 - virtual time
                    await asyncio.sleep(0.0001)
            await asyncio.sleep(turns * 0.0002)
            await peer.aclose()
            await asyncio.sleep(1)
            assert not server.peers


async def test_a_call_that_had_surely_not_started_is_made_again_by_the_next_session():
    async with served() as (network, _desk, server, peer):
        await peer.service(Desk).echo(1)
        network.partition()
        network.cut()
        await asyncio.sleep(0.01)
        waiting = [asyncio.ensure_future(peer.service(Desk).echo(number)) for number in range(5)]
        await asyncio.sleep(0.01)
        for session in [*server._kept._tokens]:
            session.end(ConnectionLost("as a restart does"))
        network.heal()
        assert await asyncio.gather(*waiting) == [*range(5)]


async def test_a_call_waits_for_the_next_session_no_longer_than_its_deadline():
    async with served() as (network, _desk, server, peer):
        await away(network, server)
        assert peer.state == "reconnecting"
        with pytest.raises(penstock.DeadlineExceeded, match="deadline passed"):
            await penstock.options(peer.service(Desk), timeout=3).echo(1)


@pytest.mark.parametrize("use", ["unary", "stream", "ask", "tell"])
async def test_a_call_without_a_deadline_waits_until_the_connection_has_been_lost_for_30_s_and_later_ones_fail_at_once(use):
    loop = asyncio.get_running_loop()
    uses = {
        "unary": lambda peer: peer.service(Desk).echo(1),
        "stream": lambda peer: anext(peer.service(Desk).numbers(3)),
        "ask": lambda peer: peer.ask("nobody", "add", 4, timeout=None),
        "tell": lambda peer: peer.tell("nobody", "add", 4),
    }
    async with served() as (network, _desk, server, peer):
        lost_s = await away(network, server)
        with pytest.raises(
            (Unavailable, ConnectionLost), match=r"lost 30 s ago, and is not made again yet: nothing|in time"
        ) as caught:
            await uses[use](peer)
        assert not caught.value.started
        assert loop.time() - lost_s == pytest.approx(30, abs=0.1)
        await asyncio.sleep(100)
        before_s = loop.time()
        with pytest.raises(Unavailable, match="lost 130 s ago"):
            await uses[use](peer)
        assert loop.time() - before_s < 0.01
        async with penstock.serve(Desk(), listen=URL):  # the client is still trying
            await connected(peer)
            assert await peer.service(Desk).echo(1) == 1


async def test_an_actor_is_reached_by_the_same_stub_after_a_restart():
    class Counter(penstock.Actor):
        def __init__(self) -> None:
            self.sum = 0

        async def add(self, number: int) -> int:
            await asyncio.sleep(0)
            self.sum += number
            return self.sum

    with SimulatedNetwork(seed=1) as network:
        async with penstock.ActorSystem() as system:
            await system.spawn(Counter, name="counter")
            async with (
                penstock.serve(system, listen=URL) as server,
                penstock.connect(URL, reconnect=AGAIN) as peer,
            ):
                counter = peer.actor(Counter, "counter")
                assert await counter.add(1) == 1
                network.cut()
                for session in [*server._kept._tokens]:
                    session.end(ConnectionLost("as a restart does"))
                await asyncio.sleep(1)
                assert await counter.add(2) == 3
                await penstock.tell(counter).add(3)
                assert await peer.ask("counter", "add", 4) == 10
                assert peer.state == "connected"


async def counted(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_the_deadline_of_a_call_runs_while_the_call_waits_for_a_link():
    class Clock:
        async def left(self) -> float | None:
            return penstock.context().time_remaining()

    with SimulatedNetwork(seed=1) as network:
        async with penstock.serve(Clock(), listen=URL), penstock.connect(URL, reconnect=AGAIN) as peer:
            clock = penstock.options(peer.service(Clock), timeout=3)
            await clock.left()
            network.partition()
            network.cut()
            await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(2, network.heal)
            left_s = await clock.left()
            assert left_s is not None
            assert left_s < 1.1


async def test_a_loop_that_opens_its_stream_again_waits_for_the_next_session():
    async with served() as (network, _desk, server, peer):
        desk, opened, got, offsets = peer.service(Desk), 0, [], []
        while len(got) < 10:
            opened += 1
            assert opened < 5, "it spins"
            try:
                async for number in desk.numbers(10):
                    got.append(number)
                    if opened == 1 and number == 3:
                        await restarted(network, server)
            except ConnectionLost as error:
                offsets.append(error.offset)
                got.clear()
        assert got == [*range(10)]
        assert opened == 2
        assert offsets == [4]
        assert await desk.total(number for number in range(5)) == 10


async def test_an_answer_that_comes_in_the_turn_of_its_time_out_counts():
    """The loop stood still: the time-out of the attempt and the word of the server are there at once."""
    with SimulatedNetwork(seed=1, latency_s=(0.2, 0.2)) as network:
        async with (
            penstock.serve(Desk(), listen=URL) as server,
            penstock.connect(URL, reconnect=AGAIN, timeout=5) as peer,
        ):
            numbers = peer.service(Desk).numbers(40)
            assert await numbers.receive() == 0
            network.cut()
            (served,) = server.peers
            await asyncio.sleep(0.01)
            await connected(served)
            assert peer.state == "reconnecting"
            asyncio.get_running_loop().advance(6)
            await connected(peer)
            await asyncio.sleep(1)
            network.cut()
            assert [number async for number in numbers] == [*range(1, 40)]
            assert len(server.peers) == 1


async def test_a_stream_that_has_waited_for_the_next_session_gives_its_credit_there():
    async with served() as (network, _desk, _server, peer):
        desk = penstock.options(peer.service(Desk), buffer_size=2)
        network.partition()
        peer._scope.session.end(ConnectionLost("given up"))
        waiting = desk.numbers(20)
        asyncio.get_running_loop().call_later(0.5, network.heal)
        async with asyncio.timeout(60):
            assert [number async for number in waiting] == [*range(20)]
        assert held_for_peer(peer._scope.session) == 0


async def test_a_ref_of_the_client_reaches_a_server_that_has_restarted():
    class Adder:
        async def add(self, numbers: penstock.SourceRef[int]) -> int:
            return sum([number async for number in numbers])

    with SimulatedNetwork(seed=1) as network:
        async with (
            penstock.serve(Adder(), listen=URL) as server,
            penstock.connect(URL, reconnect=AGAIN) as peer,
        ):
            adder = peer.service(Adder)
            assert await adder.add(penstock.SourceRef(counted(3))) == 3
            for _ in range(2):
                await restarted(network, server)
                await asyncio.sleep(1)
                assert await adder.add(penstock.SourceRef(counted(5))) == 10


async def test_a_peer_that_was_closed_between_two_links_stays_closed():
    async with served() as (network, _desk, _server, peer):
        network.partition()
        network.cut()
        await asyncio.sleep(0.01)
        await peer.aclose()
        network.heal()
        await asyncio.sleep(10)
        assert peer.state == "closed"
        assert not [task for task in asyncio.all_tasks() if "_try" in repr(task)]


async def test_a_session_goes_on_where_it_was_and_not_at_the_first_url():
    with SimulatedNetwork(seed=1) as network:
        async with (
            penstock.serve(Desk(), listen="sim://b"),
            penstock.connect("sim://a", "sim://b", reconnect=AGAIN) as peer,
            penstock.serve(Desk(), listen="sim://a"),
        ):
            assert peer.remote == "sim://b"
            got = []
            async for number in peer.service(Desk).numbers(30):
                got.append(number)
                if number % 10 == 5:
                    network.cut()
            assert got == [*range(30)]
            assert peer.remote == "sim://b"


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", bytes(100), b"\0\0\0=\1\0", CLOSED],
    ids=["HTTP", "SSH", "zeros", "half a HELLO", "GOAWAY"],
)
async def test_a_foreign_answer_is_a_failed_attempt_and_the_session_goes_on(answer, monkeypatch):
    """A balancer answers for a server that is away."""
    async with served() as (network, _desk, _server, peer):
        session, foreign = peer._sessions.now, 3
        rejoin = session._links.rejoin

        def answered(now_s: float) -> None:
            nonlocal foreign
            rejoin(now_s)
            if foreign:
                foreign -= 1
                session.loop.call_soon(take, answer)

        def take(data: bytes) -> None:
            session.get_buffer(-1)[: len(data)] = data
            session.buffer_updated(len(data))
            if session.link is not None:
                session.link.abort()

        monkeypatch.setattr(type(session._links), "rejoin", lambda _links, now_s: answered(now_s))
        got = []
        async for number in peer.service(Desk).numbers(20):
            got.append(number)
            if number == 5:
                network.cut()
        assert got == [*range(20)]
        assert foreign == 0


async def test_a_client_that_leaves_on_purpose_is_not_kept():
    async with served() as (_network, desk, server, peer):
        stream = peer.service(Desk).numbers(1000)
        await anext(stream)
        await peer.aclose()
        await asyncio.sleep(0.1)
        assert desk.ended == ["numbers"]
        assert not server.peers
        assert not len(server._kept)
        assert peer.state == "closed"


async def test_a_server_that_closes_on_purpose_ends_its_streams():
    async with served(reconnect=penstock.Reconnect(first_s=0.01, attempts=2)) as (_network, _desk, server, peer):
        stream = peer.service(Desk).numbers(1000)
        await anext(stream)
        await server.aclose(0.5)
        with pytest.raises(penstock.PenstockError):
            async for _number in stream:
                pass
        await peer.wait_closed()
        assert peer.state == "closed"


async def test_a_dead_link_is_found_by_its_silence_and_the_session_goes_on():
    async with served(keepalive_s=1.0) as (network, _desk, server, peer):
        got = []
        async for number in peer.service(Desk).numbers(100):
            got.append(number)
            if number == 10:
                network.silence()
        assert got == [*range(100)]
        assert len(server.peers) == 1


async def test_after_its_attempts_a_client_gives_up():
    async with served(reconnect=penstock.Reconnect(first_s=0.01, attempts=3)) as (network, _desk, server, peer):
        for listener in list(server._listeners):
            await listener.aclose()
        network.cut()
        await asyncio.wait_for(peer.wait_closed(), 20)
        with pytest.raises(Unavailable, match="3 attempts"):
            await peer.service(Desk).echo(1)


async def test_of_several_urls_a_lost_client_takes_the_next_one():
    with SimulatedNetwork(seed=1):
        async with (
            penstock.serve(Desk(), listen="sim://second"),
            penstock.serve(Desk(), listen="sim://first") as first,
            penstock.connect("sim://first", "sim://second", reconnect=AGAIN) as peer,
        ):
            assert peer.remote == "sim://first"
            await first.aclose()
            await connected(peer)
            assert peer.remote == "sim://second"
            assert await peer.service(Desk).echo(4) == 4


async def test_without_reconnect_the_loss_is_the_end_and_the_server_keeps_nothing():
    async with served(reconnect=None) as (network, desk, server, peer):
        stream = peer.service(Desk).numbers(1000)
        await anext(stream)
        network.cut()
        with pytest.raises(ConnectionLost):
            await anext(stream)
        await asyncio.sleep(0.01)
        assert desk.ended == ["numbers"]
        assert not server.peers


async def test_closing_a_client_between_two_links_takes_no_time():
    loop = asyncio.get_running_loop()
    async with served() as (network, _desk, _server, _peer):
        network.partition()
        network.cut()
        await asyncio.sleep(0.01)
        began_s = loop.time()
    assert loop.time() - began_s < 2


@pytest.mark.parametrize("wrong", [{"first_s": 0}, {"max_s": -1}, {"attempts": 0}])
def test_a_policy_out_of_range_is_an_error_that_names_its_field(wrong):
    with pytest.raises(ValueError, match=f"Reconnect.{next(iter(wrong))}"):
        penstock.Reconnect(**wrong)


@pytest.mark.parametrize(("away_s", "bound"), [(0.0, 0.1), (0.05, 0.1), (0.7, 0.7), (60.0, 2.0)])
def test_the_times_between_attempts_grow_with_the_loss_to_their_bound_and_are_drawn_at_random(away_s, bound):
    policy = penstock.Reconnect(first_s=0.1, max_s=2.0)
    delays = [policy.delay_s(away_s) for _ in range(200)]
    assert 0 <= min(delays) < bound / 4
    assert bound * 3 / 4 < max(delays) <= bound


async def test_a_client_is_back_before_the_time_of_the_loss_has_doubled():
    async with served(reconnect=penstock.Reconnect()) as (network, _desk, _server, peer):
        for away_s in (0.3, 1.0, 3.0) * 3:
            assert await peer.service(Desk).echo(1) == 1
            network.partition()
            network.cut()
            await asyncio.sleep(away_s)
            network.heal()
            healed_s = asyncio.get_running_loop().time()
            await connected(peer)
            assert asyncio.get_running_loop().time() - healed_s < away_s + 0.1


async def attempts_in(network: SimulatedNetwork, server: penstock.Server, seconds: float) -> int:
    """Count the connections that a server is asked for within some time, while each is cut at its handshake's end."""
    made = 0
    new_session = server._new_session

    def counted() -> penstock.session.Session:
        nonlocal made
        made += 1
        asyncio.get_running_loop().call_later(0.02, network.cut)
        return new_session()

    for listener in server._listeners:
        listener.receivers = counted
    network.cut()
    await asyncio.sleep(seconds)
    return made


async def test_a_path_that_cuts_right_after_each_handshake_is_tried_less_and_less_often():
    async with served(reconnect=penstock.Reconnect(first_s=0.1, max_s=10)) as (network, _desk, server, peer):
        await peer.service(Desk).echo(1)
        assert await attempts_in(network, server, 100) < 60  # about 30, by chance; a thousand without the pauses


async def test_a_path_that_cuts_again_and_again_is_taken_at_once_while_it_carries_something():
    async with served(reconnect=penstock.Reconnect(first_s=0.1, max_s=10)) as (network, _desk, _server, peer):
        got = []
        cuts = 0
        async for number in peer.service(Desk).numbers(200):
            got.append(number)
            if number % 3 == 2:
                network.cut()
                cuts += 1
        assert got == [*range(200)]
        assert asyncio.get_running_loop().time() < 20 + cuts * 0.25


async def test_a_client_that_leaves_between_two_links_still_tells_the_server_when_there_is_one():
    async with served() as (network, desk, server, peer):
        stream = peer.service(Desk).numbers(1000)
        await anext(stream)
        network.cut()
        await asyncio.sleep(0)
        await peer.aclose()
        await asyncio.sleep(0.1)
        assert desk.ended == ["numbers"]
        assert not server.peers


async def test_leaving_that_is_cancelled_while_it_waits_for_a_connection_ends_the_peer_at_once():
    async with served() as (network, _desk, _server, peer):
        stream = peer.service(Desk).numbers(1000)
        await anext(stream)
        network.partition()
        network.cut()
        await asyncio.sleep(0.01)
        leaving = asyncio.ensure_future(peer.aclose())
        await asyncio.sleep(0.01)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert peer.state == "closed"
        with pytest.raises(penstock.Cancelled):
            await anext(stream)


async def test_the_message_of_another_thread_names_the_connection():
    async with served() as (_network, _desk, _server, peer):
        with pytest.raises(RuntimeError, match=r"<connection to sim://.*> belongs to the event loop of another thread"):
            await asyncio.to_thread(peer.service(Desk).numbers, 3)
