"""Signatures: of what is sent to a webhook (Ed25519), and of the tokens that workers send back (HMAC)."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Final

import msgspec

from penstock.errors import FailedPrecondition

#: Seconds for which a token is good: longer than any lease.
TOKEN_S: Final = 3600


class SubscriptionTokens:
    """SubscriptionTokens for one wake each. They end with the program: its workers are woken again."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, subscription: str, generation: int) -> str:
        """Return the token of a wake."""
        payload = msgspec.json.encode((subscription, generation, int(time()) + TOKEN_S))
        return f"{_text(payload)}.{_text(self._sign(payload))}"

    def generation(self, subscription: str, token: str) -> int | None:
        """Return the generation of the wake that a token is of; None for one of another subscription, or none of ours."""
        encoded, _, signature = token.partition(".")
        try:
            payload = _bytes(encoded)
            if not hmac.compare_digest(self._sign(payload), _bytes(signature)):
                return None
            of, generation, until = msgspec.json.decode(payload, type=tuple[str, int, int])
        except ValueError:
            return None
        return generation if of == subscription and until > time() else None

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, payload, "sha256")


class SigningKey:
    """The key that signs what webhooks get. It needs the extra `tls`.

    path: the file of the key, which is made when there is none; None for a key that ends with the program. kid: its id.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            raise FailedPrecondition("webhooks are signed by the package cryptography: pip install 'penstock[tls]'") from None
        raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        if path is not None and path.exists():
            self._key = Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        else:
            self._key = Ed25519PrivateKey.generate()
        if path is not None and not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(self._key.private_bytes_raw())
        self._public = _text(self._key.public_key().public_bytes(*raw))
        thumbprint = msgspec.json.encode({"crv": "Ed25519", "kty": "OKP", "x": self._public})  # RFC 7638
        self.kid = f"ds_{_text(sha256(thumbprint).digest())}"

    def key_set(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key Set."""
        key = {"kty": "OKP", "crv": "Ed25519", "x": self._public, "kid": self.kid, "use": "sig", "alg": "EdDSA"}
        return {"keys": [key]}

    def signature(self, body: bytes) -> str:
        """Return the header ``Webhook-Signature`` of a body."""
        now = int(time())
        return f"t={now},kid={self.kid},ed25519={_text(self._key.sign(b'%d.%b' % (now, body)))}"


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
