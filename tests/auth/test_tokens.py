"""Static tokens: in a program, in a file, in the environment."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from penstock.auth import Credentials, Principal, Tokens, Trust, hash_of, line_of, new_token
from penstock.errors import InvalidArgument, Unauthenticated
from tests.auth.kit import ALICE, BOB, STRANGER


async def known(tokens: Tokens, token: str) -> Principal | None:
    return await tokens(Credentials(token))


async def test_a_token_stands_for_its_principal():
    tokens = Tokens({ALICE: Principal("alice", roles=["reader"]), BOB: "bob"})
    alice = await known(tokens, ALICE)
    assert alice is not None
    assert (alice.name, alice.roles) == ("alice", {"reader"})
    assert str(await known(tokens, BOB)) == "bob"
    assert await known(tokens, STRANGER) is None
    assert await known(tokens, "") is None


async def test_tokens_are_kept_as_hashes():
    tokens = Tokens({ALICE: "alice"})
    assert ALICE not in repr(vars(tokens)) + repr(tokens)
    assert ALICE not in repr(Credentials(ALICE))


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(InvalidArgument, match="a token of 6 characters can be guessed"):
        Tokens({"secret": "alice"})


@pytest.mark.parametrize("name", ["", "a" * 257, "alice\nERROR all is lost", "alice\x1b[2J", "\u202eecila", 7, None])
def test_a_principal_has_a_name(name):
    with pytest.raises(InvalidArgument, match="a text of 1 to 256 characters"):
        Principal(name)


@pytest.mark.parametrize("end", [float("nan"), float("inf"), "2027-01-31", dt.datetime(2027, 1, 31, tzinfo=dt.UTC)])
def test_a_proof_ends_at_a_time_that_there_is(end):
    with pytest.raises(InvalidArgument, match="the end of a proof is a number of seconds since 1970"):
        Principal("alice", expires_at=end)


def test_principals_of_one_name_are_one():
    assert Principal("a", roles={"x"}) == Principal("a")
    assert len({Principal("a"), Principal("a", roles="x"), Principal("b")}) == 2
    assert Principal("a", roles="admin").roles == {"admin"}
    assert Principal("a") != "a"


async def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    token = new_token()
    path = tmp_path / "tokens.txt"
    path.write_text(f"# clients\n\n{line_of(token, 'alice', ['reader', 'writer'])}  # of the tides\n")
    tokens = Tokens.from_file(path)
    assert (await known(tokens, token)).roles == {"reader", "writer"}
    other = new_token()
    path.write_text(line_of(other, "carl"))
    assert await known(tokens, token) is None
    assert str(await known(tokens, other)) == "carl"
    path.write_text("carl")
    with pytest.raises(InvalidArgument, match=r"line 1: '' is not the hash of a token"):
        await known(tokens, other)
    path.unlink()
    with pytest.raises(InvalidArgument, match="No such file"):
        await known(tokens, other)


async def test_a_token_with_an_end(tmp_path):
    path = tmp_path / "tokens.txt"
    today = dt.datetime.now(dt.UTC).date()
    path.write_text(line_of(ALICE, "alice", expires=today) + "\n" + line_of(BOB, "bob", expires=today - dt.timedelta(days=1)))
    tokens = Tokens.from_file(path)
    left_s = (await Trust(tokens).prove(Credentials(ALICE))).remaining_s()
    assert 0 < left_s <= 86_400
    with pytest.raises(Unauthenticated, match="the credentials of 'bob' have expired"):
        await Trust(tokens).prove(Credentials(BOB))


HASH = hash_of(ALICE)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice", "'' is not the hash"),
        ("alice sha256:12", "'sha256:12' is not the hash"),
        (f"alice {HASH[:-1]}g", "is not the hash"),
        (f"alice {HASH} admin", "'admin' is not known"),
        (f"alice {HASH} role=", "'role=' is not known"),
        (f"alice {HASH} expires=soon", "Invalid isoformat string: 'soon'"),
        (f"alice {HASH}\nbob {HASH}", "line 2: its token is on a line before it, too"),
        (f"{'a' * 300} {HASH}", "a text of 1 to 256 characters"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, line, why):
    path = tmp_path / "tokens.txt"
    path.write_text(line)
    with pytest.raises(InvalidArgument, match=why):
        Tokens.from_file(path)


@pytest.mark.parametrize("words", [("a b",), ("",), ("a", ["x#y"])])
def test_a_line_has_words_without_spaces(words):
    with pytest.raises(InvalidArgument, match="has no space and no #"):
        line_of(ALICE, *words)


async def test_tokens_of_the_environment(monkeypatch):
    monkeypatch.setitem(os.environ, "TOKENS", f"{line_of(ALICE, 'alice')};{line_of(BOB, 'bob')}")
    tokens = Tokens.from_environment("TOKENS")
    assert str(await known(tokens, BOB)) == "bob"
    monkeypatch.delitem(os.environ, "TOKENS")
    with pytest.raises(InvalidArgument, match="the environment variable TOKENS is not set"):
        Tokens.from_environment("TOKENS")


def test_new_tokens_differ():
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) == 43
