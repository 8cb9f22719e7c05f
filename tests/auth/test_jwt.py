"""JSON Web Tokens: of a shared secret, of a key file, of the key set of an issuer."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from penstock.auth import JWT, Credentials, _jwt
from penstock.errors import FailedPrecondition, InvalidArgument, Unauthenticated, Unavailable

SECRET = "a secret of thirty-two bytes ..."
KEYS = {name: ed25519.Ed25519PrivateKey.generate() for name in ("one", "two")}


def signed(key: Any = SECRET, algorithm: str = "HS256", key_id: str | None = None, **claims: Any) -> str:
    claims = {"sub": "alice", "exp": time.time() + 60, **claims}
    headers = None if key_id is None else {"kid": key_id}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm, headers=headers)


def by_secret(**options: Any) -> JWT:
    return JWT(key=SECRET, algorithms=["HS256"], **options)


async def test_a_token_names_its_principal():
    principal = await by_secret()(Credentials(signed(roles=["reader", 7], team="tides")))
    assert (principal.name, principal.roles) == ("alice", {"reader"})
    assert principal.attributes["team"] == "tides"
    assert 80 < principal.remaining_s() < 91  # with the leeway


async def test_claims_of_other_names():
    checks = by_secret(name="email", roles="scope")
    principal = await checks(Credentials(signed(email="a@example", scope="read write")))
    assert (principal.name, principal.roles) == ("a@example", {"read", "write"})


@pytest.mark.parametrize(
    ("options", "claims", "why"),
    [
        ({}, {"exp": time.time() - 3600}, "the token has expired"),
        ({}, {"exp": None}, 'missing the "exp" claim'),
        ({}, {"sub": None}, "no claim 'sub'"),
        ({}, {"sub": ""}, "no claim 'sub'"),
        ({}, {"sub": "a" * 300}, "a text of 1 to 256 characters"),
        ({}, {"key": "another secret of 32 bytes ......"}, "Signature verification failed"),
        ({}, {"nbf": time.time() + 3600}, "not yet valid"),
        ({"audience": "prices"}, {}, 'missing the "aud" claim'),
        ({"audience": "prices"}, {"aud": "orders"}, "Audience doesn't match"),
        ({}, {"aud": "orders"}, "Invalid audience"),
        ({"issuer": "https://a"}, {"iss": "https://b"}, "Invalid issuer"),
    ],
)
async def test_a_token_that_is_not_accepted_says_why(options, claims, why):
    with pytest.raises(Unauthenticated, match=why):
        await by_secret(**options)(Credentials(signed(**claims)))


async def test_a_shared_secret_has_to_be_asked_for_and_none_is_no_algorithm():
    public = KEYS["one"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    checks = JWT(key=public)
    assert str(await checks(Credentials(signed(KEYS["one"], "EdDSA")))) == "alice"
    forged = jwt.encode({"sub": "alice", "exp": time.time() + 60}, None, "none")
    by_hmac = signed(SECRET, "HS256")
    for token in (forged, by_hmac):
        with pytest.raises(Unauthenticated, match="alg value is not allowed"):
            await checks(Credentials(token))


@pytest.mark.parametrize("token", ["", "x" * 40, "a.b", "." * 20_000, "a.b.c.d"])
async def test_another_kind_of_token_is_for_another_authenticator(token):
    assert await by_secret()(Credentials(token)) is None


@pytest.mark.parametrize("token", ["a.b.c", "..", f"{signed()}x", signed().replace(".", "..", 1)[:-5]])
async def test_a_token_that_cannot_be_read(token):
    if token.count(".") == 2:
        with pytest.raises(Unauthenticated, match="the token is not accepted"):
            await by_secret()(Credentials(token))


async def test_a_key_in_a_file(tmp_path):
    path = tmp_path / "issuer.pem"
    key = rsa.generate_private_key(65537, 2048)
    path.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    assert str(await JWT(key=path)(Credentials(signed(key, "RS256")))) == "alice"


def test_one_source_of_keys():
    for wrong in ({}, {"keys_url": "https://a", "key": "b"}):
        with pytest.raises(InvalidArgument, match="takes keys_url=, the address of a JWK set, or key="):
            JWT(**wrong)
    with pytest.raises(InvalidArgument, match="is not an address"):
        JWT(keys_url="file:///etc/passwd")


class Issuer:
    """Counts how often its keys are read."""

    def __init__(self) -> None:
        self.reads = 0
        self.names = ["one"]
        self.down = False

    def document(self, _url: str) -> str:
        self.reads += 1
        if self.down:
            raise OSError("the issuer is down")
        keys = [
            {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEYS[name].public_key())), "kid": name, "alg": "EdDSA"}
            for name in self.names
        ]
        return json.dumps({"keys": keys})


@pytest.fixture
def issuer(monkeypatch) -> Issuer:
    made = Issuer()
    monkeypatch.setattr(_jwt, "_fetched", made.document)
    return made


def by_issuer(key: str, key_id: str | None = None) -> Credentials:
    return Credentials(signed(KEYS[key], "EdDSA", key_id))


async def test_the_keys_of_an_issuer_are_read_once_for_many(issuer):
    checks = JWT(keys_url="https://issuer")
    principals = await asyncio.gather(*(checks(by_issuer("one", "one")) for _ in range(20)), checks(by_issuer("one")))
    assert set(map(str, principals)) == {"alice"}
    assert issuer.reads == 1


async def test_a_new_key_is_found_and_an_invented_one_causes_few_reads(issuer, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(_jwt.time, "monotonic", lambda: now[0])
    checks = JWT(keys_url="https://issuer")
    await checks(by_issuer("one", "one"))
    issuer.names = ["one", "two"]
    for _ in range(50):
        with pytest.raises(Unauthenticated, match="a key that its issuer does not have"):
            await checks(by_issuer("two", "invented"))
    assert issuer.reads == 1
    now[0] += _jwt.UNKNOWN_KEY_S
    assert str(await checks(by_issuer("two", "two"))) == "alice"
    assert issuer.reads == 2
    with pytest.raises(Unauthenticated, match="does not have"):  # two keys, and none is named
        await checks(by_issuer("two"))


async def test_while_the_issuer_is_down_the_keys_that_are_known_hold(issuer, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(_jwt.time, "monotonic", lambda: now[0])
    checks = JWT(keys_url="https://issuer")
    issuer.down = True
    with pytest.raises(Unavailable, match="cannot read the keys"):
        await checks(by_issuer("one", "one"))
    issuer.down = False
    now[0] += _jwt.UNKNOWN_KEY_S
    await checks(by_issuer("one", "one"))
    issuer.down = True
    now[0] += _jwt.KEYS_KEPT_S
    for _ in range(10):
        assert str(await checks(by_issuer("one", "one"))) == "alice"
    assert issuer.reads == 3


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'penstock\[auth\]'"):
        JWT(key=SECRET)
