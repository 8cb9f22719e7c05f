"""A server describes its services to its peers: the built-in service `Penstock/describe`."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.service import Service, ServiceDescription, describe


class Reflection:
    """Describe the services of this server: methods, their kinds, and their types as JSON Schema."""

    service_name = "Penstock"

    def __init__(self, describes: Sequence[Service] = ()) -> None:
        self.describes = describes
        self._described: list[ServiceDescription] | None = None  # made once: it takes a millisecond, and any peer may ask

    async def describe(self) -> list[ServiceDescription]:
        """Describe every service of this server: methods, kinds, and types as JSON Schema."""
        if self._described is None:
            self._described = [describe(service) for service in self.describes]
        return self._described
