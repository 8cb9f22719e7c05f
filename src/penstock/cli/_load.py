"""`module:Class`, `module:object` or `path/to/file.py:name` to a service. This module never opens a connection."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from penstock.cli._run import Unusable
from penstock.rpc import service_of, unknown

#: Frames of these files are no news to who wrote the service.
_NOT_THEIRS: Final = ("<frozen importlib", str(importlib.__file__), str(Path(__file__).parent))


def load(spec: str) -> object:
    """Import what `spec` names. Raises `Unusable` that says what is missing and what may have been meant."""
    where, _colon, name = spec.rpartition(":") if not spec.endswith(".py") else (spec, "", "")
    if not where:
        where, name = spec, ""
    module = _file(where) if where.endswith(".py") or os.sep in where else _module(where)
    if not name:
        found = _services(module)
        listed = " or ".join(f"{where}:{each}" for each in found[:5]) if found else f"{where}:Class"
        raise Unusable(f"{spec} names no class; say which one to serve: {listed}")
    return _attribute(module, where, name)


async def make(found: Any, spec: str, stack: AsyncExitStack) -> object:
    """Return the service that was found: an object as it is, one made of a class, or what a function returns.

    What is an async context manager is entered, and left when `stack` is. Raises `Unusable`.
    """
    if inspect.isclass(found) and not hasattr(found, "__aenter__"):
        _check_service(found, spec)
    if inspect.isclass(found) or inspect.isroutine(found):
        _check_parameters(found, spec)
    try:
        made = await _made(found, stack)
    except Exception as error:
        raise Unusable(f"{spec} could not be made: {_raised(error)}") from error
    _check_service(type(made), spec)
    return made


async def _made(found: Any, stack: AsyncExitStack) -> Any:
    made: Any = found() if inspect.isclass(found) or inspect.isroutine(found) else found
    if inspect.isawaitable(made):
        made = await made
    opening: Any = made
    return await stack.enter_async_context(opening) or made if hasattr(made, "__aenter__") else made


def _check_service(kind: type, spec: str) -> None:
    try:
        service_of(kind)
    except TypeError as error:
        raise Unusable(f"{spec} cannot be served: {error}") from None


def _check_parameters(found: Any, spec: str) -> None:
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        name = spec.rpartition(":")[2]
        raise Unusable(
            f"{spec} needs arguments ({error}); write `def make(): return {name}(…)` beside it and serve that, "
            f"{spec.rpartition(':')[0]}:make"
        ) from None
    except ValueError:  # built in, without a signature: it will say so itself
        return


# ── import ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise Unusable(f"{name} could not be imported: {_raised(error)}") from error
        raise Unusable(f"there is no module {error.name!r} here ({here}); {unknown(error.name, _modules_here())}") from None
    except (Exception, SystemExit) as error:
        raise Unusable(f"{name} could not be imported: {_raised(error)}") from error


def _modules_here() -> list[str]:
    files = [path.stem for path in Path.cwd().glob("*.py")]
    return files + [path.parent.name for path in Path.cwd().glob("*/__init__.py")]


def _file(name: str) -> ModuleType:
    """Import a file as Python runs one: what lies beside it can be imported."""
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise Unusable(f"there is no file {name}" + (f"; {unknown(path.name, beside)}" if beside else ""))
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    return _run_file(path, path.stem if loaded is None else f"served_{path.stem}")


def _run_file(path: Path, name: str) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Unusable(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Unusable(f"{path.name} could not be imported: {_raised(error)}") from error
    return module


def _attribute(module: ModuleType, where: str, name: str) -> object:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = _services(module) or [each for each in vars(module) if not each.startswith("_")]
            raise Unusable(f"{where} has no {name!r}; {unknown(name, known)}")
        found = getattr(found, part)
    return found


def _services(module: ModuleType) -> list[str]:
    """Return the names of the classes written in `module` that could be served."""
    classes = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    return [kind.__name__ for kind in classes if _can_be_served(kind)]


def _can_be_served(kind: type) -> bool:
    try:
        service_of(kind)
    except TypeError:
        return False
    return True


# ── what the user's own code raised ───────────────────────────────────────────────────────────────────────────────────


def _raised(error: BaseException) -> str:
    """Show where the user's code raised, and return what."""
    shown = traceback.TracebackException.from_exception(error)
    shown.stack = traceback.StackSummary.from_list([frame for frame in shown.stack if _is_theirs(frame)])
    print("".join(shown.format(chain=False)), file=sys.stderr, end="")
    if isinstance(error, SystemExit):
        return "it ended the program; what runs it belongs under `if __name__ == '__main__':`"
    return f"{type(error).__name__}: {error}"


def _is_theirs(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith(_NOT_THEIRS)
