"""Carry bytes over a stream socket, plain or TLS: the link that TCP, TLS and Unix sockets share.

The receiver's `get_buffer` and `buffer_updated` are handed to the event loop as they are: no code of this module runs between
the system and the session when bytes arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from penstock._fork import hold, release
from penstock.errors import Cause, Unavailable
from penstock.transports._abc import CLOSE_TIMEOUT_S, WRITE_HIGH_WATER_BYTES, Link, Receiver, Segment
from penstock.transports._tls import refusal_of

#: The unsent bytes that TCP keeps in the kernel (Linux, macOS), and so the bytes that a small frame waits behind there. By
#: default the whole send buffer, up to 4 MiB, can stand in front of it. On loopback the difference in throughput is noise.
UNSENT_BYTES_MAX = 128 * 1024

#: Segments from this size on go to the system uncopied; smaller neighbours are joined first, because a system call for each
#: costs more than the copy (a 64 KiB item and its header: 20 µs of processor time apart, 13 µs joined).
WHOLE_SEGMENT_BYTES = 256 * 1024

#: How many connections may wait for `accept` in the kernel: enough for a thousand clients that come back at once.
BACKLOG = 1024

#: Bytes that are read after a write has failed: more than a kernel keeps for one connection by default, and a bound for a peer
#: that goes on writing meanwhile.
REST_BYTES_MAX = 8 * 1024 * 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketLink(Link, asyncio.BufferedProtocol):
    """A connected stream socket. `receivers` returns its receiver once the connection, with its TLS, is up.

    A `receivers` that returns None refuses the connection. `remote_url` writes the address of the peer as a URL.
    """

    def __init__(self, receivers: Callable[[], Receiver | None], remote_url: Callable[[Any], str]) -> None:
        self._receivers = receivers
        self._remote_url = remote_url
        self._receiver: Receiver | None = None
        self._transport: asyncio.Transport
        self._close_timer: asyncio.TimerHandle | None = None
        self._descriptor = -1
        self.made = False
        self._aborted = False
        self._encrypted = False
        self.remote = "?"

    def __repr__(self) -> str:
        state = "lost" if self._receiver is None else "closing" if self._transport.is_closing() else "up"
        return f"<SocketLink {self.remote} {state}>"

    # ── what the session calls ────────────────────────────────────────────────────────────────────────────────────────

    def write(self, segments: Sequence[Segment]) -> None:
        """Hand the segments to the system: small neighbours in one call, large ones uncopied."""
        transport = self._transport
        if self._receiver is None or transport.is_closing():  # a transport that uvloop has closed by itself does not say so
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
        """Leave arriving bytes in the kernel, which then slows the peer."""
        if self._receiver is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._receiver is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def hand_over(self, receiver: Receiver) -> None:
        """Bind the methods of another receiver."""
        if self._receiver is not None:
            self._receiver = receiver
            _bind_receiver(self, receiver)
            self._transport.set_protocol(self)

    def close(self) -> None:
        """Close once the system has all written bytes, or abort after `CLOSE_TIMEOUT_S`."""
        if self._receiver is not None and not self._transport.is_closing():
            self._transport.close()
            self._bound_the_close()

    def abort(self) -> None:
        """Close at once. Over TCP the peer sees a reset, so that it cannot take this for an orderly end."""
        if self._receiver is None or self._aborted:
            return
        self._aborted = True
        connection = _socket_of(self._transport)
        if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # ── what the event loop calls ─────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the receiver and bind its methods in place of ours; abort a connection that gets no receiver."""
        self._transport = cast("asyncio.Transport", transport)
        try:
            self._begin(self._transport)
        except ConnectionError:  # it was reset before the loop told of it
            self._transport.abort()
        except BaseException:
            self._transport.abort()
            self.give_up()
            raise

    def _begin(self, transport: asyncio.Transport) -> None:
        """Begin the life of the link. What may fail comes first, so that a receiver that is made is told of the link."""
        connection = _socket_of(transport)
        self.remote = self._remote_url(transport.get_extra_info("peername"))
        encryption: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._encrypted = encryption is not None
        self.certificate = _certificate_of(encryption)
        self.user = _user_of(connection)
        tune(connection)
        receiver = self._receivers()
        if receiver is None:
            transport.abort()
            return
        self._receiver = receiver
        if connection is not None:
            self._descriptor = connection.fileno()
            hold(self._descriptor)
        _bind_receiver(self, receiver)
        transport.set_protocol(self)  # makes the loop read the methods that were just bound
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        self.made = True
        receiver.link_made(self)

    def give_up(self) -> None:
        """Abort the link and tell its receiver now, if it has one."""
        if self._receiver is not None:
            self.abort()
            self.connection_lost(None)

    def eof_received(self) -> None:
        """Close too when the peer has closed: a link is never half open."""
        self._bound_the_close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on to the receiver, which is not called after that."""
        release(self._descriptor)
        if self._close_timer is not None:
            self._close_timer.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        if self._aborted and exc is None:
            exc = ConnectionAbortedError(errno.ECONNABORTED, "aborted by this side")
        elif isinstance(exc, (BrokenPipeError, ConnectionResetError)) and not self._encrypted:
            _read_the_rest(self._descriptor, receiver)
        refusal = refusal_of(exc)
        if refusal:  # with TLS 1.3 the handshake of a client is over before the server has looked at its certificate
            exc = Unavailable(refusal, cause=Cause.CERTIFICATE_REFUSED)
        receiver.link_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Stand in until `connection_made` binds the receiver's method; nothing is read before that."""
        return bytearray(1)

    def buffer_updated(self, nbytes: int) -> None:
        """Stand in, as `get_buffer` does."""

    def _bound_the_close(self) -> None:
        if self._close_timer is None and self._receiver is not None:
            loop = asyncio.get_running_loop()
            self._close_timer = loop.call_later(CLOSE_TIMEOUT_S, self.abort)


