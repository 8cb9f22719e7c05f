"""One rule from a payload to the arguments of a method: for values, for encoded payloads, and for the command line.

A *payload* is one value for a method that its sender may not know (PROTOCOL.md §12.5). `ask`, `tell` and `stream` by address
read it, and so do `penstock call`, `message`, `request` and `subscribe --params`:

1. Nil, for a method that needs no argument, stands for none. So does an empty map or list, for a method without parameters.
2. A map gives the arguments by name, a list gives them by place.
3. Any other payload is the one argument. For a method with one parameter, so is a map or a list that its type can take: the
   type decides, whatever the map or the list holds.
4. A map that names the one parameter, and nothing else, gives it by name, if its type has other fields than that one.

A parameter without a type can take any map or list. `arguments_of` reads values, for the verbs of an `ActorSystem`;
`arguments_in` reads encoded payloads, for the verbs of a `Peer`; `written_arguments` reads JSON for `penstock call`.

Each row of this table is a test. `Pair` has the fields `a` and `b`.

| method          | payload          | means           |
|-----------------|------------------|-----------------|
| `m()`           | `null`           | `m()`           |
| `m()`           | `5`              | refused         |
| `m()`           | `{}`             | `m()`           |
| `m()`           | `[]`             | `m()`           |
| `m()`           | `[1]`            | refused         |
| `m()`           | `{"a": 1}`       | refused         |
| `m(n: int)`     | `5`              | `m(5)`          |
| `m(n: int)`     | `null`           | refused         |
| `m(n: int)`     | `{"n": 5}`       | `m(n=5)`        |
| `m(n: int)`     | `{"k": 5}`       | refused         |
| `m(n: int)`     | `{}`             | refused         |
| `m(n: int)`     | `[5]`            | `m(5)`          |
| `m(n: int)`     | `[5, 6]`         | refused         |
| `m(n: int = 1)` | `null`           | `m()`           |
| `m(n: int = 1)` | `{}`             | `m()`           |
| `m(n: int = 1)` | `[]`             | `m()`           |
| `m(n: int = 1)` | `{"n": null}`    | refused         |
| `m(n: Optional[int] = 1)` | `{"n": null}` | `m(n=None)` |
| `m(n: list)`    | `[5]`            | `m([5])`        |
| `m(n: list)`    | `{"n": [5]}`     | `m(n=[5])`      |
| `m(n: dict)`    | `{"n": 5}`       | `m({"n": 5})`   |
| `m(n: dict)`    | `[{"n": 5}]`     | `m({"n": 5})`   |
| `m(n: Pair)`    | `{"a": 1, "b": 2}` | `m(Pair(1, 2))` |
| `m(n: Pair)`    | `{"n": {"a": 1, "b": 2}}` | `m(n=Pair(1, 2))` |
| `m(n: Pair)`    | `{"n": 1, "b": 2}` | refused       |
| `m(a: Pair)`    | `{"a": 1, "b": 2}` | `m(Pair(1, 2))` |
| `m(n)`          | `5`              | `m(5)`          |
| `m(n)`          | `null`           | `m(None)`       |
| `m(n)`          | `[5]`            | `m([5])`        |
| `m(n)`          | `[]`             | `m([])`         |
| `m(n)`          | `{"n": 5}`       | `m({"n": 5})`   |
| `m(n)`          | `{}`             | `m({})`         |
| `m(n=1)`        | `null`           | `m()`           |
| `m(n=1)`        | `[]`             | `m([])`         |
| `m(*, n)`       | `5`              | `m(n=5)`        |
| `m(*, n)`       | `[5]`            | `m(n=[5])`      |
| `m(*, n: int)`  | `{"n": 5}`       | `m(n=5)`        |
| `m(*, n: int)`  | `[5]`            | refused         |
| `m(a, b)`       | `[1, 2]`         | `m(1, 2)`       |
| `m(a, b)`       | `{"a":1, "b":2}` | `m(a=1, b=2)`   |
| `m(a, b)`       | `5`              | refused         |
| `m(a, b)`       | `null`           | refused         |
| `m(a, b=2)`     | `5`              | `m(5)`          |
| `m(a, b=2)`     | `null`           | `m(None)`       |
| `m(a, b=2)`     | `[1]`            | `m(1)`          |
| `m(a, b=2)`     | `{"a": 1}`       | `m(a=1)`        |
| `m(a, b=2)`     | `{"k": 1}`       | refused         |
| `m(a=1, b=2)`   | `null`           | `m()`           |
| `m(a=1, b=2)`   | `{}`             | `m()`           |
| `m(a, *, b=2)`  | `{"a":1, "b":3}` | `m(a=1, b=3)`   |
| `m(a, *, b=2)`  | `[1, 3]`         | refused         |
| `m(*, a, b=2)`  | `5`              | refused         |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from penstock._outcomes import shown
from penstock.codec import JSON, MSGPACK, UNDECODABLE
from penstock.errors import InvalidArgument
from penstock.service._arguments import Arguments
from penstock.service._meaning import ListMeaning, MapMeaning
from penstock.service._service import Method


class PayloadForm(Enum):
    """The outer form of a payload, all that the rule looks at."""

    NIL = "nil"
    MAP = "map"
    LIST = "list"
    OTHER = "other"


class Reading(Enum):
    """How a payload gives the arguments of a method. The last two depend on more than its form."""

    NONE = "no argument"
    BY_NAME = "by name"
    BY_PLACE = "by place"
    ONE = "the one argument"
    NONE_IF_EMPTY = "no argument if it is empty, else the one argument, which is refused"
    BY_NAME_IF_ALONE = "by name if it has the name of the one parameter alone, else the one argument"


class HasRequired(Protocol):
    """A parameter as the rule sees it: a `Parameter` or a `ParameterDescription`."""

    @property
    def name(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def maps(self) -> MapMeaning: ...
    @property
    def lists(self) -> ListMeaning: ...


# Names of the module: on Python 3.11 a look-up in an enum takes longer than the test.
_NIL, _MAP, _LIST, _OTHER = PayloadForm
_NONE, _BY_NAME, _BY_PLACE, _ONE, _NONE_IF_EMPTY, _BY_NAME_IF_ALONE = Reading
#: Payloads of these types are read as the first one of their type was.
_USUAL_TYPES: Final = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple})
#: The forms of encoded payloads by their first byte: msgpack, then JSON.
_MSGPACK_FORMS: Final = (
    {0xC0: _NIL, 0xDC: _LIST, 0xDD: _LIST, 0xDE: _MAP, 0xDF: _MAP}
    | dict.fromkeys(range(0x80, 0x90), _MAP)
    | dict.fromkeys(range(0x90, 0xA0), _LIST)
)
#: Empty maps and lists in msgpack, in each size of their heads.
_EMPTY: Final = frozenset(
    {b"\x80", b"\x90", *(bytes((head, *bytes(size))) for head, size in ((0xDC, 2), (0xDD, 4), (0xDE, 2), (0xDF, 4)))}
)
#: The first bytes of small maps of any size but one.
_OF_OTHER_SIZES: Final = frozenset(range(0x80, 0x90)) - {0x81}
_names: Final = MSGPACK.decode_for(dict[str, msgspec.Raw]).value
_JSON_FORMS: Final = {ord("n"): _NIL, ord("{"): _MAP, ord("["): _LIST}


def read_payload(parameters: Sequence[HasRequired], form: PayloadForm) -> Reading:
    """Decide how a payload of a form gives the arguments of a method with `parameters`."""
    if form is _NIL:
        return _ONE if any(parameter.required for parameter in parameters) else _NONE
    if form is _OTHER:
        return _ONE
    if not parameters:
        return _NONE_IF_EMPTY
    by = _BY_NAME if form is _MAP else _BY_PLACE
    if len(parameters) > 1:
        return by
    meaning = parameters[0].maps if form is _MAP else parameters[0].lists
    if meaning == "value":
        return _ONE
    return _BY_NAME_IF_ALONE if meaning == "either" else by


# ── a payload of the verbs ────────────────────────────────────────────────────────────────────────────────────────────


def arguments_of(method: Method, payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `payload`, a value, as the arguments of `method`: those by place and those by name.

    The values are not checked against the types: `Arguments.fitted` does that. Raises `InvalidArgument` when the method does
    not take these names, or this number of arguments.
    """
    parameters = method.arguments.parameters
    reading = method.arguments.readings.get(type(payload)) or _reading(method.arguments, payload)
    if reading is _NONE_IF_EMPTY:
        reading = _ONE if payload else _NONE
    elif reading is _BY_NAME_IF_ALONE:
        reading = _BY_NAME if payload.keys() == {parameters[0].name} else _ONE
    if reading is _NONE:
        return (), {}
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if reading is _ONE and not (len(parameters) == 1 and parameters[0].keyword):
        args = (payload,)
    elif reading is _ONE:
        kwargs = {parameters[0].name: payload}
    elif reading is _BY_NAME:
        kwargs = dict(payload)
    else:
        args = tuple(payload)
    try:
        method.arguments.check(args, kwargs)
    except TypeError as error:
        raise InvalidArgument(f"{error}; the payload was {shown(payload):.200}", started=False) from None
    return args, kwargs


