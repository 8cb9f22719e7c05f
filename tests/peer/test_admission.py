"""A server decides about its clients before it says `HELLO`, and takes them for as long as their credentials hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import auth
from penstock.auth import Principal
from penstock.errors import (
    Cause,
    ConnectionLost,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PenstockError,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from penstock.testing import SimulatedNetwork
from tests.auth.kit import ALICE, BOB, STRANGER, Desk, Room, good_for, tokens
from tests.peer.kit import AGAIN

URL = "sim://client@server"


class Ticking(Desk):
    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def ticks(self, count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                yield number
                await asyncio.sleep(1)
        finally:
            self.left.set()


class Issuer:
    """Makes tokens that hold for some seconds, and knows them."""

    def __init__(self, seconds: float, name: str = "alice") -> None:
        self.seconds = seconds
        self.name = name
        self.made = 0
        self.checks = 0
        self.error: BaseException | None = None

    async def token(self) -> str:
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        self.made += 1
        return f"token {self.made}"

    async def __call__(self, credentials: auth.Credentials) -> Principal | None:
        self.checks += 1
        await asyncio.sleep(0.01)
        if credentials.token != f"token {self.made}":
            return None
        return Principal(self.name, roles={f"role {self.made}"}, expires_at=good_for(self.seconds))


@asynccontextmanager
async def guarded(authenticate: auth.Authenticator, **options: object) -> AsyncIterator[tuple[SimulatedNetwork, Ticking]]:
    desk = Ticking()
    with SimulatedNetwork(seed=1, latency_s=(0.001, 0.002)) as network:
        async with penstock.serve(desk, listen=URL, authenticate=authenticate, **options):
            yield network, desk


async def refused(token: object = "", **options: object) -> StatusError:
    with pytest.raises(StatusError) as caught:
        async with penstock.connect(URL, token=token, **options):
            pass
    return caught.value


# ── who ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_is_known_by_its_token():
    async with guarded(tokens()), penstock.connect(URL, token=ALICE) as alice, penstock.connect(URL, token=BOB) as bob:
        assert await alice.service(Desk).name() == "alice ['admin', 'member']"
        assert await bob.service(Desk).name() == "bob ['member']"


@pytest.mark.parametrize(
    ("token", "why"),
    [("", "takes only clients that prove their identity: connect with token="), (STRANGER, "does not know the token")],
)
async def test_another_client_learns_why_it_is_refused_and_no_handler_runs(token, why):
    async with guarded(tokens()):
        error = await refused(token)
        assert type(error) is Unauthenticated
        assert why in error.message
        assert not error.started
        assert error.origin == URL
        assert STRANGER not in error.message


async def test_a_client_without_credentials_may_connect_to_a_server_that_wants_none():
    with SimulatedNetwork(seed=1):
        async with penstock.serve(Desk(), listen=URL), penstock.connect(URL, token=ALICE) as peer:
            with pytest.raises(Unimplemented):
                await peer.call("Penstock/authenticate", ALICE)
            assert peer.principal is None


async def test_the_error_of_the_authenticator_reaches_the_log_and_not_the_client(caplog):
    async def broken(_credentials: auth.Credentials) -> Principal:
        raise RuntimeError("password of the database: 1234")

    async with guarded(broken):
        error = await refused(ALICE)
    assert type(error) is Unavailable
    assert error.message.startswith("this server could not check the credentials of this client")
    assert "password of the database" in caplog.text
    assert ALICE not in caplog.text


@pytest.mark.parametrize("cls", [PermissionDenied, ResourceExhausted, Unavailable, Unauthenticated])
async def test_an_error_that_an_authenticator_raises_on_purpose_reaches_the_client(cls):
    async def full(_credentials: auth.Credentials) -> Principal:
        raise cls("come back on Monday")

    async with guarded(full):
        error = await refused(ALICE)
    assert type(error) is cls
    assert error.message == "come back on Monday"


@pytest.mark.parametrize("cls", [asyncio.CancelledError, SystemExit, GeneratorExit])
async def test_whatever_an_authenticator_raises_the_client_is_told(cls, caplog):
    async def odd(_credentials: auth.Credentials) -> Principal:
        raise cls

    caplog.set_level(logging.CRITICAL)
    async with guarded(odd):
        assert type(await refused(ALICE)) is Unavailable


async def test_an_authenticator_that_never_decides_is_given_up():
    async def slow(_credentials: auth.Credentials) -> Principal:
        await asyncio.sleep(1000)
        raise AssertionError

    async with guarded(slow):
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        assert "could not check the credentials of this client in time" in (await refused(ALICE)).message
        assert 7 < loop.time() - began_s < 9


async def test_a_client_that_leaves_while_it_is_decided_about_leaves_nothing():
    begun = asyncio.Event()

    async def slow(_credentials: auth.Credentials) -> Principal:
        begun.set()
        await asyncio.sleep(5)
        return Principal("late")

    async with guarded(slow):

        async def dial() -> None:
            async with penstock.connect(URL, token=ALICE):
                pass

        dialling = asyncio.ensure_future(dial())
        await begun.wait()
        dialling.cancel()
        await asyncio.wait([dialling])
        await asyncio.sleep(10)


async def test_a_token_function_that_fails_says_so():
    def broken() -> str:
        raise RuntimeError("the key store is locked")

    def wrong() -> object:
        return 7

    async with guarded(tokens()):
        error = await refused(broken)
        assert type(error) is Unavailable
        assert "the token of this client could not be had: RuntimeError('the key store is locked')" in error.message
        assert "returned int, where a text is" in (await refused(wrong)).message


@pytest.mark.parametrize("size", [1, 5_000, 16 * 1024])
async def test_a_token_may_be_as_long_as_a_header_of_http(size):
    """PROTOCOL.md rule 1.2: a JWT with the groups of its user does not fit into 4 KiB."""

    async def check(credentials: auth.Credentials) -> Principal:
        return Principal(f"{len(credentials.token)}")

    async with guarded(check), penstock.connect(URL, token="x" * size) as peer:
        assert await peer.service(Desk).name() == f"{size} []"


@pytest.mark.parametrize("token", ["x" * (16 * 1024 + 1), "\ud800"])
async def test_a_token_that_cannot_be_sent_says_so_and_is_not_tried(token):
    async with guarded(tokens()) as (network, _desk):
        assert type(await refused(token)) is InvalidArgument
        assert "connections=0" in repr(network)


async def test_a_token_function_has_the_time_of_the_connection():
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    async def late() -> str:
        raise TimeoutError("the key store")

    async with guarded(tokens()):
        began_s = asyncio.get_running_loop().time()
        error = await refused(never, timeout=3.0)
        assert type(error) is Unavailable
        assert error.message == "the token function of this client has not returned within 3 s"
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(3.0, abs=0.1)
        assert "TimeoutError('the key store')" in (await refused(late)).message


@pytest.mark.parametrize("answer", [True, "alice", object()])
async def test_an_authenticator_that_returns_something_else_takes_no_client(answer, caplog):
    async def check(credentials: auth.Credentials) -> object:
        return answer

    async with guarded(check):
        error = await refused("x")
        assert type(error) is Unavailable
        assert error.message == "this server could not check the credentials of this client"
    assert "where an auth.Principal or None is" in caplog.text


async def test_authorize_needs_authenticate():
    with pytest.raises(TypeError, match="authenticate= is missing"):
        async with penstock.serve(Desk(), listen=[], authorize=auth.Access({})):
            pass


# ── what ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = auth.Access(
    {
        "Desk/name": ["call"],
        "rooms/*": {"member": ["ask", "stream", "channel"], "admin": ["tell", "stop", "subscribe"]},
    }
)


@asynccontextmanager
async def rooms(authorize: auth.Authorize | None = TABLE, **options: object) -> AsyncIterator[penstock.ActorSystem]:
    with SimulatedNetwork(seed=1, latency_s=(0.001, 0.002)):
        async with penstock.ActorSystem() as system:
            await system.spawn(Room, name="rooms/one")
            async with penstock.serve(Ticking(), system, listen=URL, authenticate=tokens(), authorize=authorize, **options):
                yield system


async def each_way(peer: penstock.Peer, address: str = "rooms/one") -> dict[str, object]:
    """Return what comes of each way to an actor."""

    async def outcome(work: object) -> object:
        try:
            return await work  # type: ignore[misc]
        except PenstockError as error:
            return type(error)

    async def all_of(stream: object) -> list[object]:
        return [item async for item in stream]  # type: ignore[attr-defined]

    async def channel() -> object:
        async with await peer.open_channel(f"/{address}") as opened:
            return opened.accepted

    async def news() -> str:
        async with peer.subscribe(f"/{address}", "news") as source:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await source.receive()
        return "subscribed"

    ref = peer.ref(address)
    return {
        "ask": await outcome(ref.ask("name")),
        "slow ask": await outcome(ref.ask("slow")),
        "typed ask": await outcome(peer.actor(Room, address).name()),
        "stream": await outcome(all_of(peer.stream(f"/{address}", "lines", None))),
        "typed stream": await outcome(all_of(peer.actor(Room, address).lines())),
        "channel": await outcome(channel()),
        "port": await outcome(news()),
        "stop": await outcome(ref.stop()),
    }


async def test_a_table_decides_about_each_way_to_an_actor():
    async with rooms(), penstock.connect(URL, token=BOB) as bob, penstock.connect(URL, token=ALICE) as alice:
        assert await each_way(bob) == {
            "ask": "bob",
            "slow ask": "bob",
            "typed ask": "bob",
            "stream": ["bob"],
            "typed stream": ["bob"],
            "channel": "bob",
            "port": PermissionDenied,
            "stop": PermissionDenied,
        }
        assert await each_way(alice) == {
            "ask": "alice",
            "slow ask": "alice",
            "typed ask": "alice",
            "stream": ["alice"],
            "typed stream": ["alice"],
            "channel": "alice",
            "port": "subscribed",
            "stop": None,
        }


async def test_an_actor_that_is_not_allowed_looks_like_one_that_there_is_not():
    async with rooms() as system, penstock.connect(URL, token=ALICE) as peer:
        await system.spawn(Room, name="secret")
        assert set((await each_way(peer, "secret")).values()) == {PermissionDenied}
        assert set((await each_way(peer, "nothing")).values()) == {PermissionDenied}


async def test_an_actor_is_judged_by_its_name_also_when_it_is_called_by_its_id():
    async with rooms() as system, penstock.connect(URL, token=BOB) as peer:
        hidden = await system.spawn(Room, name="secret")
        assert set((await each_way(peer, penstock.ref(hidden).id)).values()) == {PermissionDenied}
        assert (await each_way(peer, system.info("rooms/one").id))["ask"] == "bob"


class Inbox(penstock.Actor):
    """Takes messages of any name."""

    async def receive(self, message: penstock.Message) -> str:
        return message.type


async def test_the_name_of_a_message_cannot_stand_for_another_actor():
    table = auth.Access({"chat/rooms/*": ["ask"], "/chat/rooms%2F*": {"admin": ["ask"]}})
    async with rooms(table) as system, penstock.connect(URL, token=BOB) as bob, penstock.connect(URL, token=ALICE) as alice:
        await system.spawn(Inbox, name="chat")
        await system.spawn(Inbox, name="chat/rooms/one")
        for name in ("rooms/one", "rooms/one/x", "rooms%2Fone", "rooms%252Fone", "../chat/rooms/one"):
            with pytest.raises(PermissionDenied):
                await bob.ref("chat").ask(name)
        assert await bob.ref("chat/rooms/one").ask("a/b%") == "a/b%"
        assert await alice.ref("chat").ask("rooms/one") == "rooms/one"


@pytest.mark.parametrize("address", ["secret", "nothing"])
async def test_a_call_that_is_wrong_does_not_tell_which_actors_there_are(address):
    async with rooms() as system, penstock.connect(URL, token=BOB) as peer:
        await system.spawn(Room, name="secret")
        for verb, arguments, why in (
            ("stream", (1,), Unimplemented),
            ("port", (1,), Unimplemented),
            ("what", (), Unimplemented),
        ):
            with pytest.raises(StatusError) as caught:
                await peer.call(f"/{address}!{verb}", *arguments)
            assert type(caught.value) is why
        for verb, bad, good in (("stream", (1,), ("lines", None)), ("port", (), ("news", None, None))):
            with pytest.raises(InvalidArgument):
                [item async for item in peer._stream(f"/{address}!{verb}", bad)]
            with pytest.raises(PermissionDenied):
                [item async for item in peer._stream(f"/{address}!{verb}", good)]


async def test_an_actor_that_there_is_not_tells_no_names_of_others():
    async with rooms() as system, penstock.connect(URL, token=BOB) as peer:
        await system.spawn(Room, name="rooms-of-the-board")
        for call in (peer.ref("rooms/two").ask("name"), peer.actor(Room, "rooms/two").name(), peer.call("/rooms/two/name")):
            with pytest.raises(NotFound) as caught:
                await call
            assert "rooms/two" in str(caught.value)
            assert "board" not in str(caught.value)


async def test_a_tell_that_is_not_allowed_is_a_dead_letter():
    async with rooms() as system, penstock.connect(URL, token=BOB) as bob, penstock.connect(URL, token=ALICE) as alice:
        await bob.ref("rooms/one").tell("say", "hello")
        await alice.ref("rooms/one").tell("say", "hi")
        await asyncio.sleep(1)
        assert system.state("rooms/one")["said"] == ["alice: hi"]
        assert system.dead_letters.count == 1


async def test_services_are_allowed_by_method_and_an_unknown_one_is_not_told_apart():
    async with rooms(), penstock.connect(URL, token=BOB) as peer:
        assert await peer.service(Ticking).name() == "bob ['member']"
        for target in ("Desk/ticks", "Nothing/at_all"):
            with pytest.raises(PermissionDenied, match=f"'bob' is not allowed 'stream' on '{target}'"):
                [item async for item in peer.stream(target, 1)]


async def test_interceptors_see_a_call_that_is_not_allowed():
    seen: list[tuple[str, object]] = []

    @asynccontextmanager
    async def watch(call: penstock.CallInfo) -> AsyncIterator[None]:
        try:
            yield
        except PermissionDenied:
            seen.append((call.target, call.principal))
            raise

    async with rooms(interceptors=[watch]), penstock.connect(URL, token=BOB) as bob:
        outcomes = await each_way(bob, "secret")
    assert set(outcomes.values()) == {PermissionDenied}
    assert len(seen) == len(outcomes)
    assert {str(principal) for _target, principal in seen} == {"bob"}


async def test_without_a_table_everything_is_allowed_but_to_stop_an_actor():
    async with rooms(authorize=None), penstock.connect(URL, token=BOB) as peer:
        outcomes = await each_way(peer)
        assert [way for way, outcome in outcomes.items() if outcome is PermissionDenied] == ["stop"]


@pytest.mark.parametrize("verb", ["follow", "stop"])
async def test_a_retained_stream_is_a_target(verb):
    access = auth.Access({"streams/log": [verb]})
    async with rooms(authorize=access), penstock.retained("log") as log, penstock.connect(URL, token=BOB) as peer:
        await log.send(1)
        follower = peer.follow("log")
        if verb == "follow":
            assert await anext(aiter(follower)) == 1
            with pytest.raises(PermissionDenied):
                await follower.stop()
        else:
            with pytest.raises(PermissionDenied):
                await anext(aiter(follower))
            await follower.stop()


# ── for how long ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_end_of_the_credentials_ends_the_connection_and_the_client_learns_which():
    issuer = Issuer(5)
    own = {"token": await issuer.token(), "reconnect": None}
    async with guarded(issuer) as (_network, desk), penstock.connect(URL, **own) as peer:
        ticks = peer.service(Ticking).ticks(100)
        assert [await anext(ticks) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(Unauthenticated, match="the credentials of 'alice' have expired; connect with newer ones"):
            await anext(ticks)
        await desk.left.wait()
        with pytest.raises(Unauthenticated, match="have expired"):
            await peer.service(Desk).name()
        assert peer.state == "closed"


async def test_a_stream_goes_on_while_its_client_shows_newer_tokens():
    issuer = Issuer(5)
    async with guarded(issuer), penstock.connect(URL, token=issuer.token) as peer:
        ticks = peer.service(Ticking).ticks(30)
        assert [number async for number in ticks] == list(range(30))
        assert 6 <= issuer.made <= 10
        assert await peer.service(Desk).name() == f"alice ['role {issuer.made}']"  # with the roles of the newest token


async def test_a_lane_to_an_actor_has_the_roles_of_the_newest_token():
    issuer = Issuer(5)
    access = auth.Access({"room": {"role 1": ["ask"]}})
    with SimulatedNetwork(seed=1, latency_s=(0.001, 0.002)):
        async with penstock.ActorSystem() as system:
            await system.spawn(Room, name="room")
            async with (
                penstock.serve(system, listen=URL, authenticate=issuer, authorize=access),
                penstock.connect(URL, token=issuer.token) as peer,
            ):
                assert await peer.ask("room", "name") == "alice"
                await asyncio.sleep(6)
                with pytest.raises(PermissionDenied, match=r"roles: role 2"):
                    await peer.ask("room", "name")


async def test_a_token_that_cannot_be_renewed_for_a_while_is_renewed_later(caplog):
    issuer = Issuer(40)
    async with guarded(issuer), penstock.connect(URL, token=issuer.token) as peer:
        issuer.error = OSError("the key store is away")
        await asyncio.sleep(33)
        assert "the credentials end in 10 s and are not renewed" in caplog.text
        issuer.error = None
        await asyncio.sleep(30)
        assert await peer.service(Desk).name() == "alice ['role 2']"


async def test_the_token_of_another_principal_does_not_take_a_connection_over():
    known = tokens()
    async with guarded(known), penstock.connect(URL, token=ALICE) as peer:
        with pytest.raises(FailedPrecondition, match="these credentials are of 'bob', and this connection is of 'alice'"):
            await peer.call("Penstock/authenticate", BOB)
        with pytest.raises(Unauthenticated):
            await peer.call("Penstock/authenticate", STRANGER)
        assert await peer.call("Penstock/authenticate", ALICE) == 0
        assert await peer.service(Desk).name() == "alice ['admin', 'member']"


# ── reconnect and resume ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_returns_shows_a_new_token_and_goes_on():
    issuer = Issuer(60)
    async with guarded(issuer) as (network, _desk), penstock.connect(URL, token=issuer.token, reconnect=AGAIN) as peer:
        ticks = peer.service(Ticking).ticks(6)
        seen = []
        async for number in ticks:
            seen.append(number)
            network.cut("client", "server")
        assert seen == list(range(6))
        assert issuer.made >= 5
        assert (await peer.service(Desk).name()).startswith("alice")


async def test_a_client_whose_token_is_not_accepted_any_more_stops_trying(caplog):
    issuer = Issuer(60)
    own = {"token": await issuer.token(), "reconnect": AGAIN}
    async with guarded(issuer) as (network, desk), penstock.connect(URL, **own) as peer:
        ticks = peer.service(Ticking).ticks(100)
        await anext(ticks)
        await issuer.token()  # the earlier one is void
        network.cut("client", "server")
        with pytest.raises(Unauthenticated, match="does not know the token"):
            [number async for number in ticks]
        checks = issuer.checks
        await asyncio.sleep(60)
        assert issuer.checks == checks
        with pytest.raises(Unauthenticated):
            await peer.service(Desk).name()
        assert peer.state == "closed"
        await desk.left.wait()


@pytest.mark.parametrize(("stale", "goes_on"), [(1, True), (2, False)])
async def test_a_client_that_comes_back_with_a_stale_token_asks_for_one_more(stale, goes_on):
    """A key of the server was changed, or the token has ended on the way (nats.go 499, socket.io 1409)."""
    issuer = Issuer(60)
    left = 0

    async def token() -> str:
        nonlocal left
        fresh = await issuer.token()
        left -= 1
        return fresh if left < 0 else "stale"

    async with guarded(issuer) as (network, _desk), penstock.connect(URL, token=token, reconnect=AGAIN) as peer:
        ticks = peer.service(Ticking).ticks(4)
        seen = [await anext(ticks)]
        left, checks = stale, issuer.checks
        network.cut("client", "server")
        if goes_on:
            seen += [number async for number in ticks]
            assert seen == [0, 1, 2, 3]
        else:
            with pytest.raises(Unauthenticated):
                [number async for number in ticks]
            assert peer.state == "closed"
        assert issuer.checks - checks == 2


async def test_a_session_is_not_taken_up_by_another_principal():
    """The resume token of alice, and the credentials of bob."""
    known = tokens()
    async with guarded(known) as (network, _desk):
        token = [ALICE]
        async with penstock.connect(URL, token=lambda: token[0], reconnect=AGAIN) as peer:
            ticks = peer.service(Ticking).ticks(100)
            await anext(ticks)
            token[0] = BOB
            network.cut("client", "server")
            with pytest.raises(ConnectionLost) as caught:
                [number async for number in ticks]
            assert "this server has no such session" in caught.value.message
            assert caught.value.cause is Cause.LOST
            assert await peer.service(Desk).name() == "bob ['member']"


async def test_credentials_that_end_while_the_connection_is_away_end_the_session():
    issuer = Issuer(5)
    async with guarded(issuer) as (network, desk), penstock.connect(URL, token=await issuer.token()) as peer:
        ticks = peer.service(Ticking).ticks(100)
        await anext(ticks)
        network.partition("client", "server")
        network.cut("client", "server")
        await asyncio.sleep(8)
        assert desk.left.is_set()
        network.heal()
        with pytest.raises((Unauthenticated, ConnectionLost)):
            [number async for number in ticks]


async def test_a_server_that_cannot_decide_is_asked_again():
    issuer = Issuer(60)
    async with guarded(issuer) as (network, _desk), penstock.connect(URL, token=issuer.token, reconnect=AGAIN) as peer:
        ticks = peer.service(Ticking).ticks(5)
        await anext(ticks)
        issuer.error = Unavailable("the issuer is away")
        network.cut("client", "server")
        await asyncio.sleep(5)
        assert peer.state == "reconnecting"
        issuer.error = None
        assert [number async for number in ticks] == [1, 2, 3, 4]
