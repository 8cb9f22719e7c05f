"""A board of 64-bit numbers that two processes see at once: a mapped file. It is the way around every buffer we measure."""

from __future__ import annotations

import mmap
from pathlib import Path

_SLOT_BYTES = 8


class Board:
    """`slots` numbers in a file: whoever maps it reads what was last written, without a message.

    `fresh` makes the file anew, all zero; else it must be there.
    """

    def __init__(self, path: str, slots: int, *, fresh: bool = False) -> None:
        file = Path(path)
        if fresh:
            file.unlink(missing_ok=True)
            file.write_bytes(bytes(slots * _SLOT_BYTES))
        with file.open("r+b") as handle:
            self._memory = mmap.mmap(handle.fileno(), slots * _SLOT_BYTES)
        self._numbers = memoryview(self._memory).cast("q")

    def __getitem__(self, slot: int) -> int:
        return self._numbers[slot]

    def __setitem__(self, slot: int, number: int) -> None:
        self._numbers[slot] = number