def arguments_in(method: Method, payload: bytes) -> bytes | None:
    """Return `payload`, encoded in msgpack, as the encoded arguments of `method`; None for none.

    The payload is not decoded, so `Arguments.decode` raises the error for a payload that does not fit.
    """
    parameters = method.arguments.parameters
    readings = method.arguments.readings
    reading = readings.get(payload[0])
    if reading is None:
        reading = readings[payload[0]] = read_payload(parameters, _MSGPACK_FORMS.get(payload[0], _OTHER))
    if reading is _NONE_IF_EMPTY:
        reading = _NONE if payload in _EMPTY else _ONE
    elif reading is _BY_NAME_IF_ALONE:
        reading = _BY_NAME if _has_only(payload, parameters[0].name) else _ONE
    if reading is _NONE:
        return None
    if reading is not _ONE:
        return payload
    if len(parameters) == 1 and parameters[0].keyword:
        return b"\x81" + MSGPACK.encode(parameters[0].name) + payload
    return b"\x91" + payload


def _has_only(payload: bytes, name: str) -> bool:
    """Whether a map in msgpack has this name as its only key, in whatever size its head and its key are written."""
    key = MSGPACK.encode(name)
    if payload.startswith(b"\x81" + key):
        return True
    if payload[0] in _OF_OTHER_SIZES:
        return False
    try:
        return set(_names(payload)) == {name}
    except UNDECODABLE:
        return False


