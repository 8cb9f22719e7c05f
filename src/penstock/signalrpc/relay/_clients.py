"""The members of a relay by topic, and for which of them a message is. This module sends nothing and reads no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

#: Clients that are gone and may come again, at most; the oldest is forgotten first.
ABSENT_MAX: Final = 10_000

#: Messages that a peer believes, because they come from its relay: another peer could give it another address.
OF_RELAYS: Final = frozenset({"error", "welcome"})


@dataclass(eq=False)
class RelayClient:
    """A client at a relay.

    client_id: its address. session_id: the secret by which it gets the same address again. user: the name that the rules gave
    it. topic: the path of its URL. link: the way to it.
    """

    client_id: str
    session_id: str
    topic: str
    user: str
    link: Any = field(repr=False)


class _Address(msgspec.Struct):
    """The fields of a message that a relay reads; a value of another type is not an address."""

    category: Any = None
    from_: Any = msgspec.field(default=msgspec.UNSET, name="from")
    to: Any = None
    timestamp: Any = None


#: The beginning of an object that has a key.
_FIRST_KEY: Final = re.compile(r"\s*\{(?=\s*\")")

_addresses: Final = msgspec.json.Decoder(_Address)


@dataclass
class Route:
    """Where a message goes: to `places`, as `text`.

    target: an address without a member. direct: it is for one client. ping: it is for the relay, which answers with this time.
    """

    places: list[RelayClient] = field(default_factory=list)
    text: bytes | str = b""
    target: str = ""
    ping: Any = None
    direct: bool = False


class Clients:
    """The members of a relay. new_id: makes an address or a secret."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._places: dict[str, RelayClient] = {}
        self._topics: dict[str, dict[str, RelayClient]] = {}
        self._sessions: dict[str, RelayClient] = {}
        self._absent: dict[str, None] = {}  # the sessions of clients that are gone

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[RelayClient]:
        return iter(tuple(self._places.values()))

    def others(self, place: RelayClient) -> list[RelayClient]:
        """Return the other members of the topic of a place."""
        return [other for other in self._topics.get(place.topic, {}).values() if other is not place]

    def enter(self, topic: str, user: str, link: Any, session_id: str) -> tuple[RelayClient, RelayClient | None]:
        """Let a client in; return its place, and the earlier one whose address it has, or None.

        It has that address when it shows the secret of the earlier connection, in the same topic and as the same user.
        """
        before = self._sessions.get(session_id)
        if before is not None and (before.topic, before.user) != (topic, user):
            before = None
        names = (before.client_id, session_id) if before is not None else (self._new_id(), self._new_id())
        place = RelayClient(*names, topic, user, link)
        self._absent.pop(place.session_id, None)
        self._sessions[place.session_id] = self._places[place.client_id] = place
        self._topics.setdefault(topic, {})[place.client_id] = place
        return place, before

    def leave(self, place: RelayClient) -> bool:
        """Take a client out, and remember its address. Return False for a place that another connection has taken over."""
        if self._places.get(place.client_id) is not place:
            return False
        del self._places[place.client_id]
        members = self._topics[place.topic]
        del members[place.client_id]
        if not members:
            del self._topics[place.topic]
        self._absent[place.session_id] = None
        if len(self._absent) > ABSENT_MAX:
            self.forget(self._sessions[next(iter(self._absent))])
        return True

    def forget(self, place: RelayClient) -> None:
        """Forget the address of a client that has not come again."""
        if self._sessions.get(place.session_id) is place and place.session_id in self._absent:
            del self._sessions[place.session_id], self._absent[place.session_id]

    def route(self, place: RelayClient, text: bytes | str) -> Route:
        """Return where a message of a member goes. Raises `msgspec.DecodeError` for one that a relay does not pass on.

        Each message says its sender: one without a sender, or with another one, gets the true one.
        """
        address = _addresses.decode(text)
        if address.category == "ping":
            return Route(ping=address.timestamp)
        if address.category == "pong":
            return Route()
        if isinstance(address.category, str) and address.category in OF_RELAYS:
            raise msgspec.ValidationError(f"a message of the category {address.category} comes from a relay alone")
        if address.from_ != place.client_id:
            text = _from(text, place.client_id, is_new=address.from_ is msgspec.UNSET)
        if not isinstance(address.to, str) or not address.to:
            return Route(list(self.others(place)), text)
        target = self._places.get(address.to)
        return Route([target], text, direct=True) if target is not None else Route(target=address.to)


def _from(text: bytes | str, client_id: str, *, is_new: bool) -> bytes | str:
    if is_new and isinstance(text, str) and (first := _FIRST_KEY.match(text)) is not None:
        return f'{first[0]}"from":"{client_id}",{text[first.end() :]}'
    message = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    message["from"] = msgspec.Raw(msgspec.json.encode(client_id))
    return msgspec.json.encode(message)
