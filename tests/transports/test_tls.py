"""The clients that get in over `tls://`, and the advice for all others."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import ssl
import stat
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

import penstock
from penstock import transports
from penstock.errors import Cause, FailedPrecondition, InvalidArgument, Unavailable
from penstock.protocol import Settings
from penstock.transports import TLS, _certificate, _lock
from tests.transports.authority import Authority
from tests.transports.kit import Recorder, directory_locked, linked

URL = "tls://127.0.0.1:0"


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path, "authority")


async def refused(server: TLS, client: TLS) -> str:
    """Dial, which must fail, and return the message of the client's error."""
    listener = await transports.listen(URL, Recorder, tls=server)
    try:
        with pytest.raises(Unavailable) as caught:
            await transports.dial(listener.url, Recorder(), tls=client)
    finally:
        await listener.aclose()
    assert caught.value.started is False
    untrusted = caught.value.cause is Cause.UNTRUSTED_CERTIFICATE
    assert untrusted == ("not trusted" in caught.value.message)
    return caught.value.message


# ── development ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_development_joins_two_sides_that_share_a_directory(tmp_path) -> None:
    async with linked(URL, tls=TLS.development(tmp_path)) as pair:
        pair.client.link.write([b"secret"])
        await pair.server.until_received(6)
        assert pair.client.link.certificate is not None
        assert pair.server.link.certificate is None


async def test_development_refuses_every_other_certificate(tmp_path, authority) -> None:
    told = await refused(TLS.development(tmp_path / "a"), TLS.development(tmp_path / "b"))
    assert "not trusted" in told
    assert "same directory" in told
    told = await refused(TLS.production(*authority.issue("server")), TLS.development(tmp_path / "b"))
    assert "not trusted" in told


async def test_development_works_for_every_name_of_this_machine(tmp_path) -> None:
    async with linked("tls://localhost:0", tls=TLS.development(tmp_path)) as pair:
        assert pair.listener.url.startswith("tls://localhost:")


def test_the_key_is_readable_by_its_user_only(tmp_path) -> None:
    TLS.development(tmp_path / "state").server_context()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / _certificate.FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [_certificate.FILE_NAME]


def test_the_certificate_is_kept_while_it_is_valid(tmp_path) -> None:
    path = _certificate.fresh_certificate(tmp_path, left_s=0)
    first = path.read_bytes()
    assert _certificate.fresh_certificate(tmp_path, left_s=_certificate.VALID_S - 60).read_bytes() == first


def test_a_certificate_near_its_end_is_remade_by_a_server_and_still_used_by_a_client(tmp_path, monkeypatch) -> None:
    path = _certificate.fresh_certificate(tmp_path, left_s=0)
    first = path.read_bytes()
    now = _certificate._now()
    monkeypatch.setattr(_certificate, "_now", lambda: now + dt.timedelta(days=6, hours=1))
    TLS.development(tmp_path).client_context()
    assert path.read_bytes() == first
    TLS.development(tmp_path).server_context()
    assert path.read_bytes() != first


def test_only_a_regular_file_is_replaced_by_a_certificate(tmp_path) -> None:
    """FAULTS H6: a FIFO is neither waited for nor replaced."""
    os.mkfifo(tmp_path / _certificate.FILE_NAME)
    with pytest.raises(InvalidArgument, match=r"cannot keep its certificate in .*: it is a FIFO"):
        TLS.development(tmp_path).server_context()
    assert (tmp_path / _certificate.FILE_NAME).is_fifo()


def test_a_directory_that_another_process_holds_for_ever_is_an_error(tmp_path, monkeypatch) -> None:
    """FAULTS H12."""
    monkeypatch.setattr(_lock.time, "sleep", lambda _: None)
    with (
        directory_locked(tmp_path),
        pytest.raises(InvalidArgument, match=f"another process has locked the directory {tmp_path}"),
    ):
        TLS.development(tmp_path).server_context()
    TLS.development(tmp_path).server_context()


def test_an_expired_certificate_is_remade_by_either_side(tmp_path, monkeypatch) -> None:
    path = _certificate.fresh_certificate(tmp_path, left_s=0)
    first = path.read_bytes()
    now = _certificate._now()
    monkeypatch.setattr(_certificate, "_now", lambda: now + dt.timedelta(days=8))
    TLS.development(tmp_path).client_context()
    assert path.read_bytes() != first


