"""The arguments of a call as one encoded value: an array in declared order, or a map by name. It never runs a method."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from penstock.codec import UNDECODABLE, UNENCODABLE, Codec, decode_other
from penstock.errors import InvalidArgument

#: How an encoded array begins: "[" in JSON; fixarray, array 16 and array 32 in msgpack.
_ARRAYS: Final = frozenset({ord("["), *range(0x90, 0xA0), 0xDC, 0xDD})
_MISSING: Final = inspect.Parameter.empty
_INDEX: Final = re.compile(r"\$\[(\d+)\]")
_NAME: Final = re.compile(r"\$\.(\w+)")


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

    __slots__ = ("_array", "_least", "_map", "_needs_names", "_positional", "_stream", "parameters", "takes", "target")

    def __init__(self, target: str, parameters: Sequence[Parameter], stream: tuple[int, str] | None) -> None:
        self.target = target
        self.parameters = list(parameters)
        self._stream = stream
        self._positional = [p for p in parameters if not p.keyword]
        self._least = sum(p.required for p in self._positional)
        self._needs_names = any(p.keyword and p.required for p in parameters)
        #: How many arguments by place need no further look.
        self.takes = range(0) if self._needs_names or stream else range(self._least, len(self._positional) + 1)
        name = target.replace("/", "_")
        required_first = sorted(parameters, key=lambda p: not p.required)
        self._map = msgspec.defstruct(name, map(_field, required_first), forbid_unknown_fields=True)
        self._array = msgspec.defstruct(name, map(_field, self._positional), array_like=True, forbid_unknown_fields=True)

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
        values = self.values(args, kwargs)
        try:
            return codec.encode(values), requests
        except UNENCODABLE as error:
            raise InvalidArgument(f"{self.target}: {error}") from error

    def values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what is encoded of arguments: by place, or by name. Raises `TypeError` as a call in the same process would."""
        if kwargs or self._needs_names or not self._least <= len(args) <= len(self._positional):
            return self._bind(args, kwargs)
        return args

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `TypeError`, as a call in the same process would, for arguments that the method does not take."""
        if kwargs or len(args) not in self.takes:
            if self._stream is not None:
                _requests, args, kwargs = self._split(args, kwargs)
            self._bind(args, kwargs)

    def fitted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments that came without a type, as the method declares them. Raises `InvalidArgument`.

        They fit, or are made to fit, as if they had been encoded on the way: a mapping becomes the `Struct` it describes.
        """
        placed = tuple(map(self._fit, self._positional, args))
        named = {parameter.name: parameter for parameter in self.parameters}
        return placed, {name: self._fit(named[name], value) for name, value in kwargs.items()}

    def _fit(self, parameter: Parameter, value: Any) -> Any:
        if parameter.type is Any or type(value) is parameter.type:
            return value
        try:
            return msgspec.convert(value, parameter.type, dec_hook=decode_other)
        except UNDECODABLE as error:
            raise InvalidArgument(f"{self.target}: argument `{parameter.name}`: {error}", started=False) from None

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

    def decode(self, codec: Codec, encoded: bytes | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as the method takes them. Raises `InvalidArgument` that names what does not fit."""
        if not encoded:
            encoded = codec.encode(())
        by_place = encoded[0] in _ARRAYS
        try:
            values = codec.decode_for(self._array if by_place else self._map).value(encoded)
        except UNDECODABLE as error:
            raise InvalidArgument(f"{self.target}: {self._explain(str(error), codec, encoded)}") from None
        if not by_place:
            keywords = {p.name: getattr(values, p.name) for p in self.parameters if p.keyword}
            return tuple(getattr(values, p.name) for p in self._positional), keywords
        if self._needs_names:
            missing = next(p.name for p in self.parameters if p.keyword and p.required)
            raise InvalidArgument(f"{self.target}: argument `{missing}` is missing, and is taken by name only")
        return msgspec.structs.astuple(values), {}

    @property
    def placed(self) -> Any:
        """The type of the arguments as one tuple; None where some may be left out, or have names."""
        if any(parameter.keyword or not parameter.required for parameter in self.parameters):
            return None
        return tuple[tuple(parameter.type for parameter in self.parameters)]  # type: ignore[misc] # made here

    def with_requests(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], requests: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with the stream of requests among them."""
        at, name = self._stream or (0, "")
        if at > len(args):
            return args, {**kwargs, name: requests}
        return (*args[:at], requests, *args[at:]), kwargs

    def map_requests(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], change: Callable[[Any], Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with another stream of requests among them."""
        requests, rest, keywords = self._split(args, kwargs)
        return self.with_requests(rest, dict(keywords), change(requests))

    def _explain(self, text: str, codec: Codec, encoded: bytes) -> str:
        """Say in names what msgspec says in places."""
        names = [p.name for p in self._positional]
        found = _INDEX.search(text)
        if found and int(found[1]) < len(names):
            name = names[int(found[1])]
            return f"argument `{name}`: {_INDEX.sub(name, text, count=1).removesuffix(f' - at `{name}`')}"
        named = _NAME.search(text)
        if named:
            name = named[1]
            return f"argument `{name}`: {_NAME.sub(name, text, count=1).removesuffix(f' - at `{name}`')}"
        if "length" in text and encoded[0] in _ARRAYS:
            with suppress(msgspec.DecodeError):
                got = len(codec.decode_for(list[msgspec.Raw]).value(encoded))
                if got < len(names):
                    return f"argument `{names[got]}` is missing"
                return f"{got} arguments where {len(names)} are taken ({', '.join(names) or 'none'})"
        return text.replace("Object missing required field", "missing argument").replace(
            "Object contains unknown field", "unknown argument"
        )


def _field(parameter: Parameter) -> Any:
    """Describe a parameter to msgspec."""
    if parameter.required:
        return parameter.name, parameter.type
    return parameter.name, parameter.type, msgspec.field(default_factory=lambda: parameter.default)
