"""An instance is proven, and not claimed: nothing is sent to a peer that says another process's instance (FAULTS H13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

import penstock
from penstock.errors import FailedPrecondition, InvalidArgument, Unavailable
from penstock.peer import _peer, _server
from penstock.refs import _proof, find_route, offers
from penstock.refs._offers import RefLocation
from penstock.refs._proof import GENERATOR, NUMBER_BYTES, PRIME, Identity, answer_of, instance_of, is_proven, new_identity
from penstock.refs._routes import PROOFS_AT_ONCE
from penstock.refs._source import _make as make_source
from penstock.refs._state import RefState
from penstock.remote import FarRef
from penstock.session import LastingSession
from tests.streams.kit import rest

URL = "memory://guarded"


class FakeClaims:
    """The built-in service of a process elsewhere, which gives its items to whoever claims."""

    service_name = "Penstock"

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.tokens: list[bytes] = []
        self.challenges = 0

    async def prove(self, challenge: bytes) -> tuple[bytes, bytes, bytes]:
        self.challenges += 1
        scope = penstock.context()._scope
        assert scope is not None
        answer = self.identity.answer(challenge, "client", scope.instance)
        return self.identity.public, self.identity.salt, answer

    async def claim_source(self, token: bytes, buffer_size: int | None = None) -> AsyncIterator[int]:
        self.tokens.append(token)
        for number in range(3):
            yield number

    async def claim_sink(self, token: bytes, buffer_size: int | None, items: AsyncIterator[Any]) -> None:
        self.tokens.append(token)
        async for _item in items:
            pass

    async def release(self, token: bytes) -> None:
        self.tokens.append(token)


@asynccontextmanager
async def connected_as(instance: bytes, claims: FakeClaims) -> AsyncIterator[penstock.Peer]:
    """Connect as a process of its own, whose `HELLO` says `instance`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_server, "CLAIMS", claims)
        patch.setattr(_peer, "LastingSession", partial(_session_of, instance))
        connecting = penstock.connect(URL)
        peer = await connecting.__aenter__()
    try:
        await rest()
        yield peer
    finally:
        await connecting.__aexit__(None, None, None)


def _session_of(said: bytes, role: str, settings: penstock.Settings, *, instance: bytes, **others: Any) -> LastingSession:
    """Make a session whose `HELLO` says another instance, at the side that dials."""
    return LastingSession(role, settings, instance=said if role == "client" else instance, **others)


def ref_of(instance: bytes, number: int = 0) -> penstock.SourceRef[int]:
    """A ref of that process, as it arrives in a message."""
    return make_source(RefState(None, RefLocation(instance, number.to_bytes(16, "big"))))


@pytest.fixture
async def server() -> AsyncIterator[penstock.Server]:
    async with penstock.serve(listen=URL) as server:
        yield server


def another() -> Identity:
    secret = 12345
    return Identity(secret, pow(GENERATOR, secret, PRIME).to_bytes(NUMBER_BYTES, "big"), b"s" * 16)


async def test_an_owner_proves_its_instance_once_for_a_connection(server):
    owner = FakeClaims(another())
    async with connected_as(owner.identity.instance, owner):
        for number in range(5):
            assert [item async for item in ref_of(owner.identity.instance, number)] == [0, 1, 2]
    assert owner.challenges == 1
    assert len(owner.tokens) == 5


async def test_nothing_is_sent_to_a_peer_that_only_says_the_instance(server, caplog):
    thief = FakeClaims(another())
    instance = new_identity().instance
    async with connected_as(instance, thief):
        with pytest.raises(Unavailable, match="is not the process") as raised:
            async for _item in ref_of(instance):
                pass
        assert not raised.value.started
        with pytest.raises(Unavailable):
            await ref_of(instance, 1).claim().receive()
        far = FarRef(instance, "vault", "vault")
        for use in (far.ask("open"), far.tell("open"), far.open_channel(), far.stop()):
            with pytest.raises(Unavailable):
                await use
    assert thief.tokens == []
    assert "does not prove that it is the process" in caplog.text


