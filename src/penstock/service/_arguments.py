"""The arguments of a call as one encoded value: an array in the order of declaration, or a map by name (PROTOCOL.md §3.8)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from penstock._outcomes import text_of
from penstock.codec import UNDECODABLE, UNENCODABLE, Codec, as_travelled, refuse_value
from penstock.errors import InvalidArgument
from penstock.service._meaning import ListMeaning, MapMeaning

#: How an encoded array begins: "[" in JSON; fixarray, array 16 and array 32 in msgpack.
_ARRAYS: Final = frozenset({ord("["), *range(0x90, 0xA0), 0xDC, 0xDD})
_MISSING: Final = inspect.Parameter.empty
_INDEX: Final = re.compile(r"\$\[(\d+)\]")
_NAME: Final = re.compile(r"\$\.(\w+)")


class Parameter(NamedTuple):
    """One parameter that travels when a call is opened.

    keyword: it is taken by name only. maps, lists: what a map and a list mean as the payload of a method with this one
    parameter (`_meaning.py`).
    """

    name: str
    type: Any
    default: Any
    keyword: bool
    maps: MapMeaning = "value"
    lists: ListMeaning = "value"

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is _MISSING


class Arguments:
    """The parameters of one method: bind and encode arguments at the caller, decode and check them at the callee."""

    __slots__ = (
        "_array",
        "_defaults",
        "_least",
        "_map",
        "_needs_names",
        "_positional",
        "_stream",
        "parameters",
        "readings",
        "takes",
        "target",
    )

    def __init__(self, target: str, parameters: Sequence[Parameter], stream: tuple[int, str] | None) -> None:
        self.target = target
        self.parameters = list(parameters)
        #: How payloads give these arguments, by their type, or by the first byte of an encoded one; `_payload.py` fills it.
        self.readings: dict[type | int, Any] = {}
        self._stream = stream
        self._positional = [p for p in parameters if not p.keyword]
        self._defaults = {p.name: p.default for p in parameters if p.keyword and not p.required}
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
        """Return the encoded arguments, None for no argument, and the request stream among them, None for a kind without one.

        Raises `TypeError` as a call in the same process would, and `InvalidArgument` for a value that cannot travel.
        """
        requests = None
        if self._stream is not None:
            requests, args, kwargs = self.split_requests(args, kwargs)
        if not args and not kwargs and not self.parameters:
            return None, requests
        values = self.values(args, kwargs)
        try:
            return codec.encode(values), requests
        except UNENCODABLE as error:
            refuse_value(error, self.target, InvalidArgument)

    def values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return the value to encode: arguments by place, or by name. Raises `TypeError` as a call in one process would."""
        if kwargs or self._needs_names or not self._least <= len(args) <= len(self._positional):
            return self._bind(args, kwargs)
        return args

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `TypeError`, as a call in the same process would, for arguments that the method does not take."""
        if kwargs or len(args) not in self.takes:
            if self._stream is not None:
                _requests, args, kwargs = self.split_requests(args, kwargs)
            self._bind(args, kwargs)

    def fitted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return untyped arguments as values of the declared types. Raises `InvalidArgument` for one that does not fit.

        They are converted as if they had been encoded on the way: a mapping becomes the `Struct` that it describes, and an
        instance of a subclass is cut to the declared type.
        """
        placed = tuple(map(self._fit, self._positional, args))
        named = {parameter.name: parameter for parameter in self.parameters}
        return placed, {name: self._fit(named[name], value) for name, value in kwargs.items()}

    def _fit(self, parameter: Parameter, value: Any) -> Any:
        try:
            return as_travelled(value, parameter.type)
        except UNDECODABLE as error:
            raise InvalidArgument(f"{self.target}: argument `{parameter.name}`: {text_of(error)}", started=False) from None

    def split_requests(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, tuple[Any, ...], Mapping[str, Any]]:
        """Return the stream of requests, and the arguments without it. Raises `TypeError` when it is missing."""
        at, name = self._stream or (0, "")
        if len(args) > at:
            return args[at], args[:at] + args[at + 1 :], kwargs
        rest = dict(kwargs)
        if name not in rest:
            raise TypeError(f"{self.target} takes a stream of requests as `{name}`")
        return rest.pop(name), args, rest

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, without defaults. Raises `TypeError` as a call in the same process would."""
        parameter = inspect.Parameter
        signature = inspect.Signature(
            [
                parameter(p.name, parameter.KEYWORD_ONLY if p.keyword else parameter.POSITIONAL_OR_KEYWORD, default=p.default)
                for p in self.parameters
            ]
        )
        try:
            return dict(signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise TypeError(f"{self.target}: {error}") from None

    # ── the callee's side ─────────────────────────────────────────────────────────────────────────────────────────────

    def decode(self, codec: Codec, encoded: bytes | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments by place and by name. Raises `InvalidArgument` that names the one that does not fit."""
        if not encoded:
            encoded = codec.encode(())
        by_place = encoded[0] in _ARRAYS
        try:
            values = codec.decode_for(self._array if by_place else self._map).value(encoded)
        except UNDECODABLE as error:
            raise InvalidArgument(f"{self.target}: {self._explain(text_of(error), codec, encoded)}") from None
        if not by_place:
            keywords = {p.name: getattr(values, p.name) for p in self.parameters if p.keyword}
            return tuple(getattr(values, p.name) for p in self._positional), keywords
        if self._needs_names:
            missing = next(p.name for p in self.parameters if p.keyword and p.required)
            raise InvalidArgument(f"{self.target}: argument `{missing}` is missing, and is taken by name only")
        return msgspec.structs.astuple(values), self._defaults.copy()

    @property
    def placed(self) -> Any:
        """The type of the arguments as one tuple; None for a method with a default or with a parameter by name only."""
        if any(parameter.keyword or not parameter.required for parameter in self.parameters):
            return None
        return tuple[tuple(parameter.type for parameter in self.parameters)]  # type: ignore[misc] # made here

    def with_requests(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], requests: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with the stream of requests at its place among them."""
        at, name = self._stream or (0, "")
        if at > len(args):
            return args, {**kwargs, name: requests}
        return (*args[:at], requests, *args[at:]), kwargs

    def _explain(self, text: str, codec: Codec, encoded: bytes) -> str:
        """Return the text of a msgspec error with the names of parameters in place of their numbers."""
        names = [p.name for p in self._positional]
        index = _INDEX.search(text)
        if index and int(index[1]) < len(names):
            name = names[int(index[1])]
            return f"argument `{name}`: {_INDEX.sub(name, text, count=1).removesuffix(f' - at `{name}`')}"
        named = _NAME.search(text)
        if named:
            name = named[1]
            return f"argument `{name}`: {_NAME.sub(name, text, count=1).removesuffix(f' - at `{name}`')}"
        if "length" in text and encoded[0] in _ARRAYS:
            with suppress(msgspec.DecodeError):
                count = len(codec.decode_for(list[msgspec.Raw]).value(encoded))
                if count < len(names):
                    return f"argument `{names[count]}` is missing"
                keywords = ", ".join(p.name for p in self.parameters if p.keyword)
                taken = f"{count} arguments where {len(names)} are taken ({', '.join(names) or 'none'})"
                return f"{taken}; by name only: {keywords}" if keywords else taken
        return text.replace("Object missing required field", "missing argument").replace(
            "Object contains unknown field", "unknown argument"
        )


def _field(parameter: Parameter) -> Any:
    """Return a parameter as `msgspec.defstruct` takes a field."""
    if parameter.required:
        return parameter.name, parameter.type
    return parameter.name, parameter.type, msgspec.field(default_factory=lambda: parameter.default)
