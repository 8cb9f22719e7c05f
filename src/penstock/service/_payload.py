"""One rule from a payload to the arguments of a method: for values, for encoded payloads, and for the command line.

A *payload* is one value for a method that its sender may not know (PROTOCOL.md §12.5). Its outer form and the parameters of the
method decide how it is read; types do not:

1. Nil, for a method that needs no argument, stands for none.
2. For a method with several parameters, a map gives them by name, and a list gives them by place.
3. Any other payload is the one argument. A list, for a method with one parameter, is therefore that argument.

`arguments_of` reads values, for the verbs of an `ActorSystem`. `arguments_in` reads encoded payloads, for the verbs of a
`Peer`, and gives the same arguments. The command line (`penstock call`, `message`, `request`, `subscribe --params`)
knows the method before it sends, so it can read two more forms, which rule 3 would take for the one argument:

4. A map that names the one parameter, and nothing else, gives it by name. An empty map does so when no argument is needed.
5. For a method without parameters, an empty map or list stands for none.

Each row of this table is a test. "=" means: as in the column before.

| method          | payload          | `ask`, `tell`, `stream` | command line |
|-----------------|------------------|-------------------------|--------------|
| `m()`           | `null`           | `m()`                   | =            |
| `m()`           | `5`              | refused                 | =            |
| `m()`           | `{}`             | refused                 | `m()`        |
| `m()`           | `[]`             | refused                 | `m()`        |
| `m(n)`          | `5`              | `m(5)`                  | =            |
| `m(n)`          | `null`           | `m(None)`               | =            |
| `m(n)`          | `[5]`            | `m([5])`                | =            |
| `m(n)`          | `[]`             | `m([])`                 | =            |
| `m(n)`          | `{"k": 5}`       | `m({"k": 5})`           | =            |
| `m(n)`          | `{}`             | `m({})`                 | =            |
| `m(n)`          | `{"n": 5}`       | `m({"n": 5})`           | `m(n=5)`     |
| `m(n: int)`     | `{"n": 5}`       | refused                 | `m(n=5)`     |
| `m(n: int)`     | `[5]`            | refused                 | =            |
| `m(n=1)`        | `null`           | `m()`                   | =            |
| `m(n=1)`        | `5`              | `m(5)`                  | =            |
| `m(n=1)`        | `[]`             | `m([])`                 | =            |
| `m(n=1)`        | `{}`             | `m({})`                 | `m()`        |
| `m(*, n)`       | `5`              | `m(n=5)`                | =            |
| `m(*, n)`       | `[5]`            | `m(n=[5])`              | =            |
| `m(a, b)`       | `[1, 2]`         | `m(1, 2)`               | =            |
| `m(a, b)`       | `{"a":1, "b":2}` | `m(a=1, b=2)`           | =            |
| `m(a, b)`       | `5`              | refused                 | =            |
| `m(a, b)`       | `null`           | refused                 | =            |
| `m(a, b=2)`     | `5`              | `m(5)`                  | =            |
| `m(a, b=2)`     | `null`           | `m(None)`               | =            |
| `m(a, b=2)`     | `[1]`            | `m(1)`                  | =            |
| `m(a, b=2)`     | `{"a": 1}`       | `m(a=1)`                | =            |
| `m(a, b=2)`     | `{"k": 1}`       | refused                 | =            |
| `m(a=1, b=2)`   | `null`           | `m()`                   | =            |
| `m(a=1, b=2)`   | `{}`             | `m()`                   | =            |
| `m(a, *, b=2)`  | `{"a":1, "b":3}` | `m(a=1, b=3)`           | =            |
| `m(a, *, b=2)`  | `[1, 3]`         | refused                 | =            |
| `m(*, a, b=2)`  | `5`              | refused                 | =            |

The rows of `{"n": 5}` are a known trap: the verbs take this map for the one argument. A typed stub gives any parameter by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from penstock.codec import JSON, MSGPACK
from penstock.errors import InvalidArgument
from penstock.service._arguments import Arguments
from penstock.service._service import Method


class PayloadForm(Enum):
    """The outer form of a payload, all that the rule looks at."""

    NIL = "nil"
    MAP = "map"
    LIST = "list"
    OTHER = "other"


class Reading(Enum):
    """How a payload gives the arguments of a method."""

    NONE = "no argument"
    BY_NAME = "by name"
    BY_PLACE = "by place"
    ONE = "the one argument"


class HasRequired(Protocol):
    """A parameter as the rule sees it: a `Parameter` or a `ParameterDescription`."""

    @property
    def name(self) -> str: ...
    @property
    def required(self) -> bool: ...


# Names of the module: on Python 3.11 a look-up in an enum takes longer than the test.
_NIL, _MAP, _LIST, _OTHER = PayloadForm
_NONE, _BY_NAME, _BY_PLACE, _ONE = Reading
#: Payloads of these types are read as the first one of their type was.
_USUAL_TYPES: Final = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple})
#: The forms of encoded payloads by their first byte: msgpack, then JSON.
_MSGPACK_FORMS: Final = (
    {0xC0: _NIL, 0xDC: _LIST, 0xDD: _LIST, 0xDE: _MAP, 0xDF: _MAP}
    | dict.fromkeys(range(0x80, 0x90), _MAP)
    | dict.fromkeys(range(0x90, 0xA0), _LIST)
)
_JSON_FORMS: Final = {ord("n"): _NIL, ord("{"): _MAP, ord("["): _LIST}


def read_payload(parameters: Sequence[HasRequired], form: PayloadForm) -> Reading:
    """Decide how a payload of a form gives the arguments of a method with `parameters`: rules 1 to 3."""
    if form is _NIL:
        return _ONE if _needs(parameters) else _NONE
    if len(parameters) > 1:
        if form is _MAP:
            return _BY_NAME
        if form is _LIST:
            return _BY_PLACE
    return _ONE


def read_written(parameters: Sequence[HasRequired], form: PayloadForm, keys: Iterable[str]) -> Reading:
    """Decide the same for JSON of the command line: rules 1 to 5. `keys` are those of a map; other forms have none."""
    if not parameters and form is _LIST:
        return _BY_PLACE
    if form is _MAP and len(parameters) < 2:  # noqa: PLR2004 - "several", in rule 2
        named = set(keys)
        if named <= {parameter.name for parameter in parameters} and (named or not _needs(parameters)):
            return _BY_NAME
    return read_payload(parameters, form)


# ── a payload of the verbs ────────────────────────────────────────────────────────────────────────────────────────────


def arguments_of(method: Method, payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `payload`, a value, as the arguments of `method`: those by place and those by name.

    The values are not checked against the types: `Arguments.fitted` does that. Raises `InvalidArgument` when the method does
    not take these names, or this number of arguments.
    """
    parameters = method.arguments.parameters
    reading = method.arguments.readings.get(type(payload)) or _reading(method.arguments, payload)
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
        raise InvalidArgument(f"{error}; the payload was {payload!r:.200}") from None
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
    if reading is _NONE:
        return None
    if reading is not _ONE:
        return payload
    if len(parameters) == 1 and parameters[0].keyword:
        return b"\x81" + MSGPACK.encode(parameters[0].name) + payload
    return b"\x91" + payload


