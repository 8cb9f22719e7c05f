"""Texts that a peer wrote, made harmless for logs, terminals and error messages."""

from __future__ import annotations

from typing import Final

#: Characters that are kept of a text of a peer: as many as a peer of this version sends of the message of an error.
TEXT_MAX: Final = 4096
#: The longest escape of one character, "\\U000e0001".
_ESCAPED_MAX: Final = 10


def one_line(text: str, characters: int | None = None) -> str:
    """Return a text in one line, with its control characters escaped: it cannot steer a terminal or forge a line of a log.

    characters: the length to which it is cut; None for any length. A text that is harmless already is returned as it is.
    """
    if characters is None:
        characters = len(text) * _ESCAPED_MAX
    if len(text) <= characters and text.isprintable():
        return text
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text[: characters + 1]
    )
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def peer_text(text: str) -> str:
    """Return a text that arrives from a peer, in one line of up to `TEXT_MAX` characters. A text enters at one place, by it."""
    return one_line(text, TEXT_MAX)
