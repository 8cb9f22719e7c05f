"""A crash with an asker in another process: one record of the log has the id that the asker got, and the traceback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock.errors import Internal
from tests.remote.kit import Broken, Desk, Town, outcome, town


class Crashes(Desk):
    async def late(self) -> None:
        await asyncio.sleep(0)
        raise Broken("on purpose")

    async def quick(self) -> None:
        raise Broken("on purpose")


async def tells_another(place: Town) -> Any:
    """Ask behind a message, so that no ask comes alone."""
    stub = place.peer.actor(Crashes, "desk")
    return (await asyncio.gather(stub.note_late(1), outcome(stub.quick())))[1]


WAYS: dict[str, Callable[[Town], Awaitable[Any]]] = {
    "a lone ask": lambda place: place.peer.actor(Crashes, "desk").quick(),
    "by the mailbox": lambda place: place.peer.actor(Crashes, "desk").late(),
    "in a batch": tells_another,
    "by name": lambda place: place.peer.ask("desk", "late"),
    "a unary call": lambda place: place.peer.call("/desk/late"),
}


@asynccontextmanager
async def transparent(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("interceptors", [[], [transparent]], ids=["", "intercepted"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_crash_is_one_record_with_the_id_of_the_asker_and_the_traceback(way, interceptors, caplog):
    async with town(interceptors=interceptors) as place:
        await place.system.spawn(Crashes, name="desk")
        with caplog.at_level(logging.ERROR, "penstock"):
            error = await outcome(WAYS[way](place))
            await asyncio.sleep(1)
        assert type(error) is Internal
        (record,) = caplog.records
        assert record.getMessage().startswith("desk crashed; it is restarted in")
        assert record.getMessage().endswith(f"(error {error.details['error_id']})")
        assert record.exc_text.endswith("Broken: on purpose")
        caplog.clear()


async def test_the_error_of_an_interceptor_is_logged_beside_the_crash_that_it_replaces(caplog):
    """The id of the crash would lead to the traceback of another error."""

    @asynccontextmanager
    async def replaces(_call: penstock.CallInfo) -> AsyncIterator[None]:
        try:
            yield
        except Broken:
            raise LookupError("instead") from None

    async with town(interceptors=[replaces]) as place:
        await place.system.spawn(Crashes, name="desk")
        for way in WAYS.values():
            with caplog.at_level(logging.ERROR, "penstock"):
                error = await outcome(way(place))
                await asyncio.sleep(1)
            texts = {record.getMessage(): record.exc_text for record in caplog.records}
            (instead,) = (text for message, text in texts.items() if error.details["error_id"] in message)
            assert instead.endswith("LookupError: instead")
            assert len(texts) == 2
            caplog.clear()
