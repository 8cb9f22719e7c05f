"""Whether the other side of a connection is the instance that it names in its `HELLO`: a proof by Diffie-Hellman (rule 13.5).

An instance is the hash of a public number. Only its owner knows the secret behind that number, and can answer a challenge.
A connection is challenged before the first end of a stream is claimed, or the first actor reached, by its instance.

The rule of the project is: no cryptography of its own. This is the one exception, as no construction of `hmac` and `secrets`
gives this guarantee. The asker has nothing secret in common with the owner: an instance stands in every `HELLO` and every ref,
and an actor as a value has no token at all. A key that checks an HMAC would also make one, and a secret whose hash is the
instance is given away by its first use. The proof needs a secret of the owner alone, which everybody can check: a signature,
or this. The standard library has no signatures; `cryptography`, which has them, comes with an extra only. So these are textbook
steps in a published group, over `pow`, `hashlib`, `hmac` and `secrets`; nothing is encrypted by them.

It is against a peer that says another's instance. A peer that hands all bytes on between two others, and says to each that it
is the other one, passes the proof on, too, and reads what follows. Only TLS keeps that out.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from penstock._outcomes import named
from penstock.calls import CallInfo, CallScope, Interceptor, call_unary, untyped_request
from penstock.errors import StatusError, Unavailable
from penstock.protocol import CallKind
from penstock.service import CallOptions
from penstock.session import Session

log = logging.getLogger("penstock.refs")

PROVE: Final = "Penstock/prove"
#: The group of 2,048 bits of RFC 3526: two exponentiations of three milliseconds at either side, once for a connection.
PRIME: Final = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F"
    "14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8"
    "A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C3290"
    "5E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68"
    "FFFFFFFFFFFFFFFF",
    16,
)
GENERATOR: Final = 2
NUMBER_BYTES: Final = 256
SECRET_BITS: Final = 256
INSTANCE_BYTES: Final = 16
#: Seconds that an answer may take: the proof of a busy process takes milliseconds.
ANSWER_S: Final = 10.0


class Identity(NamedTuple):
    """The identity of one event loop: a secret of the process, its public number, and a salt that is the loop's own."""

    secret: int
    public: bytes
    salt: bytes

    @property
    def instance(self) -> bytes:
        """The instance that others know."""
        return instance_of(self.public, self.salt)

    def answer(self, challenge: bytes, role: str, asker: bytes) -> bytes:
        """Answer a challenge, as the side with this `role` of a connection to `asker`. Raises `ValueError` for a bad one."""
        return answer_of(pow(_number(challenge), self.secret, PRIME), challenge, role, asker)


@cache
def _key() -> tuple[int, bytes]:
    secret = secrets.randbits(SECRET_BITS)
    return secret, pow(GENERATOR, secret, PRIME).to_bytes(NUMBER_BYTES, "big")


def new_identity() -> Identity:
    """Make the identity of one event loop."""
    return Identity(*_key(), secrets.token_bytes(INSTANCE_BYTES))


def instance_of(public: bytes, salt: bytes) -> bytes:
    """Return the instance of a public number and a salt."""
    return hashlib.sha256(b"penstock instance" + public + salt).digest()[:INSTANCE_BYTES]


def answer_of(shared: int, challenge: bytes, role: str, asker: bytes) -> bytes:
    """Return the answer for the number that both sides share. It fits one role and one asker."""
    key = hashlib.sha256(shared.to_bytes(NUMBER_BYTES, "big")).digest()
    return hmac.digest(key, role.encode() + b"\0" + asker + challenge, "sha256")


def _number(data: bytes) -> int:
    number = int.from_bytes(data, "big")
    if len(data) != NUMBER_BYTES or not 1 < number < PRIME - 1:
        raise ValueError(f"a number of {NUMBER_BYTES} bytes between 1 and the prime is needed")
    return number


# ── the side that asks ────────────────────────────────────────────────────────────────────────────────────────────────

#: The outcome for each connection: a task while the answer is awaited. A finished task would keep its connection alive.
_PROOFS: Final[WeakKeyDictionary[Session, bool | asyncio.Task[None]]] = WeakKeyDictionary()


def is_proven(scope: CallScope) -> bool | None:
    """Whether the other side has proven its instance; None before it has answered."""
    outcome = _PROOFS.get(scope.session)
    return outcome if isinstance(outcome, bool) else None


def begin_proof(scope: CallScope) -> bool | asyncio.Task[None]:
    """Challenge the other side, once for each connection. Return the outcome, or the task that awaits it."""
    outcome = _PROOFS.get(scope.session)
    if outcome is None:
        outcome = _PROOFS[scope.session] = scope.own(_ask(scope))
    return outcome


async def prove(scope: CallScope) -> None:
    """Wait until the other side has proven its instance. Raises `Unavailable` when it does not. Safe to cancel."""
    outcome = begin_proof(scope)
    if isinstance(outcome, asyncio.Task):
        await asyncio.wait([outcome])
    if not is_proven(scope):
        raise Unavailable(
            f"{scope.remote} is not the process {scope.instance.hex()[:8]} that it says it is; nothing was sent to it",
            started=False,
        )


def guard_for(scope: CallScope, here: bytes) -> Interceptor | None:
    """Return the interceptor for a call that may only reach the owner of the instance; None when no proof is missing.

    here: the instance of this side. A connection that leads back to it needs no proof: nothing is claimed by it.
    """
    return None if scope.instance == here or is_proven(scope) else _proven


@asynccontextmanager
async def _proven(call: CallInfo) -> AsyncIterator[None]:
    scope: Any = call._scope
    await prove(scope)
    yield


async def _ask(scope: CallScope) -> None:
    """Ask the other side for a proof, and keep the outcome. A task that is cancelled proves nothing: its side is closing."""
    session, secret = scope.session, secrets.randbits(SECRET_BITS)
    challenge = pow(GENERATOR, secret, PRIME).to_bytes(NUMBER_BYTES, "big")
    proven, why = False, "its answer does not fit"
    try:
        request = untyped_request(PROVE, CallKind.UNARY, (challenge,), CallOptions(timeout=ANSWER_S))
        proven = check_answer(await call_unary(scope, request), secret, challenge, scope)
    except (StatusError, ValueError, TypeError) as error:
        why = named(error)
    finally:
        _PROOFS[session] = proven
    if not proven and session.lost is None:
        log.warning("%s does not prove that it is the process %s: %.200s", scope.remote, scope.instance.hex()[:8], why)


def check_answer(answer: Any, secret: int, challenge: bytes, scope: CallScope) -> bool:
    """Whether an answer proves the instance of the other side. Raises `ValueError` or `TypeError` for a malformed one."""
    public, salt, proof = (bytes(part) for part in answer)
    shared = pow(_number(public), secret, PRIME)
    role = "server" if scope.session.role == "client" else "client"
    fits = len(salt) == INSTANCE_BYTES and instance_of(public, salt) == scope.instance
    return fits and hmac.compare_digest(proof, answer_of(shared, challenge, role, scope.session.instance))