def test_a_damaged_file_is_replaced(tmp_path) -> None:
    path = tmp_path / _certificate.FILE_NAME
    damaged = b"-----BEGIN CERTIFICATE-----\nnot one"
    path.write_bytes(damaged)
    TLS.development(tmp_path).server_context()
    replaced = path.read_bytes()
    assert damaged not in replaced
    assert b"PRIVATE KEY" in replaced
    assert _certificate.fresh_certificate(tmp_path, left_s=0).read_bytes() == replaced  # sound, so it is kept


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(InvalidArgument, match="disk full"):
        TLS.development(tmp_path).server_context()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_processes_that_start_together_get_the_same_certificate(tmp_path) -> None:
    program = (
        "import sys, pathlib; from penstock.transports._certificate import fresh_certificate; sys.stdin.readline();"
        "sys.stdout.buffer.write(fresh_certificate(pathlib.Path(sys.argv[1]), left_s=0).read_bytes())"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for process in started:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    seen = {process.communicate()[0] for process in started}
    assert len(seen) == 1
    assert b"PRIVATE KEY" in seen.pop()


def test_without_cryptography_the_error_names_the_extra(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'penstock\[tls\]'"):
        TLS.development(tmp_path).server_context()


def test_the_default_directory_is_the_users_state(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert repr(TLS.development()) == f"TLS.development('{tmp_path}/penstock')"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert repr(TLS.development()) == f"TLS.development('{tmp_path}/.local/state/penstock')"


# ── production ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_production_joins_a_server_and_a_client_that_trusts_its_authority(authority) -> None:
    server, client = Recorder(), Recorder()
    listener = await transports.listen(URL, lambda: server, tls=TLS.production(*authority.issue("server")))
    await transports.dial(listener.url, client, tls=TLS.production(ca=authority.path))
    client.link.close()
    await client.until_lost()
    await server.until_lost()
    await listener.aclose()


async def test_a_client_that_trusts_another_authority_is_refused_in_words(authority, tmp_path) -> None:
    other = Authority(tmp_path, "other")
    told = await refused(TLS.production(*authority.issue("server")), TLS.production(ca=other.path))
    assert "not trusted" in told
    assert "pass ca=" in told


async def test_the_systems_authorities_are_the_default(authority) -> None:
    assert "not trusted" in await refused(TLS.production(*authority.issue("server")), TLS.production())


async def test_a_certificate_for_another_host_is_refused(authority) -> None:
    told = await refused(TLS.production(*authority.issue("server", host="127.0.0.9")), TLS.production(ca=authority.path))
    assert "IP address mismatch" in told


async def test_an_expired_certificate_is_refused(authority) -> None:
    told = await refused(TLS.production(*authority.issue("server", expired=True)), TLS.production(ca=authority.path))
    assert "expired" in told


async def test_with_a_ca_both_sides_see_each_others_certificate(authority) -> None:
    tls = TLS.production(*authority.issue("both"), authority.path)
    async with linked(URL, tls=tls) as pair:
        for one in (pair.client, pair.server):
            assert one.link.certificate is not None
            assert one.link.certificate["subject"] == ((("commonName", "both"),),)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("none", "takes only clients with a certificate, and this side has none"),
        ("another authority", "not signed by an authority that the other side trusts"),
        ("expired", "has expired"),
    ],
)
async def test_a_server_with_a_ca_lets_in_no_client_without_its_certificate(authority, tmp_path, wrong, words) -> None:
    """FAULTS G6: the refused client heard that the connection was lost, and not why."""
    certificate = {
        "none": lambda: (),
        "another authority": lambda: Authority(tmp_path, "other").issue("client"),
        "expired": lambda: authority.issue("client", expired=True),
    }[wrong]()
    server = TLS.production(*authority.issue("server"), authority.path)
    made: list[Recorder] = []
    listener = await transports.listen(URL, lambda: made.append(Recorder()) or made[-1], tls=server)
    client = Recorder()
    # With TLS 1.3 the client is through before the server has looked, and hears of the refusal afterwards.
    await transports.dial(listener.url, client, tls=TLS.production(*certificate, ca=authority.path))
    error = await client.until_lost()
    assert isinstance(error, Unavailable)
    assert words in error.message
    assert error.cause is Cause.CERTIFICATE_REFUSED
    assert made == []
    await listener.aclose()


@pytest.mark.parametrize("wrong", ["none", "expired"])
async def test_a_client_that_speaks_tls_1_2_is_told_why_it_is_refused_too(authority, monkeypatch, wrong) -> None:
    certificate = authority.issue("client", expired=True) if wrong == "expired" else ()
    client = TLS.production(*certificate, ca=authority.path)
    context = client.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    monkeypatch.setattr(TLS, "client_context", lambda _self: context)
    listener = await transports.listen(URL, Recorder, tls=TLS.production(*authority.issue("server"), authority.path))
    with pytest.raises(Unavailable, match=r"refused this side: .*certificate") as caught:
        await transports.dial(listener.url, Recorder(), tls=client)
    assert caught.value.cause is Cause.CERTIFICATE_REFUSED
    await listener.aclose()


class Desk:
    async def echo(self, n: int) -> int:
        return n


async def test_connect_says_that_the_certificate_of_this_side_was_refused(authority) -> None:
    """FAULTS G6."""
    server_tls = TLS.production(*authority.issue("server"), authority.path)
    async with penstock.serve(Desk(), listen=URL, tls=server_tls) as server:
        with pytest.raises(Unavailable, match="before it said HELLO: it takes only clients with a certificate") as caught:
            async with penstock.connect(server.urls[0], tls=TLS.production(ca=authority.path)):
                pass
        assert caught.value.cause is Cause.CERTIFICATE_REFUSED
        good = TLS.production(*authority.issue("client"), authority.path)
        async with penstock.connect(server.urls[0], tls=good) as peer:
            assert await peer.call("Desk/echo", 1) == 1


async def test_connect_without_tls_at_a_tls_server_says_so_at_once(tmp_path, caplog) -> None:
    """FAULTS G6: a plain client at a TLS port."""
    async with penstock.serve(Desk(), listen=URL, tls=TLS.development(tmp_path)) as server:
        with caplog.at_level("CRITICAL", "penstock"), pytest.raises(Unavailable, match="speaks TLS, and this side does not"):
            async with penstock.connect(server.urls[0].replace("tls:", "tcp:")):
                pass


def test_files_that_do_not_exist_are_named_at_once(authority, tmp_path) -> None:
    cert, key = authority.issue("server")
    missing = tmp_path / "missing.pem"
    for given in ((missing, key), (cert, missing), (cert, key, missing)):
        with pytest.raises(InvalidArgument, match=str(missing)):
            TLS.production(*given)


def test_files_that_vanish_later_are_named_too(authority) -> None:
    cert, key = authority.issue("server")
    tls = TLS.production(cert, key, authority.path)
    key.unlink()
    with pytest.raises(InvalidArgument, match=str(key)):
        tls.server_context()
    trusting = TLS.production(ca=authority.path)
    authority.path.unlink()
    with pytest.raises(InvalidArgument, match=str(authority.path)):
        trusting.client_context()


def test_files_that_do_not_fit_are_named(authority, tmp_path) -> None:
    cert, _ = authority.issue("one")
    _, key = authority.issue("two")
    with pytest.raises(InvalidArgument, match=f"{cert} and {key} cannot be used"):
        TLS.production(cert, key).server_context()
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(InvalidArgument, match=r"nonsense\.pem cannot be used"):
        TLS.production(nonsense).server_context()
    with pytest.raises(InvalidArgument, match=r"nonsense\.pem cannot be used"):
        TLS.production(ca=nonsense).client_context()


def test_an_encrypted_key_is_refused_rather_than_asked_for_on_the_terminal(authority, tmp_path) -> None:
    cert, key = authority.issue("server")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"password")
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(InvalidArgument, match="is encrypted"):
        TLS.production(cert, key).server_context()