async def test_of_several_that_say_the_same_instance_the_owner_gets_the_claims(server):
    """FAULTS H13: a peer that said another process's instance stole 6 of 10 offered ends."""
    owner = FakeClaims(another())
    instance = owner.identity.instance
    thieves = [FakeClaims(Identity(7, another().public, another().salt)) for _ in range(2)]
    async with (
        connected_as(instance, thieves[0]),
        connected_as(instance, owner),
        connected_as(instance, thieves[1]),
    ):
        await rest()
        for number in range(10):
            assert [item async for item in ref_of(instance, number)] == [0, 1, 2]
    assert len(owner.tokens) == 10
    assert [thief.tokens for thief in thieves] == [[], []]


async def test_a_process_with_many_connections_is_not_asked_on_each_of_them(server):
    """A proof costs milliseconds at either side: a client with a pool of 500 connections took ten seconds of two processors."""
    owner = FakeClaims(another())
    async with AsyncExitStack() as stack:
        for _ in range(40):
            await stack.enter_async_context(connected_as(owner.identity.instance, owner))
        assert [item async for item in ref_of(owner.identity.instance)] == [0, 1, 2]
        assert 1 <= owner.challenges <= 2 * PROOFS_AT_ONCE


async def test_the_owner_is_found_among_many_that_say_its_instance(server):
    owner = FakeClaims(another())
    instance = owner.identity.instance
    thieves = [FakeClaims(Identity(7, another().public, another().salt)) for _ in range(12)]
    async with AsyncExitStack() as stack:
        for claims in [*thieves[:6], owner, *thieves[6:]]:
            await stack.enter_async_context(connected_as(instance, claims))
        while (found := find_route(instance)) is None or not is_proven(found):
            await rest()
        assert [item async for item in ref_of(instance)] == [0, 1, 2]
    assert [thief.tokens for thief in thieves] == [[]] * 12


@pytest.mark.parametrize("answer", [(), (b"", b"", b""), (b"x" * 256, b"y" * 16, b"z" * 32), None, (1, 2, 3), "abc"])
async def test_a_malformed_proof_proves_nothing(server, answer):
    class Wrong(FakeClaims):
        async def prove(self, challenge: bytes) -> Any:
            return answer

    thief = Wrong(another())
    instance = thief.identity.instance
    async with connected_as(instance, thief):
        with pytest.raises(Unavailable, match="is not the process"):
            await ref_of(instance).claim().receive()
    assert thief.tokens == []


async def test_one_challenge_is_answered_for_each_connection(server):
    challenge = (4).to_bytes(NUMBER_BYTES, "big")
    async with penstock.connect(URL) as peer:
        public, salt, answer = await peer.call("Penstock/prove", challenge)
        mine = offers()
        assert instance_of(public, salt) == mine.instance == peer.instance
        shared = pow(4, mine.identity.secret, PRIME)
        assert answer == answer_of(shared, challenge, "server", mine.instance)
        with pytest.raises(FailedPrecondition, match="one challenge"):
            await peer.call("Penstock/prove", challenge)


@pytest.mark.parametrize("number", [0, 1, PRIME - 1, PRIME, 2**2048 - 1])
async def test_a_challenge_outside_the_group_is_refused(server, number):
    async with penstock.connect(URL) as peer:
        with pytest.raises(InvalidArgument, match="the challenge"):
            await peer.call("Penstock/prove", number.to_bytes(NUMBER_BYTES, "big"))


def test_an_answer_does_not_fit_another_role_asker_or_challenge():
    """So an answer that a peer gets from the owner is of no use to it elsewhere."""
    challenge, other = ((n).to_bytes(NUMBER_BYTES, "big") for n in (4, 16))
    answers = {
        answer_of(99, challenge, "client", b"a" * 16),
        answer_of(99, challenge, "server", b"a" * 16),
        answer_of(99, challenge, "client", b"b" * 16),
        answer_of(99, other, "client", b"a" * 16),
        answer_of(98, challenge, "client", b"a" * 16),
    }
    assert len(answers) == 5


async def test_a_connection_that_is_closed_during_the_proof_leaves_nothing(server):
    class Silent(FakeClaims):
        async def prove(self, challenge: bytes) -> Any:
            await asyncio.Event().wait()

    silent = Silent(another())
    instance = silent.identity.instance
    async with connected_as(instance, silent):
        reading = asyncio.ensure_future(ref_of(instance).claim().receive())
        await rest()
        for peer in server.peers:
            peer._scope.session.abort()
        with pytest.raises(Unavailable):
            await reading
    assert not [session for session, outcome in _proof._PROOFS.items() if outcome is True]
