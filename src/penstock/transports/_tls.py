"""The certificates of a `tls://` connection, and the authorities it trusts: `TLS`.

::

    TLS.development()                     both sides on one machine: a certificate made on the spot, trusted by pin
    TLS.production(cert, key)             a server whose certificate an authority of the clients' systems has signed
    TLS.production(cert, key, ca)         a server that lets in only clients with a certificate of `ca`, and such a client
    TLS.production(ca=ca)                 a client without a certificate that trusts `ca`
    TLS.production()                      a client without a certificate that trusts the system's authorities
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from penstock.errors import InvalidArgument
from penstock.transports._certificate import RENEW_BEFORE_S, fresh_certificate

C = TypeVar("C", bound=ssl.SSLContext)

#: The protocol that both sides name in the handshake, so that a server of several protocols can tell them apart.
ALPN = "penstock/1"


class _TellingObject(ssl.SSLObject):
    """The server's side of a handshake. It sends its alert when it refuses the client, which then knows why.

    The event loops write nothing after a failed handshake: the client would only see the end of the connection. So the failure
    first looks like a wait for the client, while its alert is written, and is raised when the client has answered or left.

    outgoing: the bytes that the event loop writes next.
    """

    outgoing: ssl.MemoryBIO
    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises the error of a refused client one step late."""
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._refusal = error.with_traceback(None)
            if not self.outgoing.pending:  # OpenSSL has no alert for bytes that are not TLS
                self.outgoing.write(_NO_TLS_ALERT)
            raise ssl.SSLWantReadError from None


