"""The number of values in an encoded message, and the keys of its maps: both can be misused by a peer. It decodes nothing.

A byte of msgpack can be a value of 72 bytes, and a map whose keys all hash alike takes quadratic time. Both are seen in the
encoded bytes, before anything is made of them. Bytes that are not a message are left to the decoder, which says why.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Final

Encoded = bytes | bytearray

#: A map of at most this many entries costs little, whatever its keys are: msgpack writes such a map with a head of one byte.
SMALL_MAP: Final = 15
#: Numbers in a map of more entries can be chosen so that they hash alike; texts and bytes can not, their hash has a secret.
NUMBER_KEYS_MAX: Final = 16_384
#: A value that takes longer counts as so many: an extension other than a moment, which is made by a call of Python, and a text
#: or a binary value whose length is written in more bytes than it needs, which no encoder does.
SLOW_VALUES: Final = 4
#: Values that are gone past together, or else one by one, before a row of equal ones is looked for.
_VALUES_PER_LOOK: Final = 64
#: Characters of JSON that are looked at before they are counted.
_CHARACTERS_PER_LOOK: Final = 64 * 1024

_MAP_16, _MAP_32, _ARRAY_16, _ARRAY_32 = 0xDE, 0xDF, 0xDC, 0xDD
#: The bytes of a value by its first byte, without what is in it; 0 where `_long` says it.
_STEP: Final = bytes(
    [1] * 0xA0  # numbers up to 127, small maps and arrays
    + list(range(1, 33))  # short texts
    + [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9]  # nil, false, true; bin, ext; floats, numbers
    + [0] * 8  # ext of a fixed size; texts
    + [3, 5, 3, 5]  # arrays, maps
    + [1] * 0x20  # numbers from −32
)
#: … and the bytes that have no parts: 0 also for arrays and maps whose count follows.
_FLAT_STEP: Final = _STEP[:_ARRAY_16] + bytes(4) + _STEP[_MAP_32 + 1 :]
_ONE, _TWO, _FOUR = (struct.Struct(form).unpack_from for form in (">B", ">H", ">I"))
#: Where the length follows the first byte: how it is read, and what else the head has.
_LENGTHS: Final = {
    0xC4: (_ONE, 2),
    0xC5: (_TWO, 3),
    0xC6: (_FOUR, 5),  # bin
    0xC7: (_ONE, 3),
    0xC8: (_TWO, 4),
    0xC9: (_FOUR, 6),  # ext
    0xD9: (_ONE, 2),
    0xDA: (_TWO, 3),
    0xDB: (_FOUR, 5),  # text
}
#: Texts and binaries with a length of one byte, the usual ones.
_LENGTHS_OF_ONE: Final = frozenset({0xC4, 0xD9})
#: The sizes of extensions of a fixed size; and of the byte that begins no value, which is taken for one.
_FIXED: Final = {0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18, 0xC1: 1}
#: Where the code of an extension is, from its first byte, and the code of a moment.
_CODES: Final = {**dict.fromkeys(range(0xD4, 0xD9), 1), 0xC7: 2, 0xC8: 3, 0xC9: 5}
_MOMENT: Final = 0xFF
#: How a length begins that is written in more bytes than it needs.
_PADDING: Final = {0xC5: b"\0", 0xC6: b"\0\0", 0xDA: b"\0", 0xDB: b"\0\0"}
#: How the number of parts is read, and how many values each of them is.
_PARTS: Final = {0xDC: (_TWO, 1), 0xDD: (_FOUR, 1), 0xDE: (_TWO, 2), 0xDF: (_FOUR, 2)}
#: Bytes that end before a value of them does.
_CUT: Final = (IndexError, struct.error)
#: Values of one size in a row, which a regular expression counts thirty times as fast.
_RUNS: Final = {
    **dict.fromkeys([*range(0xA0), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)], re.compile(rb"[\x00-\x9f\xc0\xc2\xc3\xe0-\xff]++")),
    **{
        head: re.compile(b"(?:" + re.escape(bytes([head])) + rb"[\s\S]{%d})++" % (_STEP[head] - 1))
        for head in range(0xCA, 0xD4)
    },
}
#: Values whose first byte says their size and that they have no parts, as branches of a regular expression.
_LEAF: Final = b"|".join(
    [rb"[\x00-\x80\x90\xc0\xc2\xc3\xe0-\xff]", rb"[\xcc\xd0][\s\S]", rb"[\xcd\xd1][\s\S]{2}", rb"[\xca\xce\xd2][\s\S]{4}"]
    + [rb"[\xcb\xcf\xd3][\s\S]{8}", rb"[\xc4\xd9]\x00"]
    + [rb"\x%02x[\s\S]{%d}" % (0xA0 + size, size) for size in range(32)]
)
#: The heads of arrays and maps.
_HEAD: Final = rb"[\x81-\x9f]|[\xdc\xde][\s\S]{2}|[\xdd\xdf][\s\S]{4}"
#: So many values that are mixed, counted three times as fast as one by one.
_LEAVES, _VALUES = (re.compile(b"(?:%b){%d}+" % (one, _VALUES_PER_LOOK)) for one in (_LEAF, _LEAF + b"|" + _HEAD))
#: The bits of a byte.
_BYTE: Final = 8
#: What a value of one byte can become: an empty list, with its place in another; and a small number, which has only the place.
VALUE_BYTES: Final = 72
_PLACE_BYTES: Final = 8
#: Bytes of a message whose objects are not worth counting.
_FEW_BYTES: Final = 64
#: Values that are counted before they are guessed.
_FEW_VALUES: Final = 8
#: Bytes of msgpack that are texts in ASCII or small numbers, and the marks of JSON that begin a value.
_PLAIN: Final = bytes(range(0x80))
_MARKS: Final = b",:[{"
_SMALL_16, _SMALL_32 = SMALL_MAP.to_bytes(2, "big"), SMALL_MAP.to_bytes(4, "big")

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

    A message of at most `limit` bytes has not. Else it takes about a tenth of a microsecond for each value up to the limit, and
    in JSON a nanosecond for each byte. A value that takes longer counts as `SLOW_VALUES`.
    """
    if len(payload) <= limit:
        return False
    return _is_over_json(payload, limit) if json else _is_over_msgpack(payload, limit)


