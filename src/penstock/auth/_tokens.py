"""`Tokens`: static tokens, kept as hashes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from os import PathLike
from pathlib import Path
from typing import Final

from penstock.auth._principal import Credentials, Principal
from penstock.errors import InvalidArgument

#: The random bytes of a new token. It needs no slow hash: it cannot be guessed, unlike a password.
NEW_TOKEN_BYTES: Final = 32
#: The fewest characters of a token: those of 128 random bits. A shorter one could be guessed from its hash.
TOKEN_CHARACTERS_MIN: Final = 22
_HASH: Final = "sha256:"
_LINE: Final = "NAME sha256:HEX [role=ROLE …] [expires=2027-01-31]"


class Tokens:
    """An authenticator that knows its clients by static tokens.

    ::

        authenticate=auth.Tokens({os.environ["ALICE_TOKEN"]: auth.Principal("alice", roles={"reader"})})
        authenticate=auth.Tokens.from_file("tokens.txt")     # ``penstock token alice --role reader`` writes its lines

    tokens: a principal, or the name of one, for each token.

    Only the SHA-256 of each token is kept, and that of a client is hashed before it is looked up: how long that takes says
    nothing of the tokens that there are.

    Raises `InvalidArgument` for a token of less than 22 characters: it could be guessed.
    """

    def __init__(self, tokens: Mapping[str, Principal | str]) -> None:
        self._path: Path | None = None
        self._changed: tuple[int, int] | None = None
        self._known: dict[str, Principal] = {}
        for token, principal in tokens.items():
            if len(token) < TOKEN_CHARACTERS_MIN:
                raise InvalidArgument(
                    f"a token of {len(token)} characters can be guessed; use one of {TOKEN_CHARACTERS_MIN} or more, such as "
                    "`penstock token NAME` makes"
                )
            self._known[hash_of(token)] = Principal(principal) if isinstance(principal, str) else principal

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Tokens:
        """Read the hashes of a file, again whenever it has changed: a new token works at once, a removed one no more.

        path: lines of ``NAME sha256:HEX role=ROLE … expires=DATE``, as `penstock token` prints them; ``#`` begins a comment. A
            date is UTC, its day included.

        A connection that is open stays so when its token is removed; give tokens an end, or restart the server. Over HTTP, a
        token that is removed works for 10 s at most.
        Raises `InvalidArgument`, naming the line, for a file that cannot be read. A change that cannot be read is refused with
        that error for each client, until it can.
        """
        made = cls({})
        made._path = Path(path).absolute()
        made._read()
        return made

    @classmethod
    def from_environment(cls, variable: str) -> Tokens:
        """Read the lines of an environment variable, in the form of `from_file`; a semicolon ends a line, too.

        Raises `InvalidArgument` when it is not set, or cannot be read.
        """
        text = os.environ.get(variable)
        if text is None:
            raise InvalidArgument(f"the environment variable {variable} is not set; it has lines of {_LINE}")
        made = cls({})
        made._known = _parsed(text.replace(";", "\n").splitlines(), f"${variable}")
        return made

    async def __call__(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a token; None without a token, and for one that is unknown."""
        if not credentials.token:
            return None
        self._read()
        return self._known.get(hash_of(credentials.token))

    def _read(self) -> None:
        """Read the file when it has changed since it was read."""
        if self._path is None:
            return
        try:
            found = self._path.stat()
            changed = found.st_mtime_ns, found.st_size
            if changed != self._changed:
                self._known = _parsed(self._path.read_text(encoding="utf-8").splitlines(), str(self._path))
                self._changed = changed
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"{self._path} cannot be read: {getattr(error, 'strerror', '') or error}") from error

    def __repr__(self) -> str:
        where = "" if self._path is None else f" of {self._path}"
        return f"<{len(self._known)} tokens{where}>"


def new_token() -> str:
    """Return a new token of 32 random bytes, as 43 characters that fit into a header and into a URL."""
    import secrets

    return secrets.token_urlsafe(NEW_TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Return the hash by which a token is kept: "sha256:" and 64 hexadecimal digits."""
    import hashlib

    return _HASH + hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def line_of(token: str, name: str, roles: Iterable[str] = (), expires: date | None = None) -> str:
    """Return the line of a token for the file of `Tokens.from_file`. Raises `InvalidArgument` for a word with spaces."""
    roles = list(roles)
    for word in (name, *roles):
        if not word or any(character.isspace() or character == "#" for character in word):
            raise InvalidArgument(f"{word!r}: a name or a role in a file of tokens has no space and no #")
    end = [] if expires is None else [f"expires={expires.isoformat()}"]
    return " ".join([name, hash_of(token), *(f"role={role}" for role in roles), *end])


def _parsed(lines: Iterable[str], where: str) -> dict[str, Principal]:
    """Return the principal of each hash. Raises `InvalidArgument` for the first line that cannot be read."""
    known: dict[str, Principal] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                digest, principal = _read_line(words)
            except ValueError as error:
                raise InvalidArgument(f"{where}, line {number}: {error}; a line is {_LINE}") from None
            if digest in known:
                raise InvalidArgument(f"{where}, line {number}: its token is on a line before it, too")
            known[digest] = principal
    return known


def _read_line(words: list[str]) -> tuple[str, Principal]:
    """Return hash and principal of one line. Raises `ValueError` with the reason for any other."""
    name, digest, *rest = words if len(words) > 1 else [*words, ""]
    if not digest.startswith(_HASH) or len(digest) != len(hash_of("")) or set(digest[len(_HASH) :]) - set("0123456789abcdef"):
        raise ValueError(f"{digest[:80]!r} is not the hash of a token")
    roles: list[str] = []
    expires_at: float | None = None
    for word in rest:
        key, _equals, value = word.partition("=")
        if key == "role" and value:
            roles.append(value)
        elif key == "expires":
            after = datetime.combine(date.fromisoformat(value) + timedelta(days=1), time(), UTC)
            expires_at = after.timestamp()
        else:
            raise ValueError(f"{word[:80]!r} is not known")
    return digest, Principal(name, roles=roles, expires_at=expires_at)
