"""Which clients a relay lets in, and which messages it passes on: `RelayRules`, to be subclassed, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

from penstock._fields import check_fields


class Visitor(NamedTuple):
    """A client that wants to come in.

    topic: the path of its URL without the slash before it. token: that of its `Authorization: Bearer` header, or else of
    ``?token=`` in its URL, which is where a browser can put one; empty for none. headers: by their names in lower case.
    """

    topic: str
    token: str
    headers: Mapping[str, str]
    query: Mapping[str, str]


class RelayRules:
    """All may come, speak in their topic, and write to every client whose address they know. Subclass it to allow less."""

    async def admit(self, visitor: Visitor) -> str:
        """Return the name of the user; empty for a user without a name.

        Raise `PermissionDenied` or `Unauthenticated` to refuse. Any other exception refuses the client, too, and is logged.
        """
        return ""

    def may_publish(self, user: str, topic: str) -> bool:
        """Return whether a user may send to all others of a topic."""
        return True

    def may_write(self, user: str, target: str, topic: str, target_topic: str) -> bool:
        """Return whether a user may send to one client; both are given by their users and topics."""
        return True


Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class RelaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a relay. Raises `ValueError`, with the name of the field, for a value out of its range.

    message_bytes: the largest message; its characters are counted, as in the original. A larger one is answered with an error.
    clients: how many may be connected; one more is refused.
    messages_per_s: how fast a client may send; a faster one is read more slowly, and loses nothing. None for no limit.
    stall_s: how long a client that does not read may hold up those that send to it, before it is closed (code 1013).
    session_s: how long a client that is gone keeps its address.
    ping_s: a client that is silent so long is pinged, and closed after as long again.
    origins: the web pages of other sites that may use it, as of `Settings.origins`.
    """

    message_bytes: Count = 1024 * 1024
    clients: Count = 10_000
    messages_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    stall_s: Seconds = 10.0
    session_s: Seconds = 60.0
    ping_s: Seconds = 30.0
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