def objects_bytes(payload: Encoded, values_max: int, *, json: bool) -> int:
    """Return how many bytes the objects of a message can have, beside its own: rather too many than too few.

    values_max: more values are not in it. A message of few values is counted. In any other each byte is taken for the largest
    object that it can begin, which takes a nanosecond for each.
    """
    size = len(payload)
    if size <= _FEW_BYTES:
        return 0
    if json:
        return VALUE_BYTES * min(1 + size - len(payload.translate(None, _MARKS)), values_max)
    at, values, extra = _count_some(payload, 0, _FEW_VALUES)
    if at >= size:
        return VALUE_BYTES * (values + extra)
    dear = min(len(payload.translate(None, _PLAIN)), values_max)
    return VALUE_BYTES * dear + _PLACE_BYTES * (min(size, values_max) - dear)


def _is_over_msgpack(payload: Encoded, limit: int) -> bool:
    at = count = 0
    while count <= limit and at < len(payload):
        many = _VALUES.match(payload, at)
        if many is not None:
            at, count = many.end(), count + _VALUES_PER_LOOK
        else:
            at, values, extra = _count_some(payload, at, _VALUES_PER_LOOK)
            count += values + extra
        row = _RUNS[payload[at]].match(payload, at) if at < len(payload) and payload[at] in _RUNS else None
        if row is not None:
            count += (row.end() - at) // _STEP[payload[at]]
            at = row.end()
    return count > limit


def _count_some(payload: Encoded, at: int, most: int) -> tuple[int, int, int]:
    """Count `most` values from `at` on, one by one; return where they end, their number, and `_extra` of all.

    The end is that of the payload, or behind it, when there are fewer.
    """
    values = extra = 0
    try:
        for values in range(most):  # noqa: B007 - how many there were when the message ends
            head = payload[at]
            size = _STEP[head]
            if size:
                at += size
            elif head in _LENGTHS_OF_ONE:
                at += 2 + payload[at + 1]
            else:
                extra += _extra(payload, at, head)
                at += _long(payload, at, head)
    except _CUT:
        return max(at, len(payload)), values, extra
    return at, most, extra


def _extra(payload: Encoded, at: int, head: int) -> int:
    """Return for how many values a value counts beside itself, because it takes longer."""
    if head in _CODES:
        is_slow = payload[at + _CODES[head]] != _MOMENT
    else:
        is_slow = head in _PADDING and payload.startswith(_PADDING[head], at + 1)
    return SLOW_VALUES - 1 if is_slow else 0


def _is_over_json(payload: Encoded, limit: int) -> bool:
    """Count the texts, and outside of them the marks that begin other values: each but the first has one."""
    if not _has_more_marks(payload, limit - 1):
        return False
    if b"\\" in payload:
        payload = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    parts = payload.split(b'"', 2 * limit + 1)
    return len(parts) > 2 * limit + 1 or _has_more_marks(b"".join(parts[::2]), limit - 1)


def _has_more_marks(payload: Encoded, limit: int) -> bool:
    count = 0
    for begin in range(0, len(payload), _CHARACTERS_PER_LOOK):
        look = payload[begin : begin + _CHARACTERS_PER_LOOK]
        count += len(look) - len(look.translate(None, b",:[{"))
        if count > limit:
            return True
    return False


def own_size(payload: Encoded | memoryview, at: int) -> int:
    """Return the bytes of the value that begins at `at`; of an array or a map, those before its parts."""
    head = payload[at]
    return _STEP[head] or _long(payload, at, head)


def _long(payload: Encoded | memoryview, at: int, head: int) -> int:
    """Return the size of a value whose first byte does not say it; past the end for bytes that are not a message."""
    if head in _FIXED:
        return _FIXED[head]
    length, size = _LENGTHS[head]
    return size + int(length(payload, at + 1)[0])


