"""The credentials of each transport and face: tokens by HTTP and WebSocket, certificates, users of Unix sockets."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

import penstock
from penstock import auth
from penstock.auth import Credentials, Principal
from penstock.errors import FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated, Unavailable, Unimplemented
from penstock.peer import JoinedPeers
from penstock.transports import TLS
from tests.auth.kit import ALICE, BOB, STRANGER, Desk, Room, good_for, tokens
from tests.transports.authority import Authority

URL = "http://127.0.0.1:0"
TABLE = auth.Access(
    {
        "Desk": ["call", "stream"],
        "room": {"member": ["ask"], "admin": ["stream"]},
        "streams/*": {"member": ["follow"], "admin": ["append", "delete"]},
    }
)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def faced(**options: object) -> AsyncIterator[httpx.AsyncClient]:
    options = {"authenticate": tokens(), "authorize": TABLE, **options}
    async with penstock.ActorSystem() as system:
        await system.spawn(Room, name="room")
        async with (
            penstock.serve(Desk(), system, listen=URL, **options) as server,
            httpx.AsyncClient(base_url=server.urls[0], timeout=10) as client,
        ):
            yield client


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_is_made_by_the_principal_of_its_token():
    async with faced() as client:
        for token, said in ((ALICE, "alice ['admin', 'member']"), (BOB, "bob ['member']")) * 2:
            assert (await client.post("/call/Desk/name", headers=bearer(token))).json() == said
        answer = await client.post("/call/Desk/ticks", json={"count": 3}, headers=bearer(BOB))
        assert answer.text == "0\n1\n2\n"
        assert (await client.post("/ask/room/name", headers=bearer(BOB))).json() == "bob"


@pytest.mark.parametrize("headers", [{}, bearer(STRANGER), {"authorization": f"Basic {ALICE}"}, {"authorization": ALICE}])
@pytest.mark.parametrize("path", ["/call/Desk/name", "/ask/room/name", "/openapi.json", "/v1/stream/log"])
async def test_a_request_without_a_token_that_is_known_is_refused(headers, path):
    async with faced() as client:
        answer = await client.request("POST" if path.startswith(("/call", "/ask")) else "GET", path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["reason"] == "unauthenticated"
        assert STRANGER not in answer.text
        assert "upstream" not in answer.text  # this server has refused it, and not one behind it


async def test_a_probe_needs_no_token():
    async with faced() as client:
        assert (await client.get("/healthz")).json() == {"status": "up"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_what_a_principal_may_not_do_is_forbidden():
    async with faced() as client:
        answer = await client.post("/ask/room/lines", headers=bearer(BOB))
        assert (answer.status_code, answer.json()["reason"]) == (403, "permission_denied")
        assert "'bob' is not allowed 'stream' on '/room/lines' (roles: member)" in answer.json()["detail"]
        assert (await client.post("/ask/room/lines", headers=bearer(ALICE))).text == '"alice"\n'
        assert (await client.post("/ask/nothing/at_all", headers=bearer(ALICE))).status_code == 403


async def test_a_method_is_asked_by_those_who_may_use_it_alone():
    async with faced(authorize=auth.Access({"room/name": {"member": ["ask"]}})) as client:
        assert (await client.post("/ask/room/name", headers=bearer(BOB))).json() == "bob"
        refused = await client.post("/ask/room/slow", headers=bearer(BOB))
        assert (refused.status_code, "upstream" in refused.text) == (403, False)
        assert "'bob' is not allowed 'ask' on '/room/slow'" in refused.json()["detail"]


async def test_retained_streams_are_followed_written_and_deleted_by_those_who_may():
    async with faced() as client:
        made = {"content-type": "application/json"}
        assert (await client.put("/v1/stream/log", headers=bearer(BOB) | made)).status_code == 403
        assert (await client.put("/v1/stream/log", headers=bearer(ALICE) | made)).status_code == 201
        assert (await client.post("/v1/stream/log", json=[1, 2], headers=bearer(ALICE))).status_code == 204
        assert (await client.get("/v1/stream/log", headers=bearer(BOB))).json() == [1, 2]
        assert (await client.head("/v1/stream/log", headers=bearer(BOB))).status_code == 200
        kept = await client.delete("/v1/stream/log", headers=bearer(BOB))
        assert (kept.status_code, "upstream" in kept.text) == (403, False)
        assert (await client.get("/v1/stream/__ds/subscriptions/x", headers=bearer(ALICE))).status_code == 403
        assert (await client.delete("/v1/stream/log", headers=bearer(ALICE))).status_code == 204


async def test_a_client_may_ask_what_it_may_do():
    """Rule 2.11."""
    async with (
        penstock.serve(Desk(), listen="memory://asked", authenticate=tokens(), authorize=TABLE) as server,
        penstock.connect(*server.urls, token=BOB) as peer,
    ):
        assert await peer.call("Penstock/may", "streams/log", "follow") is None
        with pytest.raises(PermissionDenied, match="'bob' is not allowed 'delete' on 'streams/log'"):
            await peer.call("Penstock/may", "streams/log", "delete")


async def test_a_server_that_had_no_room_for_a_moment_proves_no_client_for_that():
    """A session that waits for its turn has no principal."""
    async with penstock.serve(Desk(), listen="memory://crowd", settings=penstock.Settings(max_connections=1)) as server:

        def new_session() -> object:
            server._connected = 1
            session = server._new_session()
            server._connected = 0
            return session

        peers = JoinedPeers(new_session, penstock.Settings(), "http://crowd")
        async with peers.use(""):
            assert peers.proves is False
        await peers.aclose()


async def test_a_stream_is_forked_only_by_those_who_may_read_it():
    access = auth.Access({"streams/mine": ["append", "follow"], "streams/theirs": {"admin": ["append"]}})
    async with faced(authorize=access) as client:
        made = {"content-type": "application/json"}
        assert (await client.put("/v1/stream/theirs", headers=bearer(ALICE) | made)).status_code == 201
        fork = {"stream-forked-from": "/v1/stream/theirs"}
        refused = await client.put("/v1/stream/mine", headers=bearer(BOB) | fork)
        assert refused.status_code == 403
        assert "'follow' on 'streams/theirs'" in refused.json()["detail"]


async def test_a_token_that_has_ended_is_refused_at_the_next_request():
    known = {ALICE: Principal("alice", expires_at=good_for(600))}

    async def check(credentials: Credentials) -> Principal | None:
        return known.get(credentials.token)

    async with penstock.serve(Desk(), listen=URL, authenticate=check) as server, httpx.AsyncClient(timeout=10) as client:
        url = f"{server.urls[0]}/call/Desk/name"
        assert (await client.post(url, headers=bearer(ALICE))).status_code == 200
        (peer,) = server.peers
        session = peer._scope.session
        assert 500 < session.proof.remaining_s() <= 600
        known[ALICE] = Principal("alice", expires_at=good_for(-1))
        assert (await client.post(url, headers=bearer(ALICE))).status_code == 200  # the credentials hold until their end …
        session.proof.refuse(auth.expired(known[ALICE]))
        answer = await client.post(url, headers=bearer(ALICE))  # … and are checked again after it
        assert answer.status_code == 401
        assert "have expired" in answer.json()["detail"]


async def test_clients_with_tokens_of_their_own_are_bounded(monkeypatch):
    monkeypatch.setattr("penstock.peer._joined.CLIENTS_MAX", 3)

    async def anyone(credentials: Credentials) -> Principal | None:
        return Principal(credentials.token)

    async with faced(authenticate=anyone, authorize=None) as client:
        for number in range(12):
            said = await client.post("/call/Desk/name", headers=bearer(f"client-{number}"))
            assert said.json() == f"client-{number} []"


async def test_more_tokens_than_are_kept_are_refused_and_end_no_call_of_others(monkeypatch):
    monkeypatch.setattr("penstock.peer._joined.CLIENTS_MAX", 4)
    release = asyncio.Event()

    class Slow:
        service_name = "Slow"

        async def wait(self) -> str:
            await release.wait()
            return str(penstock.context().principal)

    async def anyone(credentials: Credentials) -> Principal | None:
        return Principal(credentials.token)

    async with (
        penstock.serve(Slow(), listen=URL, authenticate=anyone) as server,
        httpx.AsyncClient(base_url=server.urls[0], timeout=10) as client,
    ):

        async def call(number: int) -> int:
            return (await client.post("/call/Slow/wait", headers=bearer(f"client-{number}"))).status_code

        calls = [asyncio.create_task(call(number)) for number in range(40)]
        done: list[int] = []
        for each in asyncio.as_completed(calls):
            done.append(await each)
            if len(done) == 36:
                release.set()
        assert sorted(done) == [200] * 4 + [429] * 36
        assert len(server.peers) <= 4


async def test_a_token_that_is_refused_takes_the_place_of_none(monkeypatch):
    monkeypatch.setattr("penstock.peer._joined.CLIENTS_MAX", 1)
    async with penstock.serve(Desk(), listen=URL, authenticate=tokens()) as server, httpx.AsyncClient(timeout=10) as client:
        url = f"{server.urls[0]}/call/Desk/name"
        assert (await client.post(url, headers=bearer(ALICE))).status_code == 200
        (peer,) = server.peers
        assert (await client.post(url, headers=bearer(STRANGER))).status_code == 401
        assert server.peers == {peer}


async def test_a_token_that_was_taken_back_is_refused_soon_also_at_a_connection_that_is_kept(monkeypatch):
    known = {ALICE: Principal("alice", roles={"reader"})}

    async def check(credentials: Credentials) -> Principal | None:
        if not credentials.token:
            raise PermissionDenied("not without a token")
        if not known:
            raise Unavailable("the registry is away")
        return known.get(credentials.token)

    monkeypatch.setattr("penstock.peer._joined.PROVEN_S", 0.0)
    async with (
        penstock.serve(Desk(), listen=URL, authenticate=check) as server,
        httpx.AsyncClient(base_url=server.urls[0], timeout=10) as client,
    ):

        async def name() -> tuple[int, str]:
            answer = await client.post("/call/Desk/name", headers=bearer(ALICE))
            return answer.status_code, answer.json() if answer.status_code == 200 else ""

        assert await name() == (200, "alice ['reader']")
        (peer,) = server.peers
        known[ALICE] = Principal("alice", roles={"writer"})
        assert await name() == (200, "alice ['writer']")
        assert server.peers == {peer}
        principal = known.pop(ALICE)
        assert await name() == (503, "")
        known[BOB] = Principal("bob")
        assert await name() == (401, "")
        assert not server.peers
        known[ALICE] = principal
        assert await name() == (200, "alice ['writer']")
        known[ALICE] = Principal("alice of another team")
        assert await name() == (200, "alice of another team []")
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_an_application_of_asgi_knows_its_clients_in_fastapi():
    flow = penstock.asgi(Desk(), authenticate=tokens())
    app = FastAPI(lifespan=flow.lifespan)
    app.mount("/flow", flow)
    async with flow, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/flow/call/Desk/name", headers=bearer(BOB))).json() == "bob ['member']"
        assert (await client.post("/flow/call/Desk/name")).status_code == 401


async def test_the_same_server_knows_its_clients_by_websocket():
    async with penstock.serve(Desk(), listen=URL, authenticate=tokens()) as server:
        url = server.urls[0].replace("http", "ws")
        async with penstock.connect(url, token=BOB) as peer:
            assert await peer.service(Desk).name() == "bob ['member']"
        with pytest.raises(Unauthenticated):
            async with penstock.connect(url):
                pass


# ── what the transport proves ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_a_client_is_known_by_its_certificate(tmp_path, scheme):
    authority = Authority(tmp_path, "authority")
    ours = TLS.production(*authority.issue("server"), ca=authority.path)
    theirs = TLS.production(*authority.issue("loader-1"), ca=authority.path)
    known = auth.Certificates(roles={"loader-1": ["writer"]})
    async with (
        penstock.serve(Desk(), listen=f"{scheme}://127.0.0.1:0", tls=ours, authenticate=known) as server,
        penstock.connect(*server.urls, tls=theirs) as peer,
    ):
        assert await peer.service(Desk).name() == "loader-1 ['writer']"


CERTIFICATE = {
    "subject": ((("countryName", "NL"),), (("commonName", "loader"),)),
    "subjectAltName": (("URI", "spiffe://example/loader"), ("DNS", "loader.example")),
    "serialNumber": "07",
    "notAfter": "Jan  5 09:34:43 2040 GMT",
}


async def test_the_parts_of_a_certificate():
    principal = await auth.Certificates(name="san")(Credentials(certificate=CERTIFICATE))
    assert principal is not None
    assert (principal.name, principal.expires_at) == ("spiffe://example/loader", 2209368883.0)
    assert principal.attributes["subject"] == {"countryName": "NL", "commonName": "loader"}
    assert principal.attributes["serial"] == "07"
    assert await auth.Certificates()(Credentials(ALICE)) is None
    for name, part in (("subject", "common name"), ("san", "alternative name")):
        with pytest.raises(Unauthenticated, match=f"has no {part}"):
            await auth.Certificates(name=name)(Credentials(certificate={"serialNumber": "1"}))
    with pytest.raises(Unauthenticated, match="that can be printed"):
        await auth.Certificates()(Credentials(certificate={"subject": ((("commonName", "a\nb"),),)}))
    with pytest.raises(ValueError, match="it is 'subject' or 'san'"):
        auth.Certificates(name="cn")


async def test_a_client_is_known_by_its_user(tmp_path):
    me = pwd.getpwuid(os.getuid()).pw_name
    url = f"unix://{tmp_path}/s"
    async with penstock.serve(Desk(), listen=url, authenticate=auth.UnixUsers({me: ["owner"]})), penstock.connect(url) as peer:
        assert await peer.service(Desk).name() == f"{me} ['owner']"


async def test_users_of_a_unix_socket():
    user = auth.UnixUser(os.getuid(), 7, 8)
    assert (await auth.UnixUsers({os.getuid(): ["a"]})(Credentials(user=user))).roles == {"a"}
    assert (await auth.UnixUsers()(Credentials(user=user))).attributes == {"uid": os.getuid(), "gid": 7, "pid": 8}
    assert str(await auth.UnixUsers()(Credentials(user=auth.UnixUser(2**31 - 7, 1, 1)))) == str(2**31 - 7)
    assert await auth.UnixUsers()(Credentials(ALICE)) is None
    with pytest.raises(Unauthenticated, match="may not use this server"):
        await auth.UnixUsers({"someone else": []})(Credentials(user=user))


async def test_the_first_authenticator_that_knows_the_credentials_decides(tmp_path):
    known = auth.AnyOf(auth.Certificates(), tokens(), auth.UnixUsers())
    url = f"unix://{tmp_path}/s"
    async with penstock.serve(Desk(), listen=url, authenticate=known):
        async with penstock.connect(url, token=BOB) as peer:
            assert await peer.service(Desk).name() == "bob ['member']"
        async with penstock.connect(url) as peer:
            assert await peer.service(Desk).name() == f"{pwd.getpwuid(os.getuid()).pw_name} []"
    assert await known(Credentials(STRANGER)) is None


# ── a node ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url", ["tcp://0.0.0.0:0", "tcp://[::]:0", "http://10.1.2.3:80", "ws://example.com:80", "tls://0.0.0.0:0"]
)
async def test_a_node_that_knows_no_client_listens_at_this_machine_only(url):
    with pytest.raises(FailedPrecondition, match="can be reached from other machines, and this node takes every client"):
        penstock.Node(listen=["memory://fine", url])
    penstock.Node(listen=url, insecure=True)
    penstock.Node(listen=url, authenticate=tokens())


@pytest.mark.parametrize(
    "url", ["tcp://127.0.0.1:0", "tcp://127.9.9.9:0", "tcp://[::1]:0", "ws://localhost:0", "http://a.localhost:0", "memory://x"]
)
def test_addresses_of_this_machine(url):
    penstock.Node(listen=url)


async def test_the_unix_socket_of_a_node_is_for_its_owner_unless_clients_are_known(tmp_path):
    for options, mode in (({}, 0o600), ({"authenticate": tokens()}, None), ({"insecure": True}, None)):
        path = tmp_path / f"s{len(options)}{mode}{next(iter(options), '')}"
        before = os.umask(0o022)
        try:
            async with penstock.Node(listen=f"unix://{path}", **options):
                assert path.stat().st_mode & 0o777 == (mode or 0o755)
        finally:
            os.umask(before)


async def test_a_node_is_controlled_over_the_network_by_those_who_may():
    from penstock.node import ActorControl

    access = auth.Access({"Penstock.Control/*": {"admin": ["call", "stream"]}, "**": ["ask"]})
    for authorize, allowed in ((access, [ALICE]), (None, [])):
        async with penstock.Node(listen="tcp://127.0.0.1:0", authenticate=tokens(), authorize=authorize) as node:
            await node.spawn(Room, name="room")
            for token in (ALICE, BOB):
                async with penstock.connect(*node.urls, token=token) as peer:
                    listing = peer.service(ActorControl).list()
                    if token in allowed:
                        assert [info.address for info in await listing] == ["room"]
                    else:
                        with pytest.raises(PermissionDenied):
                            await listing
    async with penstock.Node(listen="tcp://127.0.0.1:0") as node, penstock.connect(*node.urls) as peer:
        with pytest.raises(Unimplemented, match="unknown method"):
            await peer.service(ActorControl).list()


MANIFEST = """
name = "chat"
actor = "guarded_room.py:Room"
{access}
"""
MODULE = "from tests.auth.kit import Room\n"


@pytest.mark.parametrize("table", ['"chat" = ["ask"]', '"chat/**" = ["ask"]\n"chat" = { member = ["ask"] }'])
async def test_a_manifest_says_who_may_use_its_actor(tmp_path, table):
    path = tmp_path / "chat.toml"
    path.write_text(MANIFEST.format(access=f"[access]\n{table}"))
    (tmp_path / "guarded_room.py").write_text(MODULE)
    own = auth.Access({"**": ["ask", "stream", "stop"]})
    async with penstock.Node(listen="tcp://127.0.0.1:0", authenticate=tokens(), authorize=own) as node:
        await node.start(path)
        await node.spawn(Room, name="other")
        async with penstock.connect(*node.urls, token=BOB) as peer:
            assert await peer.ask("chat", "name") == "bob"
            for refused in (peer.ref("chat").stop(), anext(peer.stream("chat", "lines", None))):
                with pytest.raises(PermissionDenied):
                    await refused
            assert [line async for line in peer.stream("other", "lines", None)] == ["bob"]
            await peer.ref("other").stop()
    async with penstock.Node(listen="tcp://127.0.0.1:0") as node:
        with pytest.raises(FailedPrecondition, match="key `access`: this node takes every client"):
            await node.start(path)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('"other" = ["ask"]', "'other' is not 'chat', and does not begin with 'chat/'"),
        ('"chatty" = ["ask"]', "'chatty' is not 'chat'"),
        ('"chat" = ["shout"]', "'chat': unknown verbs"),
        ('"chat" = 7', "key `access"),
    ],
)
async def test_a_table_of_a_manifest_that_cannot_be_read_is_named(tmp_path, table, why):
    path = tmp_path / "chat.toml"
    path.write_text(MANIFEST.format(access=f"[access]\n{table}"))
    (tmp_path / "guarded_room.py").write_text(MODULE)
    async with penstock.Node(authenticate=tokens()) as node:
        with pytest.raises(InvalidArgument, match=why):
            await node.start(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[access", "cannot be read"),
        ("", "it has \\[access\\]"),
        ("access = 7", "it has"),
        ('[access]\n"a" = ["b"]', "unknown verbs"),
    ],
)
def test_a_file_of_rights_that_cannot_be_read_is_named(tmp_path, text, why):
    path = tmp_path / "access.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=f"^{path}.*{why}"):
        auth.Access.from_file(path)
    with pytest.raises(InvalidArgument, match="No such file"):
        auth.Access.from_file(tmp_path / "none")