# ── JSON of the command line ──────────────────────────────────────────────────────────────────────────────────────────


def written_arguments(parameters: Sequence[HasRequired], written: bytes) -> bytes | None:
    """Return one JSON value, without white space before it, as encoded arguments in JSON; None for none."""
    form = _JSON_FORMS.get(written[0], _OTHER)
    keys = msgspec.json.decode(written, type=dict[str, msgspec.Raw]) if form is _MAP else ()
    reading = read_written(parameters, form, keys)
    if reading is _NONE:
        return None
    if reading is not _ONE:
        return written
    value = msgspec.Raw(written)
    return JSON.encode({parameters[0].name: value} if len(parameters) == 1 else [value])


def written_payload(method: Method, written: Any) -> Any:
    """Return a JSON value as a payload for which `arguments_of` and `arguments_in` give the arguments of rules 1 to 5.

    Raises `InvalidArgument` for the one value that no payload can give: null by name, for a parameter with another default.
    """
    parameters = method.arguments.parameters
    reading = read_written(parameters, _form(written), written if isinstance(written, Mapping) else ())
    if len(parameters) > 1 or reading is _ONE:
        return written
    if not written:
        return None
    if reading is _BY_PLACE:
        return written
    (parameter,) = parameters
    if written[parameter.name] is None and not parameter.required and parameter.default is not None:
        raise InvalidArgument(
            f"{method.target}: a message cannot give null for `{parameter.name}`, which has the default {parameter.default!r}"
        )
    return written[parameter.name]


def _needs(parameters: Sequence[HasRequired]) -> bool:
    """Say whether a method needs an argument."""
    return bool(parameters) and any(parameter.required for parameter in parameters)


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