def values_of(payload: Encoded, at: int) -> Iterator[Encoded]:
    """Iterate over the encoded values from `at` on. Each may have bytes in it that are no value, in the place of one.

    Raises `ValueError` for one that is cut off.
    """
    while at < len(payload):
        begin, left = at, 1
        try:
            while left:
                at, left, entries = _to_large_map(payload, at, left)
                left += 2 * entries
        except _CUT:
            at = len(payload) + 1
        if at > len(payload):
            raise ValueError("the last value is cut off")
        yield payload[begin:at]


def large_maps(payload: Encoded, longest: int, enough: int = 1) -> int:
    """Return how many maps may be in a message that are not small: never too few, and often too many for binary data.

    longest: the size of the largest item in it. A map is not larger.
    enough: the number at which to stop.
    """
    return len(list(islice(_large_heads((longest // 2).bit_length()).finditer(payload), enough)))


@cache
def _large_heads(bits: int) -> re.Pattern[bytes]:
    """Return what finds the heads of maps of more than `SMALL_MAP` and less than 2**bits entries, also inside of another."""
    if bits <= SMALL_MAP.bit_length():
        return re.compile(rb"(?!)")  # there is none
    low = b"\\x00[\\x%02x-\\x%02x]" % (SMALL_MAP + 1, 2 ** min(bits, _BYTE) - 1)
    if bits <= _BYTE:
        return re.compile(rb"\xde(?=%b)|\xdf(?=\x00\x00%b)" % (low, low))
    two = b"(?:%b|[\\x01-\\x%02x][\\s\\S])" % (low, 2 ** min(bits - _BYTE, _BYTE) - 1)
    four = rb"\x00\x00" + two if bits <= 2 * _BYTE else rb"[\x00-\x3f][\s\S]{3}"
    return re.compile(rb"\xde(?=%b)|\xdf(?=%b)" % (two, four))


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
    `NUMBER_KEYS_MAX` numbers and moments are not allowed either. It takes about a sixth of a microsecond for each value.
    """
    try:
        return _bad_map(payload)
    except _CUT:
        return None


def _bad_map(payload: Encoded) -> str | None:
    at, left = 0, 1  # values that are still to come, up to the next key of the large map around them
    entries, worst = 0, _ANY  # entries of that map that are still to come, and what its keys may be
    outer: list[tuple[int, int, int]] = []  # the same for the large maps around it
    while True:
        at, left, large = _to_large_map(payload, at, left)
        if large:
            outer.append((left, entries, worst))
            left, entries, worst = 0, large, _NUMBER if large <= NUMBER_KEYS_MAX else _TEXT
        elif entries:
            at, entries, left = _past_entries(payload, at, entries, worst)
            if left < 0:
                kind = "numbers" if _KEY[payload[at]] == _NUMBER else "neither texts nor numbers"
                return f"a map of more than {SMALL_MAP if worst else NUMBER_KEYS_MAX} entries has keys that are {kind}"
        elif outer:
            left, entries, worst = outer.pop()
        else:
            return None


def _to_large_map(payload: Encoded, at: int, left: int) -> tuple[int, int, int]:
    """Go past `left` values from `at` on, or to the first entry of a map that is not small.

    Return where that is, the values that are left behind the map, and its entries; 0 and 0 without one.
    """
    while left:
        leaves = _LEAVES.match(payload, at) if left >= _VALUES_PER_LOOK else None
        if leaves is not None:
            at, left = leaves.end(), left - _VALUES_PER_LOOK
            continue
        at, left, entries = _past_some(payload, at, left)
        if entries:
            return at, left, entries
    return at, 0, 0


def _past_some(payload: Encoded, at: int, left: int) -> tuple[int, int, int]:
    """Do the same for the next values alone, one by one: go past `_VALUES_PER_LOOK` of them at most."""
    for _ in range(min(left, _VALUES_PER_LOOK)):
        head = payload[at]
        size = _FLAT_STEP[head]
        if size:
            left += _CHILDREN[head] - 1
            at += size
        elif head in _LENGTHS_OF_ONE:
            left -= 1
            at += 2 + payload[at + 1]
        elif head not in _PARTS:
            left -= 1
            at += _long(payload, at, head)
        else:
            number, values = _PARTS[head]
            parts = number(payload, at + 1)[0]
            at += _STEP[head]
            if values > 1 and parts > SMALL_MAP:
                return at, left - 1, parts
            left += values * parts - 1
    return at, left, 0


def _past_entries(payload: Encoded, at: int, entries: int, worst: int) -> tuple[int, int, int]:
    """Go past entries of a map while their values have no parts.

    Return where that is, the entries behind it, and 1 at a value with parts, -1 at a key that is worse than `worst`, else 0.
    """
    while entries:
        head = payload[at]
        if _KEY[head] > worst:
            return at, entries, -1
        at += _STEP[head] or _long(payload, at, head)
        entries -= 1
        head = payload[at]
        if _CHILDREN[head] or head in _PARTS:
            return at, entries, 1
        at += _STEP[head] or _long(payload, at, head)
    return at, 0, 0
