"""A manifest: what to run, under which name, with what. This module starts nothing."""

from __future__ import annotations

import inspect
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from penstock.actors import Actor, check_name
from penstock.errors import InvalidArgument
from penstock.node._load import Search, Unloadable, load
from penstock.service import suggest

#: A manifest is written by hand; what is larger is some other file.
MANIFEST_BYTES_MAX: Final = 1024 * 1024

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Overflow = Literal["wait", "reject", "drop_oldest"]
_OVERFLOWS: Final[tuple[Overflow, ...]] = typing.get_args(Overflow)

_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>.+)`$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>.+?)`")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[limits]``: the mailbox. What is not given is as the class has it."""

    mailbox_size: Positive | None = None
    overflow: Overflow | None = None


class Restarts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[supervision]``: how often, and how soon, this actor is restarted after a crash. Times are in seconds."""

    max_restarts: Count | None = None
    within: Seconds | None = None
    backoff: Seconds | None = None
    backoff_max: Seconds | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a manifest says, and where it stood."""

    name: str
    actor: str
    init: dict[str, Any] = {}
    limits: Limits = Limits()
    supervision: Restarts = Restarts()
    path: str = ""

    def load(self) -> type[Actor]:
        """Import the class. Raises `InvalidArgument` that names file, key and reason."""
        try:
            found = load(self.actor, Search(Path(self.path).parent, _is_actor, "run"))
        except Unloadable as error:
            raise Unloadable(f"{self.path}: key `actor`: {error.message}", error.details) from error
        if not (isinstance(found, type) and _is_actor(found)):
            raise InvalidArgument(f"{self.path}: key `actor`: {self.actor} is no class derived from penstock.Actor")
        return found

    def arguments(self, cls: type[Actor]) -> dict[str, Any]:
        """Return ``[init]`` as `cls` takes it. Raises `InvalidArgument` that names file, key and reason."""
        parameters = _parameters(cls)
        hints = _hints(cls)
        free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        named = [name for name, parameter in parameters.items() if parameter.kind not in _NOT_BY_NAME]
        for key in self.init:
            if key not in named and not free:
                raise self._wrong(f"init.{key}", f"{cls.__name__} takes no {key!r}; {_meant(key, named)}")
        for name in named:
            if parameters[name].default is inspect.Parameter.empty and name not in self.init:
                raise self._wrong(f"init.{name}", f"is missing, and {cls.__name__} needs it")
        return {key: self._converted(key, value, hints.get(key, Any)) for key, value in self.init.items()}

    def _converted(self, key: str, value: Any, hint: Any) -> Any:
        try:
            return msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            raise self._wrong(*_placed(f"init.{key}", str(error))) from None
        except TypeError:  # a type that msgspec does not know is the class's own affair
            return value

    def _wrong(self, key: str, reason: str) -> InvalidArgument:
        return wrong(self.path, key, reason)


_NOT_BY_NAME: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest. Raises `InvalidArgument` that names file, key and reason."""
    where = Path(path).expanduser().absolute()
    data = _toml(where)
    for key, known in _unknown_keys(data, Manifest):
        raise wrong(where, key, f"is not known; {_meant(key.rpartition('.')[2], known)}")
    try:
        manifest = msgspec.convert({**data, "path": str(where)}, Manifest)
    except msgspec.ValidationError as error:
        key, reason = _placed("", str(error))
        meant = f"; it is one of {', '.join(_OVERFLOWS)}" if key == "limits.overflow" else ""
        raise wrong(where, key, reason + meant) from None
    try:
        check_name(manifest.name)
    except InvalidArgument as error:
        raise wrong(where, "name", error.message) from None
    if manifest.actor.endswith(".wasm"):
        raise wrong(where, "actor", f"{manifest.actor}: actors in WebAssembly cannot be run yet; name a Python class")
    return manifest


def wrong(path: str | Path, key: str, reason: str) -> InvalidArgument:
    """Make the error about one key of a manifest."""
    return InvalidArgument(f"{path}: key `{key}`: {reason}")


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MANIFEST_BYTES_MAX + 1)
        if len(text) > MANIFEST_BYTES_MAX:
            raise InvalidArgument(f"{path} is larger than {MANIFEST_BYTES_MAX} bytes, so it is no manifest")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror or error}{_beside(path)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{path} is no TOML: {error}") from error


def _beside(path: Path) -> str:
    found = [each.name for each in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    return f"; {suggest(path.name, found)}" if found and not path.exists() else ""


def _unknown_keys(data: Mapping[str, Any], kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Iterate over the keys that `kind` has not, each with those that it has."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind) if field.name != "path"}
    for key, value in data.items():
        if key not in fields:
            yield f"{prefix}{key}", list(fields)
        elif isinstance(value, dict) and isinstance(fields[key], type) and issubclass(fields[key], msgspec.Struct):
            yield from _unknown_keys(value, fields[key], f"{prefix}{key}.")


def _placed(key: str, text: str) -> tuple[str, str]:
    """Return key and reason from what msgspec says."""
    found, missing = _PLACE.search(text), _MISSING.search(text)
    inner = found["path"] if found else ""
    parts = [part for part in (key, inner, missing["field"] if missing else "") if part]
    return ".".join(parts), "is missing" if missing else _PLACE.sub("", text)


def _meant(key: str, known: list[str]) -> str:
    return suggest(key, known) if known else "it takes nothing"


# ── the class ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_actor(kind: type) -> bool:
    return issubclass(kind, Actor) and kind is not Actor


def _parameters(cls: type[Actor]) -> dict[str, inspect.Parameter]:
    if cls.__init__ is object.__init__:
        return {}
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])


def _hints(cls: type[Actor]) -> dict[str, Any]:
    """Return the hints of ``__init__``; none where they name what only a type checker sees."""
    try:
        return typing.get_type_hints(cls.__init__, include_extras=True)
    except NameError:
        return {}
