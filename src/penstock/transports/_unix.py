"""Dial and listen on Unix sockets: `unix:///path.sock`. It never removes the socket file of a live server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from pathlib import Path

from penstock._files import identity
from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.transports._abc import HANDSHAKE_TIMEOUT_S, Link, Listener, Receiver, Transport
from penstock.transports._lock import directory_held
from penstock.transports._socket import SocketLink, made_by
from penstock.transports._tcp import SocketListener
from penstock.transports._url import path_of

#: How often a dial tries again while the server's queue of new connections is full: the kernel does not report room in it.
QUEUE_FULL_RETRY_S = 0.01

#: The longest path that fits into the address structure of every system (macOS: 104 bytes with the final zero).
PATH_BYTES_MAX = 103

#: The mode of the socket files that are made in this context; None leaves it to the umask of the process.
socket_mode: ContextVar[int | None] = ContextVar("penstock_socket_mode", default=None)


class UnixTransport(Transport):
    """Sockets with a path in the file system. Write access to the path is the right to connect."""

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect to the path, waiting for room in the server's queue."""
        path = _usable_path(url, tls)
        loop = asyncio.get_running_loop()
        link = SocketLink(lambda: receiver, lambda _: url)
        connection: socket.socket | None = None
        try:
            connection = _new_socket()
            async with asyncio.timeout(timeout_s):
                await _connect(connection, path)
                return await made_by(loop.create_unix_connection(lambda: link, sock=connection), link)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, OSError):
                cause, message = _unreachable(url, path, error, timeout_s)
                raise Unavailable(message, cause=cause, started=False) from error
            raise

    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Make the socket file. The file of a dead server is replaced; that of a live one raises `Unavailable`."""
        path = _usable_path(url, tls)
        with _explained_listening(url, path):
            made = _new_socket()
            try:
                async with directory_held(Path(path).parent):
                    _remove_if_dead(path, url)
                    _bind(made, path)
            except BaseException:
                made.close()
                raise
        listener = _UnixListener(url, receivers, path)
        await listener.start([made])
        return listener


class _UnixListener(SocketListener):
    def __init__(self, url: str, receivers: Callable[[], Receiver], path: str) -> None:
        super().__init__(url, receivers, lambda _: url)
        # Absolute: the process may change its directory before it closes.
        self._path = Path(path).absolute()
        self._file = identity(path)

    async def aclose(self) -> None:
        """Close, and remove the path unless another server has put its own socket there since."""
        await super().aclose()
        if self._file is not None and identity(self._path) == self._file:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._file = None


async def _connect(connection: socket.socket, path: str) -> None:
    # Not loop.sock_connect: when the queue is full, Linux answers EAGAIN, which asyncio takes for "under way" and then "done".
    while True:
        try:
            connection.connect(path)
            return
        except BlockingIOError:
            await asyncio.sleep(QUEUE_FULL_RETRY_S)


def _bind(made: socket.socket, path: str) -> None:
    made.bind(path)
    mode = socket_mode.get()
    if mode is not None:  # no client can connect before it listens
        Path(path).chmod(mode)


def _new_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The send buffer stays as the system has it (Linux: 208 KiB). 512 KiB gave a tenth more throughput, and would put 300 KiB
    # more in front of a small frame.
    made.setblocking(False)  # noqa: FBT003
    return made


def _remove_if_dead(path: str, url: str) -> None:
    """Remove the socket file of a dead server; `Unavailable` for any other file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        message = f"cannot listen at {url}: {path} exists and is not a socket; remove it or choose another path"
        raise Unavailable(message, cause=Cause.ADDRESS_UNUSABLE)
    # A datagram socket cannot connect to a stream socket: the system answers "wrong type" for a live server and "refused" for
    # a dead one, and a live server does not notice.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        answer = probe.connect_ex(path)
    if answer == errno.ECONNREFUSED:
        Path(path).unlink()
        return
    message = f"cannot listen at {url}: a live server has {path}; stop it or choose another path"
    raise Unavailable(message, cause=Cause.ADDRESS_TAKEN)


def _usable_path(url: str, tls: ssl.SSLContext | None) -> str:
    """Return the path in `url`; `InvalidArgument` when no socket can have it."""
    if not hasattr(socket, "AF_UNIX"):
        raise InvalidArgument(f"{url!r}: this system has no Unix sockets; use tcp://127.0.0.1:port")
    if tls is not None:
        raise InvalidArgument(f"{url} never leaves the machine and takes no tls=; file permissions protect it")
    path = path_of(url)
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise InvalidArgument(f"{url!r}: a socket path has at most {PATH_BYTES_MAX} bytes; choose a shorter one")
    return path


def _unreachable(url: str, path: str, error: OSError, timeout_s: float) -> tuple[Cause, str]:
    """Return the cause of a failed dial and its message."""
    if isinstance(error, TimeoutError):
        message = f"{url} did not answer within {timeout_s:g} s: its queue is full, the server is stuck or overloaded"
        return Cause.TIMED_OUT, message
    if error.errno == errno.ENOENT:
        message = f"nothing listens at {url}: {path} does not exist; start the server or check the path"
        return Cause.NOTHING_LISTENS, message
    if error.errno == errno.ECONNREFUSED:
        message = f"nothing listens at {url}: {path} is not a socket, or a dead server has left it; start the server"
        return Cause.NOTHING_LISTENS, message
    return Cause.UNREACHABLE, f"{url} cannot be reached: {error}"


@contextlib.contextmanager
def _explained_listening(url: str, path: str) -> Iterator[None]:
    """Turn the errors of listening into `Unavailable` with a cause and advice."""
    try:
        yield
    except FileNotFoundError as error:
        message = f"cannot listen at {url}: the directory of {path} does not exist; make it first"
        raise Unavailable(message, cause=Cause.ADDRESS_UNUSABLE) from error
    except OSError as error:
        cause = Cause.ADDRESS_TAKEN if error.errno == errno.EADDRINUSE else Cause.ADDRESS_UNUSABLE
        raise Unavailable(f"cannot listen at {url}: {error.strerror or error}", cause=cause) from error
