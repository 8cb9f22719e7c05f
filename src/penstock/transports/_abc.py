"""The seam between a session and the transport that carries its bytes: `Receiver` and `Link`.

A transport moves bytes and knows neither frames nor sessions nor other transports. `Transport.dial` and `Transport.listen` join
a `Receiver` (the session's side) to a `Link` (the connection's side). All calls in both directions happen on one event loop.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

Segment = bytes | bytearray | memoryview

#: A link calls `pause_writing` when it holds more than this many bytes that the system has not taken, and `resume_writing`
#: below a quarter of it. 256 KiB are four batches: a small frame never waits behind more than that.
WRITE_HIGH_WATER_BYTES = 256 * 1024

#: How long `Link.close` waits for a peer that does not read the last bytes, before it aborts: long enough for a quarter of a
#: megabyte on a slow line, short enough that a stuck peer does not hold the connection.
CLOSE_TIMEOUT_S = 10.0

#: How long a client may take for its TLS handshake by default, before the server drops it: a slow line needs a few round trips.
HANDSHAKE_TIMEOUT_S = 10.0


def fill(buffer: memoryview, waiting: deque[memoryview]) -> int:
    """Move as many waiting bytes as fit into a buffer of a receiver, and return their number: small segments share a call."""
    room, filled = len(buffer), 0
    while waiting and filled < room:
        segment = waiting.popleft()
        size = min(len(segment), room - filled)
        buffer[filled : filled + size] = segment[:size]
        filled += size
        if size < len(segment):
            waiting.appendleft(segment[size:])
    return filled


class Receiver(Protocol):
    """The side of a connection that takes its bytes; a session implements it.

    A link calls `link_made` once, then any of the others, then `link_lost` once. Every method is called on the event loop and
    must not raise; one that raises loses the connection.
    """

    def link_made(self, link: Link) -> None:
        """Take the link, which is up. It is called once, before everything else; write to the link from now on."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Return the memory for the next bytes, at least one byte. `size_hint` is -1 or the bytes that wait."""
        raise NotImplementedError

    def buffer_updated(self, size: int) -> None:
        """Take `size` bytes, written to the start of the memory that `get_buffer` returned."""

    def link_lost(self, error: Exception | None) -> None:
        """Learn of the end, once: None after an orderly close by either side, else the error. Nothing follows it.

        The error is `Unavailable`, with its cause, when the other side has refused this one.
        """

    def pause_writing(self) -> None:
        """Stop writing where possible: the link holds more than `WRITE_HIGH_WATER_BYTES`. It still takes further bytes."""

    def resume_writing(self) -> None:
        """Go on writing: the link holds less than a quarter of `WRITE_HIGH_WATER_BYTES`."""


class Link(ABC):
    """One live connection that carries bytes both ways, in order."""

    #: The address of the other side, for people: "tcp://127.0.0.1:52114".
    remote: str
    #: The peer's verified certificate as `ssl.SSLSocket.getpeercert` gives it; None without mutual TLS.
    certificate: dict[str, object] | None = None
    #: The user at the other end of a Unix socket, as the kernel has it: its number, that of its group, and that of its process.
    user: tuple[int, int, int] | None = None

    @abstractmethod
    def write(self, segments: Sequence[Segment]) -> None:
        """Send all segments in order. Never blocks, never raises; after the link is lost it does nothing.

        The link may keep the segments: the caller must not change them afterwards.
        """

    @abstractmethod
    def pause_reading(self) -> None:
        """Stop feeding the receiver until `resume_reading`."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Feed the receiver again."""

    @abstractmethod
    def hand_over(self, receiver: Receiver) -> None:
        """Feed `receiver` from now on, and tell it of the loss; the receiver before it gets nothing more.

        `receiver.link_made` is not called. On a lost link it does nothing. It may be called while bytes are being taken.
        """

    @abstractmethod
    def close(self) -> None:
        """Close after all written bytes have left, or abort after `CLOSE_TIMEOUT_S`; `link_lost` follows, never from inside.

        Bytes may still arrive until `link_lost` (TLS finishes the record it is in). Writes after `close` do nothing.
        """

    @abstractmethod
    def abort(self) -> None:
        """Close at once and drop unsent bytes; `link_lost` follows with `ConnectionAbortedError`, never from inside."""


class Listener(ABC):
    """An address where links arrive."""

    #: The URL to dial, with the real port when 0 was asked for.
    url: str

    @abstractmethod
    async def aclose(self) -> None:
        """Take no new links; live links stay up. Idempotent. Cancelling it leaves the listener closed."""

    async def wait_closed(self) -> None:  # noqa: B027 - most listeners do nothing more
        """End whatever a closed listener still does, after its sessions have ended, and wait for it; by default nothing."""


class Transport(ABC):
    """A way to carry bytes, chosen by the scheme of a URL; `register` makes it known."""

    @abstractmethod
    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect `receiver` to `url` and return the link, after `receiver.link_made`.

        Raises `Unavailable` with a `cause` when the other side does not answer within `timeout_s` seconds or refuses, and
        `InvalidArgument` for a URL that this transport cannot read. Cancelling it closes the socket.
        """

    @abstractmethod
    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Listen at `url` and return the listener; `receivers` makes the receiver of each link that arrives.

        A link whose handshake takes longer than `timeout_s` seconds is dropped, that of TLS and the transport's own. `origins`
        are the web pages that may connect, for a transport that browsers speak.
        Raises `Unavailable` with a `cause` when the address is taken or cannot be used. Cancelling it leaves nothing open.
        """
