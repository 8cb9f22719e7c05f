"""Another object in the place of an address is a `TypeError` with the way out; so is a mix-up of an actor and a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import penstock
from tests.actors.kit import outcome
from tests.calls.kit import linked


class Desk(penstock.Actor):
    def __init__(self) -> None:
        self.news = self.port("news")

    async def add(self, k: int = 1) -> int:
        return k

    async def numbers(self) -> AsyncIterator[int]:
        yield 1


class Shop:
    async def add(self, k: int) -> int:
        return k


VERBS: dict[str, Callable[[Any, Any], Any]] = {
    "ref": lambda router, desk: router.ref(desk),
    "tell": lambda router, desk: router.tell(desk, "add"),
    "ask": lambda router, desk: router.ask(desk, "add"),
    "stream": lambda router, desk: router.stream(desk, "numbers"),
    "stream_ask": lambda router, desk: router.stream_ask(desk, "numbers", on_chunk=print),
    "open_channel": lambda router, desk: router.open_channel(desk),
    "subscribe": lambda router, desk: router.subscribe(desk, "news"),
    "info": lambda router, desk: router.info(desk),
    "state": lambda router, desk: router.state(desk),
    "list": lambda router, desk: router.list(desk),
    "streams": lambda router, desk: router.streams(desk),
    "stop": lambda router, desk: router.stop(desk),
    "restart": lambda router, desk: router.restart(desk),
}
OF_A_ROUTER = 7


async def called(use: Callable[[], Any]) -> object:
    async def awaited() -> object:
        found = use()
        return await found if hasattr(found, "__await__") else found

    return await outcome(awaited())


@pytest.mark.parametrize("given", ["stub", "ref", "class", "number"])
@pytest.mark.parametrize(
    ("verb", "where"),
    [(verb, "system") for verb in VERBS] + [(verb, "peer") for verb in [*VERBS][:OF_A_ROUTER]],
)
async def test_what_is_not_an_address_says_what_to_give(verb, where, given):
    async with penstock.ActorSystem() as system, linked(system, gate=False) as pair:
        desk = await system.spawn(Desk, name="desk")
        value = {"stub": desk, "ref": penstock.ref(desk), "class": Desk, "number": 5}[given]
        error = await called(lambda: VERBS[verb](system if where == "system" else pair.peer, value))
        assert type(error) is TypeError
        assert "is not an address: give a name or id" in str(error)
        assert "penstock.ref(stub)" in str(error)
        assert await desk.add(2) == 2


async def test_an_actor_is_not_a_service_and_an_object_is_not_a_class():
    async with penstock.ActorSystem() as system, linked(Shop(), system, gate=False) as pair:
        desk = await system.spawn(Desk, name="desk")
        mixed: dict[str, Callable[[], Any]] = {
            r"Desk is a class of actors: peer.actor\(Desk, address\)": lambda: pair.peer.service(Desk),
            r"Desk\(\) makes no actor: give the class to `spawn`": lambda: system.spawn(Desk()),
            "is not a class of actors: derive one": lambda: system.spawn(Shop),
            "Desk is a class of actors; spawn one in an ActorSystem, and serve": lambda: entered(
                penstock.serve(Desk, listen="memory://x")
            ),
            "is a stub; serve the object itself": lambda: entered(penstock.serve(desk, listen="memory://x")),
            "is a stub; serve the object": lambda: entered(penstock.serve(pair.stub(Shop), listen="memory://x")),
            r"Shop is a class; serve an object of it: Shop\(\)": lambda: entered(penstock.serve(Shop, listen="memory://x")),
        }
        for text, use in mixed.items():
            with pytest.raises(TypeError, match=text):
                raise await called(use)  # type: ignore[misc]


async def entered(block: Any) -> None:
    async with block:
        pass
