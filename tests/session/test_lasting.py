"""Who may take a session up again, and with what: tokens, positions, two at once, too many (PROTOCOL.md §9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from penstock.errors import ConnectionLost
from penstock.protocol import Settings
from penstock.session import LastingSession
from penstock.session.lasting import _kept
from penstock.testing import memory_pair

KEEP_S = 30.0


class House:
    """A server that keeps its sessions, and clients of it."""

    def __init__(self) -> None:
        self.kept = LastingSession.table(Settings(max_process_bytes=4_000_000))
        self.sessions: list[LastingSession] = []

    def join(self, client: LastingSession) -> LastingSession:
        """Give a client a link to the server; return the session that the server begins for it."""
        server = LastingSession("server", Settings(), keep_s=KEEP_S, kept=self.kept)
        self.sessions += [client, server]
        memory_pair(client, server)
        return server

    async def client(self) -> tuple[LastingSession, LastingSession]:
        """Return a client and its session at the server, both ready."""
        client = LastingSession("client", Settings(), keep_s=KEEP_S)
        server = self.join(client)
        await client.ready
        await server.ready
        await settled()
        return client, server

    async def thief(self, *, token: bytes, received: int = 0) -> LastingSession:
        """Return a client that asks for the session with this token, when the server has answered."""
        thief = await self.prepared(token, received)
        self.join(thief)
        await settled()
        if thief.spare is not None:
            thief.spare.drop()
        return thief

    async def prepared(self, token: bytes, received: int = 0) -> LastingSession:
        """Return a client that asks for the session with this token as soon as it has a link."""
        thief, _server = await self.client()
        thief.drop_link()
        thief._detach()
        sequence = thief._connection._state.sequence
        assert sequence is not None
        sequence.token = token
        sequence._outside -= received
        return thief


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    for session in made.sessions:
        session.abort()
    await settled()


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def token_of(client: LastingSession) -> bytes:
    sequence = client._connection._state.sequence
    assert sequence is not None
    return sequence.token


async def cut(home: House, client: LastingSession) -> None:
    """Lose the link of a client, and give it another one."""
    assert client.link is not None
    client.link.abort()
    await settled()
    home.join(client)
    await settled()


async def test_the_token_changes_at_each_use_and_the_used_one_is_void_once_the_client_knows():
    async with house() as home:
        client, server = await home.client()
        tokens = {token_of(client)}
        for number in range(2, 6):
            await cut(home, client)
            assert not client.detached
            assert client.lost is None
            tokens.add(token_of(client))
            assert len(tokens) == number
            assert home.kept._tokens[server] == [token_of(client)]


async def test_a_token_that_was_guessed_is_refused_and_touches_nothing():
    async with house() as home:
        client, server = await home.client()
        thief = await home.thief(token=bytes(16))
        assert isinstance(thief.lost, ConnectionLost)
        assert "no such session" in str(thief.lost)
        assert client.lost is server.lost is None
        assert client.link is not None


async def test_a_token_that_was_used_is_refused():
    async with house() as home:
        client, server = await home.client()
        used = token_of(client)
        await cut(home, client)
        thief = await home.thief(token=used)
        assert thief.lost is not None
        assert server.link is not None
        assert client.lost is server.lost is None


async def test_the_token_of_another_principal_is_refused():
    async with house() as home:
        client, server = await home.client()
        server.proof.principal = "alice"
        thief = await home.thief(token=token_of(client))
        assert "no such session" in str(thief.lost)
        assert server.lost is None


async def test_a_token_that_has_expired_is_refused():
    async with house() as home:
        client, server = await home.client()
        token = token_of(client)
        assert client.link is not None
        client.link.abort()
        await asyncio.sleep(KEEP_S + 1)
        assert isinstance(client.lost, ConnectionLost)
        assert isinstance(server.lost, ConnectionLost)
        assert not len(home.kept)
        thief = await home.thief(token=token)
        assert "no such session" in str(thief.lost)


@pytest.mark.parametrize("received", [10**9, 2**53 - 1])
async def test_a_position_that_was_never_sent_is_refused(received: int):
    async with house() as home:
        client, server = await home.client()
        thief = await home.thief(token=token_of(client), received=received)
        assert "position" in str(thief.lost)
        assert client.lost is server.lost is None
        assert server.link is not None


async def test_a_server_that_tells_a_position_that_cannot_be_has_lost_the_session_at_once():
    async with house() as home:
        client, server = await home.client()
        sequence = server._connection._state.sequence
        assert sequence is not None
        sequence._outside -= 10**6
        await cut(home, client)
        assert isinstance(client.lost, ConnectionLost)
        assert "9.3" in str(client.lost)
        assert "9.3" in str(server.lost)


async def test_of_two_that_take_a_session_up_at_once_the_older_link_is_closed():
    async with house() as home:
        client, server = await home.client()
        both = [await home.prepared(token_of(client)) for _ in range(2)]
        for one in both:
            home.join(one)
        await settled()
        assert server.lost is None
        assert server.link is not None
        assert [one.link is not None and not one.detached for one in both].count(True) == 1


async def test_a_link_that_only_seems_to_be_alive_is_left_for_the_new_one():
    async with house() as home:
        client, server = await home.client()
        first = server.link
        client.drop_link()
        client._detach()
        home.join(client)
        await settled()
        assert server.link is not first
        assert not client.detached
        assert not server.detached


async def test_of_too_many_that_wait_the_longest_is_given_up(monkeypatch):
    monkeypatch.setattr(_kept, "KEPT_MAX", 3)
    async with house() as home:
        pairs = [await home.client() for _ in range(5)]
        for client, _server in pairs:
            assert client.link is not None
            client.link.abort()
            await settled()
        lost = [server.lost is not None for _client, server in pairs]
        assert lost == [True, True, False, False, False]


async def test_those_that_hold_too_much_together_are_given_up_the_longest_first():
    async with house() as home:
        pairs = [await home.client() for _ in range(3)]
        for client, server in pairs:
            server.budget.take(400_000 - server.budget.held_bytes)
            assert client.link is not None
            client.link.abort()
            await settled()
        assert [server.lost is not None for _client, server in pairs].count(True) == 1
        assert home.kept.waiting_bytes == 800_000
        back = next(client for client, server in pairs if server.lost is None)
        home.join(back)
        await settled()
        assert home.kept.waiting_bytes == 400_000


async def test_a_session_that_holds_too_much_alone_takes_no_other_with_it():
    async with house() as home:
        pairs = [await home.client() for _ in range(5)]
        for client, server in pairs:
            hoards = server is pairs[-1][1]
            server.budget.take(2_000_000 if hoards else 10)
            assert client.link is not None
            client.link.abort()
            await settled()
        assert [server.lost is not None for _client, server in pairs] == [False, False, False, False, True]


async def test_nothing_more_is_taken_to_be_sent_while_there_is_no_link():
    async with house() as home:
        client, server = await home.client()
        budget = server._connection._state.unsent
        assert budget.stream_bytes > 0
        assert client.link is not None
        client.link.abort()
        await settled()
        assert budget.stream_bytes == 0
        home.join(client)
        await settled()
        assert budget.stream_bytes > 0


async def test_a_drain_before_the_handshake_is_told_after_it():
    async with house() as home:
        client = LastingSession("client", Settings(), keep_s=KEEP_S)
        server = LastingSession("server", Settings(), keep_s=KEEP_S, kept=home.kept)
        home.sessions += [client, server]
        server.drain("soon")
        memory_pair(client, server)
        await settled()
        assert not client.takes_calls
        assert client.lost is server.lost is None


@pytest.mark.parametrize("drains", ["server", "client"])
async def test_a_link_that_is_lost_while_a_side_shuts_down_is_the_end_at_once(drains):
    """That side takes no new connection."""
    async with house() as home:
        client, server = await home.client()
        (server if drains == "server" else client).drain("soon")
        await settled()
        assert client.link is not None
        client.link.abort()
        await settled()
        for session in (client, server):
            assert isinstance(session.lost, ConnectionLost)
            assert "while a side shut down" in str(session.lost)
        assert not len(home.kept)


async def test_a_session_that_waits_for_a_link_is_over_when_its_side_shuts_down():
    async with house() as home:
        client, server = await home.client()
        assert client.link is not None
        client.link.abort()
        await settled()
        assert server.detached
        server.drain("soon")
        assert isinstance(server.lost, ConnectionLost)
        assert not len(home.kept)


async def test_a_session_whose_side_shuts_down_is_not_taken_up_from_a_link_that_seems_to_be_alive():
    async with house() as home:
        client, server = await home.client()
        thief = await home.prepared(token_of(client), 0)
        server.drain("soon")
        home.join(thief)
        await settled()
        assert "no such session" in str(thief.lost)
        assert server.lost is client.lost is None


async def test_a_peer_that_keeps_no_session_loses_it_with_its_link():
    async with house() as home:
        client = LastingSession("client", Settings(), keep_s=0.0)
        server = home.join(client)
        await client.ready
        await settled()
        assert not len(home.kept)
        assert client.link is not None
        client.link.abort()
        await settled()
        assert server.lost is not None


async def refused(home: House) -> LastingSession:
    """Return a client that the server has refused to take up, and whose link is spare."""
    client = await home.prepared(bytes(16))
    home.join(client)
    await settled()
    assert client.lost is not None
    return client


async def test_the_next_session_begins_over_the_link_on_which_the_last_one_was_refused():
    async with house() as home:
        spare = (await refused(home)).spare
        assert spare is not None
        client = LastingSession("client", Settings(), keep_s=KEEP_S)
        assert spare.begin(client)
        await client.ready
        await settled()
        server = home.sessions[-1]
        assert server.hello is not None
        assert client.link is not None
        assert client.lost is server.lost is None
        await cut(home, client)  # and it can be resumed, as any other
        assert client.lost is server.lost is None
        assert token_of(client) == server._token or not client.detached


async def test_a_spare_link_keeps_what_arrives_for_the_next_session():
    async with house() as home:
        spare = (await refused(home)).spare
        assert spare is not None
        server = home.sessions[-1]
        server.drain("going")
        await settled()
        client = LastingSession("client", Settings(), keep_s=KEEP_S)
        assert spare.begin(client)
        await settled()
        assert client.draining.is_set()


async def test_a_spare_link_that_is_lost_carries_no_session():
    async with house() as home:
        client = await refused(home)
        server = home.sessions[-1]
        assert server.link is not None
        server.link.abort()
        await settled()
        assert client.spare is not None
        assert client.spare.link is None


@pytest.mark.parametrize("closes", [LastingSession.close, LastingSession.abort])
async def test_a_session_that_waits_for_a_link_can_be_closed(closes: Callable[[LastingSession], None]):
    async with house() as home:
        client, _server = await home.client()
        client._detach()
        closes(client)
        await client.closed
        assert not client.detached


async def test_a_token_of_which_nothing_was_heard_is_taken_by_nobody_who_knows_a_position():
    """The client of the first link has lost it before its first word arrived; a liar comes before it does."""
    async with house() as home:
        client = LastingSession("client", Settings(), keep_s=KEEP_S)
        server = home.join(client)
        assert server.link is not None
        server.link.pause_reading()
        await client.ready
        token = token_of(client)
        liar = await home.thief(token=token, received=7)
        assert "no such session" in str(liar.lost)
        await cut(home, client)
        assert client.lost is None
        assert not client.detached
        assert isinstance(server.lost, ConnectionLost)
        assert len(home.kept) == 2
