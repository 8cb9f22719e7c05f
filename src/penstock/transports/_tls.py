"""Say who is trusted and who one is: `TLS`. This module opens no connection.

::

    TLS.development()                     both sides on one machine: a certificate made on the spot, trusted by pin
    TLS.production(cert, key)             a server that clients know through the system's authorities
    TLS.production(cert, key, ca)         a server that lets in only clients with a certificate of `ca`, and such a client
    TLS.production(ca=ca)                 a client without a certificate that trusts `ca`;  TLS.production(): the system's
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import InvalidArgument
from penstock.transports._certificate import RENEW_BEFORE_S, fresh_certificate

#: What the two sides agree on in the handshake, so that a server of another protocol behind the same port can tell.
ALPN = "penstock/1"


@dataclass(frozen=True, slots=True, repr=False)
class TLS:
    """How a `tls://` connection is encrypted and whom it trusts: make one with `TLS.development` or `TLS.production`.

    The files are read when a server starts and at each dial, so a renewed certificate is used from then on. At least TLS 1.2,
    TLS 1.3 between any two Penstock programs.
    """

    _cert: Path | None = None
    _key: Path | None = None
    _ca: Path | None = None
    _pinned_in: Path | None = None

    @classmethod
    def development(cls, directory: str | os.PathLike[str] | None = None) -> TLS:
        """Use a throw-away certificate, shared by all programs of this user on this machine.

        It is made when it is first needed, lives in `directory` (default: `$XDG_STATE_HOME/penstock`, else
        `~/.local/state/penstock`), readable by the user only, for seven days, and is then made anew. The client trusts exactly
        this certificate and nothing else. Needs the extra `penstock[tls]`. Not for other machines: use `production`.
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

        `cert` is the certificate with its chain, `key` its private key, not encrypted (default: in the file of `cert`). `ca`
        is who to trust (default: the system's authorities); a server that has `ca` lets in only clients whose certificate it
        signed. A server needs `cert`; a client needs it only for servers that ask for one. Raises `InvalidArgument` for a
        path that does not exist.
        """
        if key is not None and cert is None:
            raise InvalidArgument("TLS.production(key=) was given without cert=; a key is of no use without its certificate")
        return cls(_file(cert, "cert"), _file(key, "key"), _file(ca, "ca"))

    def __repr__(self) -> str:
        if self._pinned_in is not None:
            return f"TLS.development({str(self._pinned_in)!r})"
        given = {"cert": self._cert, "key": self._key, "ca": self._ca}
        return f"TLS.production({', '.join(f'{name}={str(path)!r}' for name, path in given.items() if path is not None)})"

    def server_context(self) -> ssl.SSLContext:
        """Return what a server encrypts with. Raises `InvalidArgument` for files that are missing or do not fit."""
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        # Sessions resume on our own layer; without tickets nothing is written after the handshake that a client which
        # leaves at once would answer with a reset.
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
        """Return what a client encrypts with. Raises `InvalidArgument` for files that are missing or do not fit."""
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        if self._pinned_in is not None:
            # The one certificate is trusted and no other, so its names prove nothing more.
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


def _context(kind: int) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    return context


def _load_own(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key, password=lambda: _refuse_password(key or cert))
    except FileNotFoundError:
        raise InvalidArgument(f"{_missing(cert, key)} does not exist any more") from None
    except ssl.SSLError as error:
        where = f"{cert} and {key}" if key else str(cert)
        raise InvalidArgument(f"{where} cannot be used: {error.reason or 'no certificate and key in PEM form'}") from error
    except OSError as error:
        raise InvalidArgument(f"{cert} or its key cannot be read: {error.strerror}") from error


def _load_trusted(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except FileNotFoundError:
        raise InvalidArgument(f"{ca} does not exist any more") from None
    except ssl.SSLError as error:
        raise InvalidArgument(f"{ca} cannot be used: {error.reason or 'no certificate in PEM form'}") from error
    except OSError as error:
        raise InvalidArgument(f"{ca} cannot be read: {error.strerror}") from error


def _refuse_password(key: Path) -> str:
    # Without this OpenSSL would ask on the terminal, and the whole event loop would wait for the answer.
    raise InvalidArgument(f"{key} is encrypted; give a key without a password, readable by its user only")


def _missing(cert: Path, key: Path | None) -> Path:
    return key if key is not None and cert.exists() else cert


def _file(path: str | os.PathLike[str] | None, name: str) -> Path | None:
    if path is None:
        return None
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        raise InvalidArgument(f"TLS.production({name}=): {found} is no file")
    return found


def _state_directory() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path("~/.local/state")) / "penstock"