async def made_by(connecting: Awaitable[object], link: SocketLink) -> SocketLink:
    """Wait until the loop has connected a link, and return the link.

    A loop closes the transport of a connect that is cancelled or fails, but it does not always tell its protocol. So the
    receiver of such a link is told here. Raises `ConnectionResetError` when the connection was gone before it had one.
    """
    try:
        await connecting
    except BaseException:
        link.give_up()
        raise
    if not link.made:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return link


#: The errors of `accept` when descriptors or memory have run out.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ListeningSocket(socket.socket):
    """A listening socket that gives asyncio one connection in each turn, and says once that descriptors have run out.

    asyncio accepts as many connections in one turn as `backlog` says. Each takes half a millisecond until its first frame was
    read, so a thousand of them would hold up all others for half a second.

    When descriptors have run out, asyncio logs the error, and accepts again after a second. But first it tries, logs and arms a
    timer as often as `backlog` says: a backlog of 1,024 would write 3,000 lines a second to the log.
    """

    _said = False
    _accepted = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. The attempt after a connection, or after an error, says only that none is there."""
        if self._accepted:
            self._accepted = False
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            accepted = super().accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._said = not self._said
                if not self._said:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
            raise
        self._said = False
        self._accepted = True
        return accepted


def _socket_of(transport: asyncio.BaseTransport) -> socket.socket | None:
    """Return the socket of a transport; None for one that is closed."""
    try:
        connection: socket.socket | None = transport.get_extra_info("socket")
        return connection if connection is not None and connection.fileno() >= 0 else None
    except (OSError, ValueError):  # uvloop makes the socket only now, from a descriptor that is gone
        return None


def _read_the_rest(descriptor: int, receiver: Receiver) -> None:
    """Hand on what the peer had sent before it left.

    A write to a peer that has left fails at once, and the loop then reads no more. What the peer said before, as the end of a
    channel with its reason, waits in the kernel.
    """
    rest_bytes = REST_BYTES_MAX
    with contextlib.suppress(OSError), socket.fromfd(descriptor, socket.AF_UNSPEC, socket.SOCK_STREAM) as connection:
        while rest_bytes > 0 and (size := connection.recv_into(receiver.get_buffer(-1))):
            receiver.buffer_updated(size)
            rest_bytes -= size


def _user_of(connection: socket.socket | None) -> tuple[int, int, int] | None:
    """Return user, group and process at the other end of a Unix socket; None where the system does not say (Linux does)."""
    if connection is None or connection.family != getattr(socket, "AF_UNIX", None) or not hasattr(socket, "SO_PEERCRED"):
        return None
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid, gid, pid


def _certificate_of(encryption: ssl.SSLObject | None) -> dict[str, object] | None:
    certificate = encryption.getpeercert() if encryption is not None else None
    return dict(certificate) if certificate else None


def _bind_receiver(link: SocketLink, receiver: Receiver) -> None:
    for name in ("get_buffer", "buffer_updated", "pause_writing", "resume_writing"):
        setattr(link, name, getattr(receiver, name))


def tune(connection: Any) -> None:
    """Send small frames at once and keep the kernel's queue short. A socket without these options works all the same."""
    if connection is None or connection.family == getattr(socket, "AF_UNIX", None):
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
