"""The arguments of a call as one encoded value: an array in declared order, or a map by name. It never runs a method."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from penstock.codec import UNDECODABLE, UNENCODABLE, Codec
from penstock.errors import InvalidArgument

#: How an encoded array begins: "[" in JSON; fixarray, array 16 and array 32 in msgpack.
_ARRAYS: Final = frozenset({ord("["), *range(0x90, 0xA0), 0xDC, 0xDD})
_MISSING: Final = inspect.Parameter.empty
_INDEX: Final = re.compile(r"\$\[(\d+)\]")
_NAME: Final = re.compile(r"\$\.(\w+)")
_SHORT: Final = re.compile(r"at (?:least|most) length \d+, got (\d+)|length (\d+) to \d+, got (\d+)|length \d+, got (\d+)")


class Parameter(NamedTuple):
    """One parameter that travels."""

    name: str
    type: Any
    default: Any
    keyword: bool

    @property
    def required(self) -> bool:
        return self.default is _MISSING


class Arguments:
    """What one method takes: binds and encodes it on the caller's side, decodes and checks it on the callee's."""

    __slots__ = ("_array", "_least", "_map", "_most", "_stream", "parameters", "target")

    def __init__(self, target: str, parameters: Sequence[Parameter], stream: tuple[int, str] | None) -> None:
        self.target = target
        self.parameters = list(parameters)
        self._stream = stream
        self._least = sum(p.required for p in parameters)
        self._most = sum(not p.keyword for p in parameters)
        fields = [
            (p.name, p.type) if p.required else (p.name, p.type, msgspec.field(default_factory=_always(p.default)))
            for p in sorted(parameters, key=lambda p: not p.required)
        ]
        # the array keeps the declared order, which puts defaults last by itself, except for keyword-only parameters
        ordered = {name: (name, *rest) for name, *rest in fields}
        name = target.replace("/", "_")
        self._map = msgspec.defstruct(name, fields, forbid_unknown_fields=True)
        self._array = msgspec.defstruct(
            name, [ordered[p.name] for p in self._in_order()], array_like=True, forbid_unknown_fields=True
        )

    def _in_order(self) -> list[Parameter]:
        required = [p for p in self.parameters if p.required]
        return required + [p for p in self.parameters if not p.required]

    # ── the caller's side ─────────────────────────────────────────────────────────────────────────────────────────────

    def encode(self, codec: Codec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes | None, Any]:
        """Return the encoded arguments and the request stream among them (None for a kind without).

        Raises `TypeError` as a call in the same process would, and `InvalidArgument` for a value that cannot travel.
        """
        requests = None
        if self._stream is not None:
            requests, args, kwargs = self._split(args, kwargs)
        if not args and not kwargs and not self.parameters:
            return None, requests
        values: Any = args
        if kwargs or not self._least <= len(args) <= self._most:
            values = self._bind(args, kwargs)
        try:
            return codec.encode(values), requests
        except UNENCODABLE as error:
            raise InvalidArgument(f"{self.target}: {error}") from error

    def _split(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...], Mapping[str, Any]]:
        at, name = self._stream or (0, "")
        if len(args) > at:
            return args[at], args[:at] + args[at + 1 :], kwargs
        rest = dict(kwargs)
        if name not in rest:
            raise TypeError(f"{self.target} takes a stream of requests as `{name}`")
        return rest.pop(name), args, rest

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        kinds = inspect.Parameter
        signature = inspect.Signature(
            [
                kinds(p.name, kinds.KEYWORD_ONLY if p.keyword else kinds.POSITIONAL_OR_KEYWORD, default=p.default)
                for p in self.parameters
            ]
        )
        try:
            return dict(signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise TypeError(f"{self.target}: {error}") from None

    # ── the callee's side ─────────────────────────────────────────────────────────────────────────────────────────────

    def decode(self, codec: Codec, encoded: bytes | None) -> dict[str, Any]:
        """Return the arguments by name. Raises `InvalidArgument` that names what does not fit."""
        if not encoded:
            encoded = codec.encode(())
        shape = self._array if encoded[0] in _ARRAYS else self._map
        try:
            values = codec.decode_for(shape).value(encoded)
        except UNDECODABLE as error:
            raise InvalidArgument(f"{self.target}: {self._explain(str(error))}") from None
        return {p.name: getattr(values, p.name) for p in self.parameters}

    def with_requests(self, values: dict[str, Any], requests: Any) -> dict[str, Any]:
        """Return the arguments with the stream of requests among them."""
        return {**values, self._stream[1]: requests} if self._stream is not None else values

    def _explain(self, text: str) -> str:
        """Say in names what msgspec says in places."""
        names = [p.name for p in self._in_order()]
        found = _INDEX.search(text)
        if found and int(found[1]) < len(names):
            name = names[int(found[1])]
            return f"argument `{name}`: {_INDEX.sub(name, text, count=1).removesuffix(f' - at `{name}`')}"
        named = _NAME.search(text)
        if named:
            name = named[1]
            return f"argument `{name}`: {_NAME.sub(name, text, count=1).removesuffix(f' - at `{name}`')}"
        short = _SHORT.search(text)
        if short:
            got = int(next(part for part in reversed(short.groups()) if part is not None))
            if got < len(names):
                return f"argument `{names[got]}` is missing"
            return f"{got} arguments where {len(names)} are taken ({', '.join(names) or 'none'})"
        return text.replace("Object missing required field", "missing argument").replace(
            "Object contains unknown field", "unknown argument"
        )

    def signature(self) -> str:
        """Return the parameters as people write them."""
        return ", ".join(f"{p.name}" if p.required else f"{p.name}={p.default!r}" for p in self.parameters)


def _always(value: Any) -> Any:
    return lambda: value
