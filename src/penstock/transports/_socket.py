"""Carry bytes over a stream socket, plain or TLS: the link that TCP, TLS and Unix sockets share. This module reads no URL.

The receiver's `get_buffer` and `buffer_updated` are handed to the event loop as they are, so nothing of ours runs between
the system and the session when bytes arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

from penstock.transports._abc import CLOSE_TIMEOUT_S, WRITE_HIGH_WATER_BYTES, Link, Receiver, Segment

#: How much TCP keeps that it has not sent (Linux, macOS): what a small frame waits behind in the kernel is bounded by it.
#: The default fills the whole send buffer, up to 4 MiB, in front of it. On loopback the difference in throughput is noise.
UNSENT_BYTES_MAX = 128 * 1024

#: Segments from this size on go to the system as they are; smaller neighbours are joined first, because a system call for
#: each costs more than the copy (a 64 KiB item and its header: 20 µs of processor time apart, 13 µs joined).
WHOLE_SEGMENT_BYTES = 256 * 1024

#: How many connections wait for `accept` in the kernel: a storm of a thousand clients that come back at once fits.
BACKLOG = 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketLink(Link, asyncio.BufferedProtocol):
    """A connected stream socket. `receivers` makes or returns its receiver, once the connection (with its TLS) is up."""

    def __init__(self, receivers: Callable[[], Receiver | None], remote_url: Callable[[Any], str]) -> None:
        self._receivers = receivers
        self._remote_url = remote_url
        self._receiver: Receiver | None = None
        self._transport: asyncio.Transport
        self._close_timer: asyncio.TimerHandle | None = None
        self._aborted = False
        self.remote = "?"

    def __repr__(self) -> str:
        state = "lost" if self._receiver is None else "closing" if self._transport.is_closing() else "up"
        return f"<SocketLink {self.remote} {state}>"

    # ── what the program wants ────────────────────────────────────────────────────────────────────────────────────────

    def write(self, segments: Sequence[Segment]) -> None:
        """Hand the segments to the system: small neighbours in one call, large ones uncopied."""
        transport = self._transport
        if transport.is_closing():
            return
        if len(segments) == 1 or sum(map(len, segments)) < 2 * WHOLE_SEGMENT_BYTES:
            transport.write(segments[0] if len(segments) == 1 else b"".join(segments))
            return
        small: list[Segment] = []
        for segment in segments:
            if len(segment) < WHOLE_SEGMENT_BYTES:
                small.append(segment)
                continue
            if small:
                transport.write(small[0] if len(small) == 1 else b"".join(small))
                small = []
            transport.write(segment)
        if small:
            transport.write(small[0] if len(small) == 1 else b"".join(small))

    def pause_reading(self) -> None:
        """Leave what comes in the kernel, which then slows the peer."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close when what was written is with the system, or abort after `CLOSE_TIMEOUT_S`."""
        if not self._transport.is_closing():
            self._transport.close()
            self._bound_the_close()

    def abort(self) -> None:
        """Close at once; over TCP the peer sees a reset, so that it cannot take it for an orderly end."""
        if self._receiver is None or self._aborted:
            return
        self._aborted = True
        connection = self._transport.get_extra_info("socket")
        if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # ── what the event loop did ───────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bind the receiver's methods in place of ours; refuse the connection when there is no receiver any more."""
        self._transport = cast("asyncio.Transport", transport)
        try:
            receiver = self._receivers()
        except BaseException:
            self._transport.abort()
            raise
        if receiver is None:
            self._transport.abort()
            return
        self._receiver = receiver
        _bind(self, receiver)
        self._transport.set_protocol(self)  # makes the loop read the methods that were just bound
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        _tune(transport.get_extra_info("socket"))
        self.remote = self._remote_url(transport.get_extra_info("peername"))
        encryption: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self.certificate = _certificate_of(encryption)
        receiver.link_made(self)

    def eof_received(self) -> None:
        """Close too when the peer has closed: a link is never half open."""
        self._bound_the_close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver, which hears of nothing after that."""
        if self._close_timer is not None:
            self._close_timer.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        if self._aborted and exc is None:
            exc = ConnectionAbortedError(errno.ECONNABORTED, "aborted by this side")
        receiver.link_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Stand in until `connection_made` binds the receiver's; nothing is read before it."""
        return bytearray(1)

    def buffer_updated(self, nbytes: int) -> None:
        """Stand in, as `get_buffer` does."""

    def _bound_the_close(self) -> None:
        if self._close_timer is None and self._receiver is not None:
            loop = asyncio.get_running_loop()
            self._close_timer = loop.call_later(CLOSE_TIMEOUT_S, self.abort)


def _certificate_of(encryption: ssl.SSLObject | None) -> dict[str, object] | None:
    found = encryption.getpeercert() if encryption is not None else None
    return dict(found) if found else None


def _bind(link: SocketLink, receiver: Receiver) -> None:
    for name in ("get_buffer", "buffer_updated", "pause_writing", "resume_writing"):
        setattr(link, name, getattr(receiver, name))


def _tune(connection: Any) -> None:
    """Send small frames at once and keep the kernel's queue short. A socket that takes neither works all the same."""
    if connection is None or connection.family == getattr(socket, "AF_UNIX", None):
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
