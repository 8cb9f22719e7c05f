"""A caller whom an interceptor refuses learns nothing else: every call that it makes gets the same frames (FAULTS G1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock.errors import NotFound, PermissionDenied, Unimplemented
from penstock.protocol._frames import CallKind
from penstock.transports import dial
from tests.protocol.kit import array, encode, hello, items_frame, open_frame, read_frames
from tests.remote.kit import Desk
from tests.streams.kit import rest
from tests.transports.kit import Recorder

URL = "memory://guarded"


class Vault:
    async def open(self, code: int) -> str:
        return "open"

    async def doors(self, wing: str) -> AsyncIterator[str]:
        yield wing

    async def fill(self, things: AsyncIterator[int]) -> int:
        return len([thing async for thing in things])

    async def swap(self, things: AsyncIterator[int]) -> AsyncIterator[int]:
        async for thing in things:
            yield thing


@asynccontextmanager
async def deny(call: penstock.CallInfo) -> AsyncIterator[None]:
    if call.metadata.get("badge") != "7":
        raise PermissionDenied("show your badge")
    yield


@asynccontextmanager
async def guarded(*interceptors: Any) -> AsyncIterator[penstock.Server]:
    async with (
        penstock.ActorSystem() as system,
        penstock.serve(Vault(), system, listen=URL, interceptors=interceptors or [deny]) as server,
    ):
        await system.spawn(Desk, name="desk")
        gone = await system.spawn(Desk, name="gone")
        await penstock.ref(gone).stop()
        yield server


async def answer_to(*frames: bytes) -> list[tuple[str, int, Any]]:
    """Send frames as a client of its own and return what the server answers about its stream."""
    client = Recorder()
    await dial(URL, client)
    client.link.write([hello()])
    for sent in frames:
        client.link.write([sent])
        await rest()
    seen = [(one.kind, one.flags, encode(one.body)) for one in read_frames(bytes(client.received)) if one.stream == 1]
    client.link.abort()
    await rest()
    return seen


SERVICE_CALLS = {
    CallKind.UNARY: [
        "Vault/open",
        "Vault/close",
        "Vaults/open",
        "Vault/doors",
        "/desk/add",
        "/desk/ad",
        "/nobody/add",
        "/gone/add",
    ],
    CallKind.SERVER_STREAMING: [
        *("Vault/doors", "Vault/close", "Vault/open", "Penstock/claim_source", "/desk/ticks", "/desk/add", "/nobody/ticks"),
        *("/desk!stream", "/nobody!stream", "/desk!port", "/nobody!port", "/desk!verb", "/gone!port"),
    ],
    CallKind.CLIENT_STREAMING: ["Vault/fill", "Vault/close", "Vault/open", "/desk/sum_of", "/desk/add", "/nobody/sum_of"],
    CallKind.BIDIRECTIONAL: ["Vault/swap", "Vault/close", "/desk/doubled", "/nobody/doubled"],
}
ARGUMENTS = [
    None,
    encode([1]),
    encode(["wing"]),
    encode({"code": 1}),
    encode({"no": 1}),
    encode([1, 2, 3]),
    b"\xff",
    encode(["ticks", 3]),
]


@pytest.mark.parametrize("kind", SERVICE_CALLS, ids=lambda kind: kind.label)
async def test_a_refused_caller_cannot_tell_what_exists_and_what_fits(kind):
    async with guarded():
        answers = {
            str(await answer_to(open_frame(1, kind, target=target, argument=argument)))
            for target in SERVICE_CALLS[kind]
            for argument in ARGUMENTS
        }
        assert len(answers) == 1, answers
        (answer,) = answers
        assert "show your badge" in answer


async def test_a_refused_caller_cannot_tell_whether_an_actor_takes_channels():
    async with guarded():
        answers = {
            str(await answer_to(open_frame(1, 3, target=target, argument=argument)))
            for target in ("/desk!channel", "/nobody!channel", "/gone!channel")
            for argument in ARGUMENTS
        }
        assert len(answers) == 1, answers
        assert "show your badge" in answers.pop()


@pytest.mark.parametrize("number", [1, 0], ids=["ask", "tell"])
async def test_a_refused_caller_learns_nothing_by_messages_to_actors(number):
    messages = [
        [number, "add", [1]],
        [number, "add", ["one"]],
        [number, "ad", [1]],
        [number, "ticks", [1]],
        [number, "add", [1], 7],
        [number, "add", [1], 0, "someone", ["waiting"]],
    ]
    async with guarded():
        answers = {
            str(
                await answer_to(open_frame(1, 3, target=f"/{address}!lane"), items_frame(1, 0, payload=array(message), count=1))
            )
            for address in ("desk", "nobody", "gone")
            for message in messages
        }
        assert len(answers) == 1, answers
        assert ("show your badge" in answers.pop()) == bool(number)


async def test_the_interceptors_of_a_call_that_cannot_begin_see_its_target_kind_and_outcome():
    seen: list[Any] = []

    @asynccontextmanager
    async def note(call: penstock.CallInfo) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            seen.append((call.target, call.kind, type(error).__name__, error.started))
            raise

    async with guarded(note), penstock.connect(URL) as peer:
        for target in ("Vault/close", "Vaults/open", "/nobody/add", "/desk/nothing", "/desk!verb"):
            with pytest.raises((Unimplemented, NotFound)) as raised:
                await peer.call(target)
            assert raised.value.started is False
            assert seen.pop() == (target, "unary", type(raised.value).__name__, False)
        with pytest.raises(penstock.InvalidArgument, match="argument `code`"):
            await peer.call("Vault/open", "one")
        assert seen.pop() == ("Vault/open", "unary", "InvalidArgument", False)
        with pytest.raises(NotFound, match="no actor"):
            await peer.open_channel("nobody")
        assert seen.pop() == ("/nobody!channel", "bidirectional", "NotFound", False)
        with pytest.raises(NotFound, match="no actor"):
            await peer.ask("nobody", "add", 1)
        assert seen.pop() == ("/nobody/add", "unary", "NotFound", False)
        with pytest.raises(Unimplemented, match="did you mean 'add'"):
            await peer.ask("desk", "ad", 1)
        assert seen.pop() == ("/desk/ad", "unary", "Unimplemented", False)
        with pytest.raises(Unimplemented, match="unknown method"):
            async for _item in peer.stream("Vault/nothing"):
                pass
        assert seen.pop() == ("Vault/nothing", "server_streaming", "Unimplemented", False)


async def test_a_lane_to_an_actor_that_comes_later_reaches_it():
    @asynccontextmanager
    async def pass_by(_call: penstock.CallInfo) -> AsyncIterator[None]:
        yield

    async with (
        penstock.ActorSystem() as system,
        penstock.serve(system, listen=URL, interceptors=[pass_by]) as server,
        penstock.connect(server.urls[0]) as peer,
    ):
        with pytest.raises(NotFound):
            await peer.ask("late", "add", 1)
        await peer.tell("late", "add", 1)
        await rest()
        await system.spawn(Desk, name="late")
        assert await peer.ask("late", "add", 2) == 2
