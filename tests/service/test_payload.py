"""One rule from a payload to arguments: the table of its page, and the same answer in each form of the rule."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.codec import JSON, MSGPACK
from penstock.errors import InvalidArgument
from penstock.service import Method, arguments_in, arguments_of, service_of, written_arguments
from penstock.service import _payload as page

ROWS = re.findall(r"^\| `m\((.*?)\)` +\| `(.*?)` +\| (\S.*?) +\|$", page.__doc__ or "", re.MULTILINE)
REFUSED = "refused"


class Pair(penstock.Struct):
    a: int
    b: int


def method_with(parameters: str) -> Method:
    scope: dict[str, Any] = {"__name__": __name__, "Pair": Pair, "Optional": Optional}
    exec(f"class Desk:\n    async def m(self, {parameters}): ...", scope)
    return service_of(scope["Desk"]).methods["m"]


def whole(method: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter, defaults among them."""
    kinds = inspect.Parameter
    signature = inspect.Signature(
        [
            kinds(p.name, kinds.KEYWORD_ONLY if p.keyword else kinds.POSITIONAL_OR_KEYWORD, default=p.default)
            for p in method.arguments.parameters
        ]
    )
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def result(method: Method, read: Any) -> Any:
    try:
        return whole(method, *read())
    except InvalidArgument:
        return REFUSED


def by_value(method: Method, payload: Any) -> Any:
    return result(method, lambda: method.arguments.fitted(*arguments_of(method, payload)))


def by_bytes(method: Method, payload: Any) -> Any:
    return result(method, lambda: method.arguments.decode(MSGPACK, arguments_in(method, MSGPACK.encode(payload))))


def wide(value: Any) -> bytes:
    """Encode a value in msgpack with the largest heads that it may have."""
    held = value.encode() if isinstance(value, str) else value
    size = len(held).to_bytes(4, "big") if isinstance(held, dict | list | bytes) else b""
    if isinstance(value, dict):
        return b"\xdf" + size + b"".join(wide(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return b"\xdd" + size + b"".join(map(wide, value))
    return b"\xdb" + size + held if isinstance(held, bytes) else MSGPACK.encode(value)


def by_wide_bytes(method: Method, payload: Any) -> Any:
    return result(method, lambda: method.arguments.decode(MSGPACK, arguments_in(method, wide(payload))))


def by_call(method: Method, written: Any) -> Any:
    encoded = json.dumps(written).encode()
    return result(method, lambda: method.arguments.decode(JSON, written_arguments(method.arguments.parameters, encoded)))


def expected(method: Method, cell: str) -> Any:
    if cell == REFUSED:
        return REFUSED
    return whole(method, *eval(cell.strip("`"), {"m": lambda *args, **kwargs: (args, kwargs), "Pair": Pair}))


def test_the_table_is_read_whole():
    assert len(ROWS) == (page.__doc__ or "").count("\n| `m(") > 30


@pytest.mark.parametrize(("parameters", "text", "meaning"), ROWS)
def test_each_row_of_the_table_is_true(parameters: str, text: str, meaning: str):
    """FAULTS D5: the verbs by address and the commands read a payload in one way."""
    method, payload = method_with(parameters), json.loads(text)
    assert by_value(method, payload) == by_bytes(method, payload) == by_call(method, payload) == expected(method, meaning)
    assert by_wide_bytes(method, payload) == expected(method, meaning), "msgpack has several forms of a value"


@st.composite
def methods(draw: st.DrawFn) -> Method:
    """A method of up to three parameters a, b, c: by place or by name only, some with a default."""
    count = draw(st.integers(0, 3))
    placed = draw(st.integers(0, count))
    needed = draw(st.integers(0, placed))
    parts = ["a", "b", "c"][:placed]
    hints = draw(st.sampled_from(["", ": int", ": dict", ": list", ": Pair", ": int | list | Pair"]))
    parts = [f"{name}{hints}" if at < needed else f"{name}{hints} = None" for at, name in enumerate(parts)]
    if placed < count:
        parts += ["*", *(f"{name}={at}" if draw(st.booleans()) else name for at, name in enumerate("abc"[placed:count]))]
    return method_with(", ".join(parts))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=3)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abck"), inner, max_size=4),
    max_leaves=5,
)


@settings(max_examples=500)
@given(methods(), values)
def test_a_value_and_its_bytes_give_the_same_arguments(method: Method, payload: Any):
    assert by_value(method, payload) == by_bytes(method, payload) == by_wide_bytes(method, payload) == by_call(method, payload)


def test_a_tuple_is_a_list():
    assert arguments_of(method_with("a, b"), (1, 2)) == ((1, 2), {})


@pytest.mark.parametrize(("parameters", "payload"), [("", 1), ("a, b", [1, 2, 3]), ("a, b", {"c": 1})])
def test_a_payload_that_does_not_fit_is_quoted(parameters: str, payload: Any):
    with pytest.raises(InvalidArgument, match="the payload was"):
        arguments_of(method_with(parameters), payload)
