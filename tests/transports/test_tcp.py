"""The particulars of TCP: names, ports, failures of the network and of the process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket

import pytest

from penstock import transports
from penstock.errors import Cause, Unavailable
from penstock.transports import _socket, _tcp
from tests.transports.kit import Recorder, linked

has_ipv6 = socket.has_ipv6


def kernel_socket(recorder: Recorder) -> socket.socket:
    return recorder.link._transport.get_extra_info("socket")


async def test_port_0_becomes_the_port_that_was_given() -> None:
    async with linked("tcp://127.0.0.1:0") as pair:
        assert pair.listener.url == f"tcp://127.0.0.1:{kernel_socket(pair.server).getsockname()[1]}"
        assert pair.server.link.remote == f"tcp://127.0.0.1:{kernel_socket(pair.client).getsockname()[1]}"
        assert pair.client.link.remote == pair.listener.url


async def test_ipv6_is_written_in_brackets() -> None:
    try:
        async with linked("tcp://[::1]:0") as pair:
            assert pair.listener.url.startswith("tcp://[::1]:")
            assert pair.client.link.remote == pair.listener.url
    except Unavailable as error:
        pytest.skip(f"no IPv6 here: {error}")


async def test_every_address_of_a_name_listens_at_one_port() -> None:
    async with linked("tcp://localhost:0") as pair:
        port = pair.listener.url.rpartition(":")[2]
        assert {str(bound.sockets[0].getsockname()[1]) for bound in pair.listener._servers} == {port}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_all_addresses_are_those_of_both_families(host) -> None:
    """FAULTS G5: `tcp://[::]:0` was reached over IPv6 only."""
    made: list[Recorder] = []
    listener = await transports.listen("tcp://[::]:0", lambda: made.append(Recorder()) or made[-1])
    assert listener.url.startswith("tcp://[::]:")
    client = Recorder()
    try:
        await transports.dial(listener.url.replace("[::]", host), client)
    except Unavailable as error:
        if host == "[::1]":
            pytest.skip(f"no IPv6 here: {error}")
        raise
    await client.until(lambda: made, "a link at the server")
    await made[0].until(lambda: made[0].made, "link_made")
    assert made[0].link.remote.startswith(f"tcp://{host}:")
    client.link.close()
    await client.until_lost()
    await made[0].until_lost()
    await listener.aclose()


async def test_a_free_port_is_free_at_every_address(monkeypatch) -> None:
    """The port that the system gives for the first address may be taken at the second one."""
    bind, tried = _tcp._bind, []

    def crowded(family, address):
        if family == socket.AF_INET and len(tried) < 3:
            tried.append(address[1])
            raise OSError(errno.EADDRINUSE, "taken")
        return bind(family, address)

    monkeypatch.setattr(_tcp, "_bind", crowded)
    listener = await transports.listen("tcp://[::]:0", Recorder)
    assert len(tried) == 3
    assert int(listener.url.rpartition(":")[2]) not in tried
    await listener.aclose()


async def test_a_named_port_that_is_taken_in_one_family_is_refused() -> None:
    taken = await transports.listen("tcp://0.0.0.0:0", Recorder)
    port = taken.url.rpartition(":")[2]
    with pytest.raises(Unavailable, match="the port is taken"):
        await transports.listen(f"tcp://[::]:{port}", Recorder)
    await taken.aclose()


async def test_small_frames_leave_at_once_and_the_kernel_keeps_little() -> None:
    async with linked("tcp://127.0.0.1:0") as pair:
        for one in (pair.client, pair.server):
            connection = kernel_socket(one)
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                unsent = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
                assert unsent == _socket.UNSENT_BYTES_MAX


async def test_a_name_that_does_not_exist_says_so(monkeypatch) -> None:
    async def not_found(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_tcp.asyncio, "get_running_loop", lambda: _LoopThatFinds(not_found))
    with pytest.raises(
        Unavailable, match=r"host of tcp://no.such.host:1 cannot be found \(Name or service not known\)"
    ) as caught:
        await transports.dial("tcp://no.such.host:1", Recorder())
    assert caught.value.cause is Cause.UNKNOWN_HOST
    with pytest.raises(Unavailable, match="its host cannot be found") as caught:
        await transports.listen("tcp://no.such.host:1", Recorder)
    assert caught.value.cause is Cause.UNKNOWN_HOST


class _LoopThatFinds:
    """A loop whose name resolution is the test's: no test asks a real name server."""

    def __init__(self, resolve) -> None:
        self.getaddrinfo = self.create_connection = resolve


async def test_a_host_that_answers_nothing_times_out_with_advice() -> None:
    # A queue of one that is never emptied: the kernel drops further connection attempts, as a dead host would.
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"tcp://127.0.0.1:{full.getsockname()[1]}"
        with pytest.raises(
            Unavailable, match=r"did not answer within 0.05 s; check the address, and whether a firewall"
        ) as caught:
            await transports.dial(url, Recorder(), timeout_s=0.05)
        assert caught.value.cause is Cause.TIMED_OUT


async def test_a_cancelled_dial_leaves_nothing_open() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(2)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        receiver = Recorder()
        task = asyncio.create_task(transports.dial(f"tcp://127.0.0.1:{full.getsockname()[1]}", receiver))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert receiver.made == 0
        for one in fillers:
            one.close()


