"""The way out for the frames of all streams of a peer: `Outlet` lets them go while the connection takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock.signalrpc.streams._turns import Turns


class PeerLink(Protocol):
    """The connection of a peer, as its streams see it. choked: it holds more than it wants to."""

    client_id: str
    choked: bool

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        raise NotImplementedError

    def send_now(self, message: bytes) -> None:
        """Send a message."""


class Outlet:
    """Lets streams write while the connection takes messages; when it does again, in the order of their priorities."""

    def __init__(self, link: PeerLink) -> None:
        self.link = link
        self._turns = Turns()

    @property
    def takes(self) -> bool:
        """Whether the connection takes messages now."""
        return self.link.up and not self.link.choked

    def write(self, priority: str, action: Callable[[], None]) -> None:
        """Call `action`, which sends one message: now, or when its turn comes."""
        if self.takes and not self._turns:
            action()
        else:
            self._turns.join(priority, action)

    def opened(self) -> None:
        """Let streams write that wait, as long as the connection takes it."""
        while self.takes and (action := self._turns.pop()) is not None:
            action()