# ── JSON of the command line ──────────────────────────────────────────────────────────────────────────────────────────


def written_arguments(parameters: Sequence[HasRequired], written: bytes) -> bytes | None:
    """Return one JSON value, without white space before it, as encoded arguments in JSON; None for none."""
    reading = read_payload(parameters, _JSON_FORMS.get(written[0], _OTHER))
    if reading is _NONE_IF_EMPTY:
        reading = _ONE if msgspec.json.decode(written) else _NONE
    elif reading is _BY_NAME_IF_ALONE:
        keys = msgspec.json.decode(written, type=dict[str, msgspec.Raw]).keys()
        reading = _BY_NAME if keys == {parameters[0].name} else _ONE
    if reading is _NONE:
        return None
    if reading is not _ONE:
        return written
    value = msgspec.Raw(written)
    return JSON.encode({parameters[0].name: value} if len(parameters) == 1 else [value])


def _reading(arguments: Arguments, payload: Any) -> Reading:
    """Return how a payload gives the arguments of a method, and keep it for other payloads of a usual type."""
    reading = read_payload(arguments.parameters, _form(payload))
    if type(payload) in _USUAL_TYPES:
        arguments.readings[type(payload)] = reading
    return reading


def _form(payload: Any) -> PayloadForm:
    """Return the form of a value of any type."""
    if isinstance(payload, Mapping):
        return _MAP
    if isinstance(payload, list | tuple):
        return _LIST
    return _NIL if payload is None else _OTHER