async def test_an_address_that_is_not_ours_cannot_be_listened_at() -> None:
    with pytest.raises(Unavailable, match="this machine has no such address") as caught:
        await transports.listen("tcp://192.0.2.1:0", Recorder)
    assert caught.value.cause is Cause.ADDRESS_UNUSABLE


async def test_accept_goes_on_after_file_descriptors_ran_out(monkeypatch) -> None:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("uvloop closes the connection that it has no descriptor for, and goes on")
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.01)
    said: asyncio.Queue[str] = asyncio.Queue()
    loop.set_exception_handler(lambda _, context: said.put_nowait(context["message"]))
    server, client = Recorder(), Recorder()
    listener = await transports.listen("tcp://127.0.0.1:0", lambda: server)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as raw:
        raw.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raw.fileno() + 1, limits[1]))
        try:
            await loop.sock_connect(raw, kernel_address(listener))
            assert "out of system resource" in await said.get()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await server.until(lambda: server.made, "the link that waited")
    await server.until_lost()
    server.lost.clear()
    await transports.dial(listener.url, client)
    client.link.close()
    await client.until_lost()
    await server.until_lost()
    await listener.aclose()


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:9", "tcp://localhost:9", "tcp://nowhere.invalid:9", "unix:///nowhere"])
async def test_a_dial_without_a_descriptor_says_so(url) -> None:
    with contextlib.suppress(OSError):  # so that the resolver has read its files
        socket.getaddrinfo("localhost", 9)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, limits[1]))
        try:
            with pytest.raises(Unavailable, match="Too many open files") as caught:
                await transports.dial(url, Recorder())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.cause is Cause.UNREACHABLE


async def test_exhausted_descriptors_are_said_once_in_each_attempt_to_accept() -> None:
    """FAULTS H10"""
    loop = asyncio.get_running_loop()
    said: list[str] = []
    loop.set_exception_handler(lambda _, context: said.append(context["message"]))
    servers: list[Recorder] = []

    def receiver() -> Recorder:
        servers.append(Recorder())
        return servers[-1]

    listener = await transports.listen("tcp://127.0.0.1:0", receiver)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.socket() for _ in range(3)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (clients[-1].fileno() + 1, limits[1]))
        for client in clients:
            client.connect(kernel_address(listener))
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(said) == isinstance(loop, asyncio.BaseEventLoop)  # uvloop closes what it has no descriptor for
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for client in clients:
            client.close()
        await listener.aclose()
    for server in servers:
        await server.until_lost()


def test_one_connection_is_accepted_in_each_turn() -> None:
    """FAULTS H9: a thousand connections that waited in the kernel held up all others for half a second."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(_socket.ListeningSocket())
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        for _ in range(3):
            sockets.enter_context(socket.create_connection(listening.getsockname()))
        for _ in range(3):
            sockets.enter_context(listening.accept()[0])
            with pytest.raises(BlockingIOError):  # what ends the turn
                listening.accept()
        with pytest.raises(BlockingIOError):  # no connection waits
            listening.accept()


async def test_a_client_that_connects_and_resets_at_once_leaves_nothing() -> None:
    """FAULTS H2"""
    made: list[Recorder] = []
    said = asyncio.Event()

    def receiver() -> Recorder:
        made.append(Recorder())
        made[-1].on_data = said.set
        return made[-1]

    listener = await transports.listen("tcp://127.0.0.1:0", receiver)
    for _ in range(30):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _socket._RESET_ON_CLOSE)
            client.connect(kernel_address(listener))
    client = Recorder()
    await transports.dial(listener.url, client)
    client.link.write([b"here"])
    await said.wait()
    client.link.close()
    await client.until_lost()
    for server in made:
        assert server.made == 1
        await server.until_lost()
    await listener.aclose()


def kernel_address(listener) -> tuple[str, int]:
    host, _, port = listener.url.removeprefix("tcp://").rpartition(":")
    return host, int(port)


async def test_three_hundred_clients_at_once_all_get_in() -> None:
    servers: list[Recorder] = []

    def receiver() -> Recorder:
        servers.append(Recorder(buffer_bytes=16))
        return servers[-1]

    listener = await transports.listen("tcp://127.0.0.1:0", receiver)
    clients = [Recorder(buffer_bytes=16) for _ in range(300)]
    await asyncio.gather(*(transports.dial(listener.url, client) for client in clients))
    for client in clients:
        client.link.write([b"x"])
        client.link.close()
        await client.until_lost()
    for server in servers:
        await server.until_lost()
    assert sum(server.received_bytes for server in servers) == 300
    await listener.aclose()


async def test_a_receiver_whose_link_cannot_be_made_is_told_of_its_loss(monkeypatch) -> None:
    """FAULTS H2"""
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    server = Recorder()
    listener = await transports.listen("tcp://127.0.0.1:0", lambda: server)
    monkeypatch.setattr(server, "link_made", lambda _link: 1 / 0)
    with socket.socket() as client:
        client.connect(kernel_address(listener))
        await server.until_lost()
    assert said
    await listener.aclose()


async def test_a_connection_whose_receiver_cannot_be_made_is_closed() -> None:
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

    def broken() -> Recorder:
        raise RuntimeError("no receiver")

    listener = await transports.listen("tcp://127.0.0.1:0", broken)
    client = Recorder()
    await transports.dial(listener.url, client)
    await client.until_lost()
    assert said
    await listener.aclose()
