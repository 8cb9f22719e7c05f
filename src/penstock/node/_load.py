"""Import the class or object that a text like `module:Class` or `path/to/file.py:Class` names."""

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

#: Frames of these files are left out of tracebacks: they do not help the author of the loaded code.
_LOADER_FILES: Final = ("<frozen importlib", str(importlib.__file__), __file__)
#: How many classes an error lists.
_LISTED_MAX: Final = 5


class Unloadable(InvalidArgument):
    """A class or object cannot be loaded; the message says why.

    ``details["traceback"]`` shows the place in the user's own code, when that raised.
    """


class Search(NamedTuple):
    """The rules of a search.

    folder: relative paths and modules begin there. fits: tells whether a class is of the right kind, for the names that an
    error suggests. use: the verb that errors use for the purpose, like "serve".
    """

    folder: Path
    fits: Callable[[type], bool]
    use: str = "use"


def load(spec: str, search: Search) -> Any:
    """Import the object that `spec` names and return it.

    A file that has changed since it was loaded is loaded again; the modules that it imports are not. Raises `Unloadable`
    that says which part is missing, with a guess at the name that was meant.
    """
    where, _colon, name = spec.rpartition(":") if not spec.endswith(".py") else (spec, "", "")
    if not where:
        where, name = spec, ""
    module = _file(where, search) if where.endswith(".py") or os.sep in where else _module(where, search)
    if not name:
        classes = _fitting(module, search)
        listed = " or ".join(f"{where}:{each}" for each in classes[:_LISTED_MAX]) if classes else f"{where}:Class"
        raise Unloadable(f"{spec} does not name a class; say which one to {search.use}: {listed}")
    return _attribute(module, where, name, search)


def _attribute(module: ModuleType, where: str, name: str, search: Search) -> Any:
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            names = _fitting(module, search) or [each for each in vars(module) if not each.startswith("_")]
            raise Unloadable(f"{where} has no {name!r}; {suggest(name, names)}")
        value = getattr(value, part)
    return value


def _fitting(module: ModuleType, search: Search) -> list[str]:
    """Return the names of the classes of the right kind that `module` itself defines."""
    classes = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    return [kind.__name__ for kind in classes if search.fits(kind)]


# ── a module by its name ────────────────────────────────────────────────────────────────────────────────────────────


def _module(name: str, search: Search) -> ModuleType:
    """Import a module. A file in the folder of the search goes before a module of the same name elsewhere."""
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
            f"no module {error.name!r} in {here}; {suggest(error.name, _modules_in(search.folder), 'modules')}"
        ) from None
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from error
    _refuse_namesake(module, name, search.folder)
    return module


def _refuse_namesake(module: ModuleType, name: str, folder: Path) -> None:
    """Raise `Unloadable` for a package of the folder whose name another folder's package has taken in this process."""
    top = name.partition(".")[0]
    loaded = getattr(module, "__file__", None) or ""
    if (folder / top).is_dir() and loaded and not Path(loaded).resolve().is_relative_to(folder.resolve()):
        raise Unloadable(
            f"{name} is loaded from {loaded} already; one process cannot load {top!r} from {folder} as well: rename one of them"
        )


def _modules_in(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.py")] + [path.parent.name for path in folder.glob("*/__init__.py")]


# ── a file ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#: The loaded files with the hash of their content: one entry for each file, for as long as the process lives.
_loaded: Final[dict[Path, tuple[bytes, ModuleType]]] = {}


def _file(name: str, search: Search) -> ModuleType:
    path = (search.folder / Path(name).expanduser()).resolve()
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise Unloadable(f"no file {name}" + (f"; {suggest(path.name, beside, 'files')}" if beside else ""))
    return _run_once(path, path.name)


def _run_once(path: Path, called: str) -> ModuleType:
    """Import a file, once for each content. As when Python runs it, the file can import the modules beside it."""
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise Unloadable(f"{path} cannot be read: {error.strerror or error}") from error
    before = _loaded.get(path)
    if before is not None and before[0] == digest:
        return before[1]
    module = sys.modules.get(path.stem)
    if before is not None or module is None or getattr(module, "__file__", None) != str(path):
        module = _run(path, _name_for(path, before[1] if before else None), called)
    _loaded[path] = digest, module
    return module


def _name_for(path: Path, before: ModuleType | None) -> str:
    if before is not None:
        return before.__name__
    return path.stem if path.stem not in sys.modules else f"{path.stem}_{zlib.crc32(str(path).encode()):08x}"


def _run(path: Path, name: str, called: str) -> ModuleType:
    """Run a file as the module `name`. When it raises, the module of that name before it is put back."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Unloadable(f"{path} is not a Python file")
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


# ── errors of the user's own code ───────────────────────────────────────────────────────────────────────────────────


def _raised(name: str, error: BaseException) -> Unloadable:
    return Unloadable(f"{name} could not be imported: {error_text(error)}", {"traceback": user_traceback(error, _LOADER_FILES)})


def error_text(error: BaseException) -> str:
    """Return the type and message of an error."""
    if isinstance(error, SystemExit):
        return "it ended the program; put the code that runs the program under `if __name__ == '__main__':`"
    return f"{type(error).__name__}: {error}"


def user_traceback(error: BaseException, own_files: tuple[str, ...]) -> str:
    """Return the traceback of an error without the frames of files whose path begins with one of `own_files`."""
    summary = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in summary.stack if not frame.filename.startswith(own_files)]
    summary.stack = traceback.StackSummary.from_list(frames)
    return "".join(summary.format(chain=False))
