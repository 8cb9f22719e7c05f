"""Import the class or object that a text like `module:Class` or `path/to/file.py:Class` names."""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from penstock._outcomes import named
from penstock.errors import InvalidArgument
from penstock.node.loading._folder import folder_at
from penstock.service import suggest

#: Frames of these files are left out of tracebacks: they do not help the author of the loaded code.
_LOADER_FILES: Final = ("<frozen importlib", str(importlib.__file__), str(Path(__file__).parent))
#: How many classes an error lists.
_LISTED_MAX: Final = 5


class Unloadable(InvalidArgument):
    """A class or object cannot be loaded; the message says why.

    ``details["traceback"]`` shows the place in the user's own code, when that raised.
    """


class Search(NamedTuple):
    """The rules of a search.

    folder: relative paths and modules begin there. fits: tells whether a class may be meant, for the names that an
    error suggests. use: the verb that errors use for the purpose, like "serve".
    """

    folder: Path
    fits: Callable[[type], bool]
    use: str = "use"


def load(spec: str, search: Search) -> Any:
    """Import the object that `spec` names and return it.

    Each folder has modules of its own. When a file of the folder has changed since it was loaded, the modules of the folder are
    loaded again; objects that exist keep theirs. Raises `Unloadable` that says which part is missing, with a guess at the name
    that was meant.
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
    """Return the names of the classes that `module` itself defines and that may be meant."""
    classes = [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]
    return [cls.__name__ for cls in classes if search.fits(cls)]


# ── a module by its name ────────────────────────────────────────────────────────────────────────────────────────────


def _module(name: str, search: Search) -> ModuleType:
    """Import a module. A file in the folder of the search goes before a module of the same name elsewhere."""
    folder = folder_at(search.folder)
    try:
        return folder.module(name) or importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = folder.plain(error.name)
        if not missing or not f"{name}.".startswith(f"{missing}."):
            raise _raised(name, error) from error
        raise Unloadable(
            f"no module {missing!r} in {search.folder}; {suggest(missing, _modules_in(search.folder), 'modules')}"
        ) from None
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from error


def _modules_in(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.py")] + [path.parent.name for path in folder.glob("*/__init__.py")]


# ── a file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _file(name: str, search: Search) -> ModuleType:
    """Import a file. As when Python runs it, the file can import the modules beside it."""
    path = (search.folder / Path(name).expanduser()).resolve()
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise Unloadable(f"no file {name}" + (f"; {suggest(path.name, beside, 'files')}" if beside else ""))
    try:
        return folder_at(path.parent).run(path)
    except (Exception, SystemExit) as error:
        raise _raised(path.name, error) from error


# ── errors of the user's own code ───────────────────────────────────────────────────────────────────────────────────


def _raised(name: str, error: BaseException) -> Unloadable:
    return Unloadable(f"{name} could not be imported: {error_text(error)}", {"traceback": user_traceback(error, _LOADER_FILES)})


def error_text(error: BaseException) -> str:
    """Return the type and message of an error."""
    if isinstance(error, SystemExit):
        return "it ended the program; put the code that runs the program under `if __name__ == '__main__':`"
    return named(error)


def user_traceback(error: BaseException, own_files: tuple[str, ...]) -> str:
    """Return the traceback of an error without the frames of files whose path begins with one of `own_files`."""
    summary = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in summary.stack if not frame.filename.startswith(own_files)]
    summary.stack = traceback.StackSummary.from_list(frames)
    return "".join(summary.format(chain=False))
