"""A server describes its services to its peers."""

from __future__ import annotations

import msgspec
import pytest

import penstock
from penstock.service import ServiceDescription, describe, service_of
from tests.calls.kit import linked


class Prices:
    """Prices of things."""

    async def quote(self, symbol: str, digits: int = 2) -> float: ...


class Other:
    async def a(self) -> None: ...


class TakesARef:
    async def put(self, thing: penstock.SourceRef[int]) -> penstock.SourceRef[int]: ...


async def described(pair):
    services = msgspec.convert(await pair.peer.call("Penstock/describe"), list[ServiceDescription])
    return {service.name: service for service in services}


async def test_every_service_of_a_server_is_described_and_arrives_whole():
    async with linked(Prices(), Other()) as pair:
        services = await described(pair)
        assert services.keys() == {"Prices", "Other", "Penstock"}
        assert services["Prices"] == describe(service_of(Prices))


async def test_a_type_without_a_schema_does_not_hide_the_others():
    async with linked(TakesARef(), Other()) as pair:
        assert {"TakesARef", "Other"} <= (await described(pair)).keys()


async def test_the_name_of_the_description_is_taken():
    class Impostor:
        service_name = "Penstock"

        async def describe(self) -> int: ...

    with pytest.raises(ValueError, match="Penstock/describe"):
        async with penstock.serve(Impostor(), listen="memory://impostor"):
            pass
