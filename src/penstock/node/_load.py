"""`module:Class`, `module:object` or `path/to/file.py:name` to what it names. This module prints nothing."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from penstock.errors import InvalidArgument
from penstock.service import suggest

#: Frames of these files are no news to who wrote what is loaded.
_NOT_THEIRS: Final = ("<frozen importlib", str(importlib.__file__), __file__)
#: How many names are listed as what may have been meant.
_LISTED_MAX: Final = 5


class Unloadable(InvalidArgument):
    """What is named cannot be loaded; the message says why.

    ``details["traceback"]`` shows where the user's own code raised, where it did.
    """


class Search(NamedTuple):
    """What to look for: `folder` is where names begin, `fits` tells a class that would do, `use` is the verb for messages."""

    folder: Path
    fits: Callable[[type], bool]
    use: str = "use"


def load(spec: str, search: Search) -> Any:
    """Import what `spec` names and return it.

    A file that has changed since it was loaded is loaded anew; what it imports is not. Raises `Unloadable` that says what is
    missing and what may have been meant.
    """
    where, _colon, name = spec.rpartition(":") if not spec.endswith(".py") else (spec, "", "")
    if not where:
        where, name = spec, ""
    module = _file(where, search) if where.endswith(".py") or os.sep in where else _module(where, search)
    if not name:
        found = _fitting(module, search)
        listed = " or ".join(f"{where}:{each}" for each in found[:_LISTED_MAX]) if found else f"{where}:Class"
        raise Unloadable(f"{spec} names no class; say which one to {search.use}: {listed}")
    return _attribute(module, where, name, search)


def _attribute(module: ModuleType, where: str, name: str, search: Search) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = _fitting(module, search) or [each for each in vars(module) if not each.startswith("_")]
            raise Unloadable(f"{where} has no {name!r}; {suggest(name, known)}")
        found = getattr(found, part)
    return found


def _fitting(module: ModuleType, search: Search) -> list[str]:
    """Return the names of the classes written in `module` that would do."""
    classes = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    return [kind.__name__ for kind in classes if search.fits(kind)]


# ── a module by its name ──────────────────────────────────────────────────────────────────────────────────────────────


def _module(name: str, search: Search) -> ModuleType:
    """Import a module; one that lies in the folder is that one, whatever other folder has one of the same name."""
    beside = search.folder / f"{name}.py"
    if beside.is_file():
        return _run_once(beside.resolve(), name)
    here = str(search.folder)
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _raised(name, error) from error
        raise Unloadable(
            f"there is no module {error.name!r} here ({here}); {suggest(error.name, _modules_in(search.folder))}"
        ) from None
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from error
    _refuse_namesake(module, name, search.folder)
    return module


def _refuse_namesake(module: ModuleType, name: str, folder: Path) -> None:
    """A package that another folder has loaded under the same name is not what is meant by the one in this folder."""
    top = name.partition(".")[0]
    loaded = getattr(module, "__file__", None) or ""
    if (folder / top).is_dir() and loaded and not Path(loaded).resolve().is_relative_to(folder.resolve()):
        raise Unloadable(f"{name} is loaded from {loaded}; this process cannot hold the {top!r} of {folder} too: rename one")


def _modules_in(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.py")] + [path.parent.name for path in folder.glob("*/__init__.py")]


# ── a file ────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: The files that were loaded, with what they held: one for each file, for as long as the process lives.
_loaded: Final[dict[Path, tuple[bytes, ModuleType]]] = {}


def _file(name: str, search: Search) -> ModuleType:
    path = (search.folder / Path(name).expanduser()).resolve()
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise Unloadable(f"there is no file {name}" + (f"; {suggest(path.name, beside)}" if beside else ""))
    return _run_once(path, path.name)


def _run_once(path: Path, called: str) -> ModuleType:
    """Import a file as Python runs one, once for each content: what lies beside it can be imported."""
    try:
        held = hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise Unloadable(f"{path} cannot be read: {error.strerror or error}") from error
    known = _loaded.get(path)
    if known is not None and known[0] == held:
        return known[1]
    module = sys.modules.get(path.stem)
    if known is not None or module is None or getattr(module, "__file__", None) != str(path):
        module = _run(path, _name_for(path, known[1] if known else None), called)
    _loaded[path] = held, module
    return module


def _name_for(path: Path, before: ModuleType | None) -> str:
    if before is not None:
        return before.__name__
    return path.stem if path.stem not in sys.modules else f"{path.stem}_{zlib.crc32(str(path).encode()):08x}"


def _run(path: Path, name: str, called: str) -> ModuleType:
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Unloadable(f"{path} is no Python file")
    module, before = importlib.util.module_from_spec(spec), sys.modules.get(name)
    sys.modules[name] = module  # type hints are looked up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        _put_back(name, before)
        raise _raised(called, error) from error
    return module


def _put_back(name: str, before: ModuleType | None) -> None:
    del sys.modules[name]
    if before is not None:
        sys.modules[name] = before


# ── what the user's own code raised ───────────────────────────────────────────────────────────────────────────────────


def _raised(what: str, error: BaseException) -> Unloadable:
    return Unloadable(f"{what} could not be imported: {said(error)}", {"traceback": shown(error, _NOT_THEIRS)})


def said(error: BaseException) -> str:
    """Return what an error says, with its type."""
    if isinstance(error, SystemExit):
        return "it ended the program; what runs it belongs under `if __name__ == '__main__':`"
    return f"{type(error).__name__}: {error}"


def shown(error: BaseException, not_theirs: tuple[str, ...]) -> str:
    """Return the traceback of an error without the frames of files whose path begins with one of `not_theirs`."""
    found = traceback.TracebackException.from_exception(error)
    theirs = [frame for frame in found.stack if not frame.filename.startswith(not_theirs)]
    found.stack = traceback.StackSummary.from_list(theirs)
    return "".join(found.format(chain=False))
