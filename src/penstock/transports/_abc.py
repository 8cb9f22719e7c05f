"""The one seam between a session and what carries its bytes. This module never opens a socket.

A transport moves bytes and knows nothing else: not frames, not sessions, not other transports. `Transport.dial` and
`Transport.listen` join a `Receiver` (the session's side) to a `Link` (the connection's side).
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

Segment = bytes | bytearray | memoryview

#: A link calls `pause_writing` when it holds more than this many bytes that the system has not taken (256 KiB: four
#: batches, so that a small frame never waits behind more than that), and `resume_writing` below a quarter of it.
WRITE_HIGH_WATER_BYTES = 256 * 1024

#: How long `Link.close` waits for a peer that does not take what was written, before it aborts: long enough for a last
#: quarter megabyte on a slow line, short enough that a stuck peer holds nothing.
CLOSE_TIMEOUT_S = 10.0


class Receiver(Protocol):
    """What a link feeds; a session implements it. Every method is called on the event loop and must not raise."""

    def link_made(self, link: Link) -> None:
        """Call once, before anything else, with the link that is up."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Return the memory that the next bytes go into, at least one byte."""
        raise NotImplementedError

    def buffer_updated(self, size: int) -> None:
        """Take `size` bytes, written to the start of what `get_buffer` returned."""

    def link_lost(self, error: Exception | None) -> None:
        """Call once, at the end: None after an orderly close by either side, else what went wrong."""

    def pause_writing(self) -> None:
        """Stop writing if you can: the link holds too much (`WRITE_HIGH_WATER_BYTES`)."""

    def resume_writing(self) -> None:
        """Go on writing."""


class Link(ABC):
    """One live connection that carries bytes both ways, in order."""

    #: Where the other side is, for people: "tcp://127.0.0.1:52114".
    remote: str
    #: The peer's verified certificate as `ssl.SSLSocket.getpeercert` gives it; None without mutual TLS.
    certificate: dict[str, object] | None = None

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
    def close(self) -> None:
        """Close after everything written has left, or abort after `CLOSE_TIMEOUT_S`; `link_lost` follows, never from inside.

        Bytes may still arrive until then (TLS finishes the record it is in); writes after it do nothing.
        """

    @abstractmethod
    def abort(self) -> None:
        """Close at once and forget what was not sent; `link_lost` follows with `ConnectionAbortedError`, never from inside."""


class Listener(ABC):
    """A place where links arrive."""

    #: What to dial, with the real port when 0 was asked for.
    url: str

    @abstractmethod
    async def aclose(self) -> None:
        """Take no new links. Links that are up stay up. Cancelling it leaves the listener closed."""


class Transport(ABC):
    """A way to carry bytes, chosen by the scheme of a URL."""

    @abstractmethod
    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect `receiver` to `url` and return the link.

        Raises `Unavailable` when nobody answers within `timeout_s` seconds or the other side refuses, and `InvalidArgument`
        for a URL that this transport cannot read. Cancelling it closes what was opened.
        """

    @abstractmethod
    async def listen(self, url: str, receivers: Callable[[], Receiver], *, tls: ssl.SSLContext | None) -> Listener:
        """Listen at `url`; `receivers` is called once for each link that arrives.

        Raises `Unavailable` when the address is taken or cannot be used. Cancelling it leaves nothing open.
        """