def test_certificate_and_key_may_share_a_file(authority) -> None:
    cert, key = authority.issue("server")
    cert.write_bytes(cert.read_bytes() + key.read_bytes())
    TLS.production(cert).server_context()


def test_a_server_needs_a_certificate_and_a_key_is_nothing_without_one(authority) -> None:
    with pytest.raises(InvalidArgument, match="a server needs a certificate"):
        TLS.production(ca=authority.path).server_context()
    with pytest.raises(InvalidArgument, match="without cert="):
        TLS.production(key=authority.path)


def test_contexts_speak_nothing_older_than_tls_1_2(authority, tmp_path) -> None:
    tls = TLS.production(*authority.issue("server"))
    for context in (tls.server_context(), tls.client_context(), TLS.development(tmp_path).client_context()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert tls.client_context().verify_mode == ssl.CERT_REQUIRED
    assert TLS.development(tmp_path).client_context().verify_mode == ssl.CERT_REQUIRED


async def test_two_penstock_programs_agree_on_tls_1_3_and_the_protocol(tmp_path) -> None:
    async with linked(URL, tls=TLS.development(tmp_path)) as pair:
        encryption = pair.client.link._transport.get_extra_info("ssl_object")
        assert encryption.version() == "TLSv1.3"
        assert encryption.selected_alpn_protocol() == "penstock/1"


def test_a_tls_is_a_value(authority) -> None:
    cert, key = authority.issue("server")
    tls = TLS.production(cert, key)
    assert tls == TLS.production(str(cert), str(key))
    assert repr(tls) == f"TLS.production(cert='{cert}', key='{key}')"
    with pytest.raises(FrozenInstanceError):
        tls._ca = cert


# ── the wrong protocol at the port ────────────────────────────────────────────────────────────────────────────────────


async def test_tls_to_a_server_that_answers_in_plain_says_so(tmp_path) -> None:
    async def answer(reader, writer) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable, match="speaks no TLS; dial it as tcp://") as caught:
        await transports.dial(f"tls://127.0.0.1:{port}", Recorder(), tls=TLS.development(tmp_path))
    assert caught.value.cause is Cause.TLS_FAILED
    server.close()