class _TellingContext(ssl.SSLContext):
    """The context of a server whose handshakes are `_TellingObject`s."""

    sslobject_class = _TellingObject

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begin the handshake of one client. `args` and `kwargs` are those of `ssl.SSLContext.wrap_bio`."""
        made = cast("_TellingObject", super().wrap_bio(incoming, outgoing, *args, **kwargs))
        made.outgoing = outgoing
        return made


#: A fatal alert of TLS 1.2, "protocol_version": a client without TLS knows by its first bytes what it has dialled.
_NO_TLS_ALERT: Final = bytes.fromhex("15 0303 0002 02 46")


#: What the alerts of a server say about the certificate of a client, by the names that OpenSSL gives them.
_REFUSALS: Final = {
    "CERTIFICATE_REQUIRED": "it takes only clients with a certificate, and this side has none; use TLS.production(cert, key)",
    "CERTIFICATE_EXPIRED": "the certificate of this side has expired, or the clocks differ",
    "CERTIFICATE_REVOKED": "the certificate of this side was revoked",
    "UNKNOWN_CA": "the certificate of this side is not signed by an authority that the other side trusts (its `ca`)",
    "BAD_CERTIFICATE": "the certificate of this side is not accepted by the other side",
    "UNSUPPORTED_CERTIFICATE": "the certificate of this side is one that the other side does not take",
    "CERTIFICATE_UNKNOWN": "the certificate of this side is not accepted by the other side",
    # TLS 1.2 has no alert of its own for a missing certificate
    "HANDSHAKE_FAILURE": "it wants a certificate of this side (TLS.production(cert, key)), or the two agree on no cipher",
}


def refusal_of(error: Exception | None) -> str:
    """Return why the other side refused this one in the TLS handshake, in words; empty when `error` does not say that."""
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    return next((words for name, words in _REFUSALS.items() if reason.endswith(f"_ALERT_{name}")), "")


@dataclass(frozen=True, slots=True, repr=False)
class TLS:
    """The certificate of one side of a `tls://` connection, and the authorities that it trusts.

    Make one with `TLS.development` or `TLS.production`, and pass it as `tls=` to `serve` and `connect`. The files are read when
    a server starts and at each dial: a client uses a renewed certificate with its next dial, a server after a restart.
    Connections use TLS 1.2 or newer; two Penstock programs agree on TLS 1.3.
    """

    _cert: Path | None = None
    _key: Path | None = None
    _ca: Path | None = None
    _pinned_in: Path | None = None

    @classmethod
    def development(cls, directory: str | os.PathLike[str] | None = None) -> TLS:
        """Use a throw-away certificate, shared by all programs of this user on this machine.

        It is made at the first use, in `directory` (default: `$XDG_STATE_HOME/penstock`, else `~/.local/state/penstock`), with
        access for this user only. It is valid for seven days and then made anew. A client trusts exactly this certificate. For
        other machines use `production`.

        Starting a server or dialling raises `FailedPrecondition` without the extra `penstock[tls]`, and `InvalidArgument` for a
        directory that cannot be written. This method itself touches no file.
        """
        chosen = Path(directory) if directory is not None else _state_directory()
        return cls(_pinned_in=chosen.expanduser().absolute())

    @classmethod
    def production(
        cls,
        cert: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        ca: str | os.PathLike[str] | None = None,
    ) -> TLS:
        """Use your own PEM files.

        cert: the certificate with its chain. A server needs it; a client needs it only for servers that ask for one.
        key: its private key, not encrypted (default: in the file of `cert`).
        ca: the certificates of the trusted authorities (default: the system's). A server with `ca` lets in only clients with a
        certificate that one of them has signed.

        Raises `InvalidArgument` for a path that does not exist, and for `key` without `cert`. The content of the files is
        checked when a server starts and at each dial.
        """
        if key is not None and cert is None:
            raise InvalidArgument("TLS.production(key=) was called without cert=; a key needs its certificate")
        return cls(_file(cert, "cert"), _file(key, "key"), _file(ca, "ca"))

    def __repr__(self) -> str:
        if self._pinned_in is not None:
            return f"TLS.development({str(self._pinned_in)!r})"
        files = {"cert": self._cert, "key": self._key, "ca": self._ca}
        return f"TLS.production({', '.join(f'{name}={str(path)!r}' for name, path in files.items() if path is not None)})"

    def server_context(self) -> ssl.SSLContext:
        """Return the SSL context of a server. Raises `InvalidArgument` for files that are missing or do not fit."""
        context = _set_up(_TellingContext(ssl.PROTOCOL_TLS_SERVER))
        # Without session tickets the server writes nothing after the handshake. A client that leaves at once would answer a
        # ticket with a reset.
        context.num_tickets = 0
        if self._pinned_in is not None:
            _load_own(context, fresh_certificate(self._pinned_in, left_s=RENEW_BEFORE_S), None)
            return context
        if self._cert is None:
            raise InvalidArgument("a server needs a certificate: TLS.production(cert, key), or TLS.development()")
        _load_own(context, self._cert, self._key)
        if self._ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            _load_trusted(context, self._ca)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return the SSL context of a client. Raises `InvalidArgument` for files that are missing or do not fit."""
        context = _set_up(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        if self._pinned_in is not None:
            # Only this one certificate is trusted, so its names add no proof.
            context.check_hostname = False
            _load_trusted(context, fresh_certificate(self._pinned_in, left_s=0.0))
            return context
        if self._cert is not None:
            _load_own(context, self._cert, self._key)
        if self._ca is not None:
            _load_trusted(context, self._ca)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context


def _set_up(context: C) -> C:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    return context


def _load_own(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Load this side's certificate and key; `InvalidArgument` names the file that is wrong."""
    try:
        context.load_cert_chain(cert, key, password=lambda: _refuse_password(key or cert))
    except FileNotFoundError:
        raise InvalidArgument(f"{_missing(cert, key)} does not exist any more") from None
    except ssl.SSLError as error:
        where = f"{cert} and {key}" if key else str(cert)
        raise InvalidArgument(
            f"{where} cannot be used: {error.reason or 'it has no certificate and key in PEM form'}"
        ) from error
    except OSError as error:
        raise InvalidArgument(f"{cert} or its key cannot be read: {error.strerror}") from error


def _load_trusted(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except FileNotFoundError:
        raise InvalidArgument(f"{ca} does not exist any more") from None
    except ssl.SSLError as error:
        raise InvalidArgument(f"{ca} cannot be used: {error.reason or 'it has no certificate in PEM form'}") from error
    except OSError as error:
        raise InvalidArgument(f"{ca} cannot be read: {error.strerror}") from error


def _refuse_password(key: Path) -> str:
    # Otherwise OpenSSL would ask on the terminal, and the event loop would wait for the answer.
    raise InvalidArgument(f"{key} is encrypted; give a key without a password, readable by its user only")


def _missing(cert: Path, key: Path | None) -> Path:
    return key if key is not None and cert.exists() else cert


def _file(path: str | os.PathLike[str] | None, name: str) -> Path | None:
    if path is None:
        return None
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise InvalidArgument(f"TLS.production({name}=): {file} is not a file")
    return file


def _state_directory() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path("~/.local/state")) / "penstock"
