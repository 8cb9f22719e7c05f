"""The number of values in an encoded message, and the keys of its maps: both can be misused by a peer. It decodes nothing.

A byte of msgpack can be a value of 72 bytes, and a map whose keys all hash alike takes quadratic time. Both are seen in the
encoded bytes, before anything is made of them. Bytes that are not a message are left to the decoder, which says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

Encoded = bytes | bytearray

#: A map of at most this many entries costs little, whatever its keys are: msgpack writes such a map with a head of one byte.
SMALL_MAP: Final = 15
#: Numbers in a map of more entries can be chosen so that they hash alike; texts and bytes can not, their hash has a secret.
NUMBER_KEYS_MAX: Final = 16_384

_MAP_16, _MAP_32, _ARRAY_16, _ARRAY_32 = 0xDE, 0xDF, 0xDC, 0xDD
#: The bytes of a value by its first byte, without what is in it; 0 where the length follows the first byte.
_STEP: Final = bytes(
    [1] * 0xA0  # numbers up to 127, small maps and arrays
    + list(range(1, 33))  # short texts
    + [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9]  # nil, false, true; bin, ext; floats, numbers
    + [3, 4, 6, 10, 18, 0, 0, 0, 3, 5, 3, 5]  # ext of a fixed size; texts; arrays, maps
    + [1] * 0x20  # numbers from −32
)
#: Where the length follows: the bytes of the length, and what else the head has.
_LENGTHS: Final = {
    0xC4: (1, 1),
    0xC5: (2, 1),
    0xC6: (4, 1),  # bin
    0xC7: (1, 2),
    0xC8: (2, 2),
    0xC9: (4, 2),  # ext
    0xD9: (1, 1),
    0xDA: (2, 1),
    0xDB: (4, 1),  # text
}
#: Values of one size in a row, which a regular expression counts thirty times as fast.
_RUNS: Final = {
    **dict.fromkeys([*range(0xA0), *range(0xC0, 0xC4), *range(0xE0, 0x100)], re.compile(rb"[\x00-\x9f\xc0-\xc3\xe0-\xff]++")),
    **{
        head: re.compile(b"(?:" + re.escape(bytes([head])) + rb"[\s\S]{%d})++" % (_STEP[head] - 1))
        for head in range(0xCA, 0xD4)
    },
}
_TEXTS_IN_JSON: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_SMALL_16, _SMALL_32 = SMALL_MAP.to_bytes(2, "big"), SMALL_MAP.to_bytes(4, "big")
#: What may be the heads of maps, with their numbers of entries: one that begins inside of another is found, too.
_MAP_HEADS: Final = (re.compile(rb"\xde(?=([\s\S]{2}))"), re.compile(rb"\xdf(?=([\x00-\x3f][\s\S]{3}))"))

#: What a key can be, each kind with those before it: texts, bytes, nil and booleans; numbers and moments; anything.
_TEXT, _NUMBER, _ANY = range(3)
#: The kind of a key by its first byte.
_KEY: Final = bytes(
    [_NUMBER] * 0x80
    + [_ANY] * 0x20
    + [_TEXT] * 0x20
    + [_TEXT, _ANY, *[_TEXT] * 5, *[_ANY] * 3, *[_NUMBER] * 10]
    + [_ANY, _ANY, _NUMBER, _NUMBER, _ANY, _TEXT, _TEXT, _TEXT, *[_ANY] * 4]
    + [_NUMBER] * 0x20
)
_CHILDREN: Final = bytes([0] * 0x80 + [2 * count for count in range(16)] + list(range(16)) + [0] * 0x60)


def is_over(payload: Encoded, limit: int, *, json: bool) -> bool:
    """Whether a message, encoded in JSON or else in msgpack, has more than `limit` values; keys of maps are values, too.

    A message of at most `limit` bytes never has. Else it takes about a tenth of a microsecond for each value up to the limit.
    """
    if len(payload) <= limit:
        return False
    return _is_over_json(payload, limit) if json else _is_over_msgpack(payload, limit)


def _is_over_msgpack(payload: Encoded, limit: int) -> bool:
    at, count, size, last = 0, 0, len(payload), -1
    while at < size:
        head = payload[at]
        step = _STEP[head] or _long(payload, at, head)
        if head == last and head in _RUNS:
            run = _RUNS[head].match(payload, at)
            end = run.end() if run is not None else size
            count += (end - at) // step
            at, last = end, -1
        else:
            at += step
            count += 1
            last = head
        if count > limit:
            return True
    return False


def _is_over_json(payload: Encoded, limit: int) -> bool:
    if _marks(payload) <= limit:
        return False
    return _marks(_TEXTS_IN_JSON.sub(b"", payload)) > limit  # a comma in a text does not part two values


def _marks(payload: Encoded) -> int:
    return 1 + sum(map(payload.count, (b",", b":", b"[", b"{")))


def own_size(payload: Encoded | memoryview, at: int) -> int:
    """Return the bytes of the value that begins at `at`; of an array or a map, those before its parts."""
    head = payload[at]
    return _STEP[head] or _long(payload, at, head)


def _long(payload: Encoded | memoryview, at: int, head: int) -> int:
    """Return the size of a value whose length follows its first byte; past the end for bytes that are not a message."""
    width, rest = _LENGTHS.get(head, (0, len(payload)))
    return rest + width + int.from_bytes(payload[at + 1 : at + 1 + width], "big")


def large_maps(payload: Encoded, longest: int) -> int:
    """Return how many maps may be in a message that are not small: never too few, and often too many for binary data.

    longest: the size of the largest item in it. A map is not larger.
    """
    found = 0
    for heads, low in zip(_MAP_HEADS, (_SMALL_16, _SMALL_32), strict=True):
        high = min(longest // 2, 256 ** len(low) - 1).to_bytes(len(low), "big")
        found += len([entries for entries in heads.findall(payload) if low < entries <= high])
    return found


def large_items(payload: Encoded, sizes: Iterable[int], at: int) -> int:
    """Return the number of items that are large maps themselves. The first item begins at `at`."""
    found = 0
    for size in sizes:
        head = payload[at]
        if head == _MAP_16:
            found += payload[at + 1 : at + 3] > _SMALL_16
        elif head == _MAP_32:
            found += payload[at + 1 : at + 5] > _SMALL_32
        at += size
    return found


def bad_key(payload: Encoded) -> str | None:
    """Describe keys of maps in a message that a peer can choose to hash alike; None without such keys.

    In a map of more than `SMALL_MAP` entries a key is a text, bytes, a number, a moment, a boolean or nil; in one of more than
    `NUMBER_KEYS_MAX` numbers and moments are not allowed either.
    """
    at, size = 0, len(payload)
    left, worst = size, _ANY  # values that are still to come in what is being read, and what its keys may be
    outer: list[tuple[int, int]] = []
    while at < size:
        head = payload[at]
        if worst < _ANY and not left & 1 and _KEY[head] > worst:
            kind = "numbers" if _KEY[head] == _NUMBER else "neither texts nor numbers"
            return f"a map of more than {SMALL_MAP if worst else NUMBER_KEYS_MAX} entries has keys that are {kind}"
        left -= 1
        children, allowed = _inside(payload, at, head)
        at += _STEP[head] or _long(payload, at, head)
        if children and (worst < _ANY or allowed < _ANY):
            outer.append((left, worst))
            left, worst = children, allowed
        else:
            left += children
        while not left and outer:
            left, worst = outer.pop()
    return None


def _inside(payload: Encoded, at: int, head: int) -> tuple[int, int]:
    """Return the number of values in the one that begins here, and the kind of keys that it may have."""
    if head < _ARRAY_16 or head > _MAP_32:
        return _CHILDREN[head], _ANY
    count = int.from_bytes(payload[at + 1 : at + _STEP[head]], "big")
    if head < _MAP_16:
        return count, _ANY
    return 2 * count, _ANY if count <= SMALL_MAP else _NUMBER if count <= NUMBER_KEYS_MAX else _TEXT
