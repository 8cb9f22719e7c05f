"""A manifest: a TOML file with the name, class, arguments and limits of one actor."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import msgspec

from penstock._files import open_regular
from penstock._outcomes import text_of
from penstock.actors import Actor, check_name
from penstock.actors.cell import Overflow
from penstock.auth import Access
from penstock.errors import InvalidArgument
from penstock.node.loading import Search, Unloadable, load
from penstock.service import hints_of, suggest

#: A manifest is written by hand; a larger file is something else.
MANIFEST_BYTES_MAX: Final = 1024 * 1024

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>.+)`$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>.+?)`")


class MailboxLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[limits]``: the mailbox. None leaves the value of the class."""

    mailbox_size: Positive | None = None
    overflow: Overflow | None = None


class Restarts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[supervision]``: how often, and how soon, the actor is restarted after a crash. Times are in seconds.

    None leaves the value of the node.
    """

    max_restarts: Count | None = None
    within: Seconds | None = None
    backoff: Seconds | None = None
    backoff_max: Seconds | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of a manifest, and the path of its file. access: the rights of clients to the actor and those below it."""

    name: str
    actor: str
    init: dict[str, Any] = {}
    limits: MailboxLimits = MailboxLimits()
    supervision: Restarts = Restarts()
    access: dict[str, list[str] | dict[str, list[str]]] | None = None
    path: str = ""

    def load(self) -> type[Actor]:
        """Import the class. Raises `InvalidArgument` that names file, key and reason."""
        try:
            loaded = load(self.actor, Search(Path(self.path).parent, _is_actor, "run"))
        except Unloadable as error:
            raise Unloadable(f"{self.path}: key `actor`: {error.message}", error.details) from error
        if not (isinstance(loaded, type) and _is_actor(loaded)):
            raise InvalidArgument(f"{self.path}: key `actor`: {self.actor} is not a class derived from penstock.Actor")
        return loaded

    def rights(self) -> Access | None:
        """Return ``[access]`` as a table; None without one. Raises `InvalidArgument` that names file, key and reason."""
        if self.access is None:
            return None
        for pattern in self.access:
            if pattern.removeprefix("/") != self.name and not pattern.removeprefix("/").startswith(f"{self.name}/"):
                raise wrong(
                    self.path, "access", f"{pattern!r} is not {self.name!r}, and does not begin with {self.name + '/'!r}"
                )
        return Access.from_table(self.access, f"{self.path}: key `access`")

    def arguments(self, cls: type[Actor]) -> dict[str, Any]:
        """Return ``[init]`` with the types of ``cls.__init__``. Raises `InvalidArgument` that names file, key and reason."""
        parameters = _parameters(cls)
        hints = _hints(cls)
        free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        named = [name for name, parameter in parameters.items() if parameter.kind not in _NOT_BY_NAME]
        for key in self.init:
            if key not in named and not free:
                raise self._wrong(f"init.{key}", f"{cls.__name__} has no parameter {key!r}; {_suggestion(key, named)}")
        for name in named:
            if parameters[name].default is inspect.Parameter.empty and name not in self.init:
                raise self._wrong(f"init.{name}", f"is missing; {cls.__name__} needs it")
        return {key: self._converted(key, value, hints.get(key, Any)) for key, value in self.init.items()}

    def _converted(self, key: str, value: Any, hint: Any) -> Any:
        try:
            return msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            raise self._wrong(*_placed(f"init.{key}", text_of(error))) from None
        except TypeError:  # a type that msgspec does not know: the class checks it
            return value

    def _wrong(self, key: str, reason: str) -> InvalidArgument:
        return wrong(self.path, key, reason)


_NOT_BY_NAME: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest. Raises `InvalidArgument` that names file, key and reason."""
    where = Path(path).expanduser().absolute()
    data = _toml(where)
    for key, names in _unknown_keys(data, Manifest):
        raise wrong(where, key, f"unknown key; {_suggestion(key.rpartition('.')[2], names)}")
    try:
        manifest = msgspec.convert({**data, "path": str(where)}, Manifest)
    except msgspec.ValidationError as error:
        key, reason = _placed("", text_of(error))
        choices = f"; it is one of {', '.join(get_args(Overflow))}" if key == "limits.overflow" else ""
        raise wrong(where, key, reason + choices) from None
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
    """Read a TOML file. Raises `InvalidArgument` that names the file and the reason."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            text = file.read(MANIFEST_BYTES_MAX + 1)
        if len(text) > MANIFEST_BYTES_MAX:
            raise InvalidArgument(f"{path} is larger than {MANIFEST_BYTES_MAX} bytes, so it is not a manifest")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror or error}{_beside(path)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error


def _beside(path: Path) -> str:
    files = [each.name for each in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    return f"; {suggest(path.name, files, 'files')}" if files and not path.exists() else ""


def _unknown_keys(data: Mapping[str, Any], cls: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Iterate over the keys that `cls` does not have, each with the keys that it has."""
    fields = {field.name: field.type for field in msgspec.structs.fields(cls) if field.name != "path"}
    for key, value in data.items():
        if key not in fields:
            yield f"{prefix}{key}", list(fields)
        elif isinstance(value, dict) and isinstance(fields[key], type) and issubclass(fields[key], msgspec.Struct):
            yield from _unknown_keys(value, fields[key], f"{prefix}{key}.")


def _placed(key: str, text: str) -> tuple[str, str]:
    """Return the key and the reason in an error text of msgspec; `key` is the prefix of the key."""
    place, missing = _PLACE.search(text), _MISSING.search(text)
    inner = place["path"] if place else ""
    parts = [part for part in (key, inner, missing["field"] if missing else "") if part]
    return ".".join(parts), "is missing" if missing else _PLACE.sub("", text)


def _suggestion(key: str, names: list[str]) -> str:
    return suggest(key, names) if names else "it has no parameters"


# ── the class ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_actor(cls: type) -> bool:
    return issubclass(cls, Actor) and cls is not Actor


def _parameters(cls: type[Actor]) -> dict[str, inspect.Parameter]:
    if cls.__init__ is object.__init__:
        return {}
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])


def _hints(cls: type[Actor]) -> dict[str, Any]:
    """Return the type hints of ``__init__``; an empty dict when they name types that only a type checker sees."""
    try:
        return hints_of(cls, "__init__")
    except NameError:
        return {}