async def test_tls_to_a_plain_server_that_hangs_up_or_is_silent_says_so(tmp_path) -> None:
    plain = Recorder()
    plain.on_data = lambda: plain.link.close()  # noqa: PLW0108 - the link comes later
    listener = await transports.listen("tcp://127.0.0.1:0", lambda: plain)
    url = listener.url.replace("tcp:", "tls:")
    with pytest.raises(Unavailable, match=r"may speak no TLS \(dial tcp://\)") as caught:
        await transports.dial(url, Recorder(), tls=TLS.development(tmp_path))
    assert caught.value.cause is Cause.TLS_FAILED
    await plain.until_lost()
    await listener.aclose()
    silent = Recorder()
    listener = await transports.listen("tcp://127.0.0.1:0", lambda: silent)
    url = listener.url.replace("tcp:", "tls:")
    with pytest.raises(Unavailable, match=r"did not answer within 0.1 s.*dial tcp://") as caught:
        await transports.dial(url, Recorder(), tls=TLS.development(tmp_path), timeout_s=0.1)
    assert caught.value.cause is Cause.TIMED_OUT
    await silent.until_lost()
    await listener.aclose()


async def test_plain_to_a_tls_server_is_told_dropped_and_makes_no_receiver(tmp_path) -> None:
    made: list[Recorder] = []
    listener = await transports.listen(URL, lambda: made.append(Recorder()) or made[-1], tls=TLS.development(tmp_path))
    client = Recorder()
    await transports.dial(listener.url.replace("tls:", "tcp:"), client)
    client.link.write([b"a plain hello, long enough to be refused as a TLS record"])
    await client.until_received(7)
    assert client.received == bytes.fromhex("15 0303 0002 02 46")  # a fatal alert of TLS: protocol_version
    client.link.write([b"x"])
    await client.until_lost()
    assert made == []
    await listener.aclose()


async def test_a_client_that_never_shakes_hands_is_dropped(tmp_path) -> None:
    settings = Settings(handshake_timeout_s=0.05)
    async with penstock.serve(listen=URL, tls=TLS.development(tmp_path), settings=settings) as server:
        client = Recorder()
        async with asyncio.timeout(5):
            await transports.dial(server.urls[0].replace("tls:", "tcp:"), client)
            await client.until_lost()
