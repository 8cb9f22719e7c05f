"""URLs are read strictly, and refused with a correction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import AlreadyExists, InvalidArgument
from penstock.transports import TLS, dial, listen, register, unregister
from penstock.transports._memory import MemoryTransport
from penstock.transports._url import host_and_port, name_of, path_of, scheme_of, url_of
from tests.transports.kit import Recorder

KNOWN = ("memory", "tcp", "tls", "unix", "ws", "wss")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tcp://127.0.0.1:7700", ("127.0.0.1", 7700)),
        ("tcp://localhost:0", ("localhost", 0)),
        ("tls://[::1]:443", ("::1", 443)),
        ("tcp://[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("tcp://example.org:65535/", ("example.org", 65535)),
    ],
)
def test_host_and_port_are_read(url, expected) -> None:
    assert host_and_port(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("tcp://127.0.0.1", "has no port; write tcp://127.0.0.1:7700"),
        ("tcp://127.0.0.1:", "has no port; write tcp://127.0.0.1:7700"),
        ("tcp://:7700", "names no host"),
        ("tcp://", "names no host"),
        ("tcp://127.0.0.1:65536", "range"),
        ("tcp://127.0.0.1:http", "cannot be read"),
        ("tcp://127.0.0.1:-1", "cannot be read"),
        ("tcp://[::1:7700", "cannot be read"),
        ("tcp://127.0.0.1:7700/path", "has a path"),
        ("tcp://127.0.0.1:7700?x=1", "has a query"),
        ("tcp://127.0.0.1:7700#x", "has a fragment"),
        ("tcp://me@127.0.0.1:7700", "has a user"),
        ("tcp://127.0.0.1:77\n00", "control character"),
        ("tcp://127.0.0.1 :7700", "space"),
        ("tcp://" + "a" * 3000 + ":1", "longer than 2048"),
    ],
)
def test_a_host_and_port_that_cannot_be_read_are_refused(url, message) -> None:
    with pytest.raises(InvalidArgument, match=message.replace("?", r"\?")):
        host_and_port(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1", "unknown scheme 'http'.*known schemes: memory://name, tcp://127.0.0.1:7700, tls://"),
        ("tpc://127.0.0.1:1", "did you mean tcp://"),
        ("memroy://x", "did you mean memory://"),
        ("127.0.0.1:7700", "is not a URL.*tcp://127.0.0.1:7700"),
        ("", "is not a URL"),
        ("tcp:/127.0.0.1:7700", "is not a URL"),
        ("tcp\x00://x", "control character"),
        ("tcp://\x1b[31m", "control character"),
    ],
)
def test_an_unknown_scheme_is_refused_with_those_that_are_known(url, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        scheme_of(url, KNOWN)


def test_a_scheme_is_read_in_any_case() -> None:
    assert scheme_of("TCP://127.0.0.1:1", KNOWN) == "tcp"


def test_the_offending_url_is_quoted_so_that_it_cannot_write_to_a_terminal_or_log() -> None:
    with pytest.raises(InvalidArgument) as caught:
        scheme_of("tcp://a\r\nforged log line\x1b[2J", KNOWN)
    assert str(caught.value).isprintable()


def test_a_path_is_read_with_its_percent_escapes() -> None:
    assert path_of("unix:///run/a%20b.sock") == "/run/a b.sock"
    assert path_of("unix://relative.sock") == "relative.sock"


@pytest.mark.parametrize("url", ["unix://", "unix:///tmp/", "unix:///tmp/a%00b", "unix:///tmp/a%0ab"])
def test_a_path_that_names_no_file_is_refused(url) -> None:
    with pytest.raises(InvalidArgument):
        path_of(url)


def test_a_name_follows_the_scheme() -> None:
    assert name_of("memory://a/b") == "a/b"
    with pytest.raises(InvalidArgument, match="has no name; write memory://some-name"):
        name_of("memory://")


@given(st.ip_addresses(), st.integers(0, 65535))
def test_a_written_address_reads_back(address, port) -> None:
    assert host_and_port(url_of("tcp", (str(address), port))) == (str(address), port)


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text) -> None:
    for read in (host_and_port, name_of, path_of, lambda url: scheme_of(url, KNOWN)):
        try:
            read(text)
        except InvalidArgument as error:
            assert error.message  # noqa: PT017 - either outcome is right


async def test_tls_needs_certificates() -> None:
    with pytest.raises(InvalidArgument, match=r"needs tls=: penstock\.TLS\.development\(\)"):
        await dial("tls://127.0.0.1:1", Recorder())
    with pytest.raises(InvalidArgument, match="needs tls="):
        await listen("tls://127.0.0.1:0", Recorder)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "memory://x", "unix:///tmp/x"])
async def test_tls_is_never_silently_left_out(url) -> None:
    with pytest.raises(InvalidArgument, match=r"is not encrypted; use tls://"):
        await dial(url, Recorder(), tls=TLS.production())
    with pytest.raises(InvalidArgument, match=r"is not encrypted"):
        await listen(url, Recorder, tls=TLS.production())


async def test_a_scheme_can_be_added_once_and_taken_away() -> None:
    register("extra", MemoryTransport())
    try:
        listener = await listen("extra://here", Recorder)
        await listener.aclose()
        with pytest.raises(AlreadyExists, match="extra://"):
            register("extra", MemoryTransport())
    finally:
        unregister("extra")
        unregister("extra")
    with pytest.raises(InvalidArgument, match="unknown scheme"):
        await listen("extra://here", Recorder)


async def test_port_0_is_for_servers() -> None:
    with pytest.raises(InvalidArgument, match="only a server"):
        await dial("tcp://127.0.0.1:0", Recorder())
