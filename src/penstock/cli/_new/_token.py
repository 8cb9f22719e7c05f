"""`penstock token`: a new token, and its line for the file of a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from penstock.auth import Tokens, line_of, new_token
from penstock.cli._run import OK, Unusable
from penstock.errors import InvalidArgument

#: The mode of a file of tokens that is made here: hashes of random tokens are not secret, the names of clients may be.
_FILE_MODE = 0o600


async def make(name: str, roles: Sequence[str], expires: date | None, path: str | None) -> int:
    """Print a new token, and add its line to the file at `path`; without one, print the line to standard error."""
    token = new_token()
    try:
        line = line_of(token, name, roles, expires)
        if path is not None:
            _add(path, line)
    except InvalidArgument as error:
        raise Unusable(error.message) from None
    if path is None:
        print(line, file=sys.stderr)
    print(token)
    return OK


def _add(path: str, line: str) -> None:
    """Add a line to a file of tokens. Raises `InvalidArgument` for a file that cannot be read, which stays as it is."""
    if os.path.lexists(path):
        Tokens.from_file(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE))
    text = Path(path).read_text(encoding="utf-8")
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n" if not text or text.endswith("\n") else f"\n{line}\n")
