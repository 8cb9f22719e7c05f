"""Make the throw-away certificate of `TLS.development`. It never hands a private key to anything but its file."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
from pathlib import Path
from typing import Any

from penstock._files import check_regular
from penstock.errors import FailedPrecondition, InvalidArgument
from penstock.transports._lock import directory_held_here

#: How long a certificate is valid: short, so that a leaked or forgotten one does not matter for long.
VALID_S = 7 * 24 * 3600.0

#: The least validity left for a server that starts, so that it can run for a day.
RENEW_BEFORE_S = 24 * 3600.0

#: Certificate and key in one file: a reader has a pair that fits, also while another process replaces the file.
FILE_NAME = "development.pem"

#: Clocks of containers on one machine differ; without this margin a fresh certificate could be "not yet valid".
_BACKDATED_S = 3600.0


def fresh_certificate(directory: Path, *, left_s: float) -> Path:
    """Return the PEM file in `directory`, made anew unless the present one is valid for `left_s` seconds more.

    Processes that call this at the same time get the same file. Raises `InvalidArgument` for a directory that cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE_NAME
        check_regular(path)
        with directory_held_here(directory):
            if _seconds_left(path) <= left_s:
                _write(path, _make())
    except OSError as error:
        reason = error.strerror or error
        raise InvalidArgument(f"TLS.development cannot keep its certificate in {directory}: {reason}") from error
    return path


def _seconds_left(path: Path) -> float:
    """Return how long the certificate in `path` is valid; 0 for a file that is missing or cannot be read."""
    x509, *_ = _cryptography()
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return 0.0
    left: dt.timedelta = certificate.not_valid_after_utc - _now()
    return left.total_seconds()


def _make() -> bytes:
    """Make a private key and a certificate that it has signed itself, for this machine's own names, as PEM."""
    x509, hashes, serialization, ec = _cryptography()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "penstock development")])
    local = [x509.DNSName("localhost")] + [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    now = _now()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(seconds=_BACKDATED_S))
        .not_valid_after(now + dt.timedelta(seconds=VALID_S))
        .add_extension(x509.SubjectAlternativeName(local), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    """Write the file in one step, never readable by other users."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _cryptography() -> tuple[Any, Any, Any, Any]:
    # Imported here and nowhere else: it takes a tenth of a second, and only development certificates need it.
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise FailedPrecondition("TLS.development() needs the package cryptography: pip install 'penstock[tls]'") from error
    return x509, hashes, serialization, ec
