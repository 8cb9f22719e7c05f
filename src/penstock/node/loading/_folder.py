"""The modules of one folder of a user's code. Each folder has its own, also when another folder has files of the same names.

A module of a folder is in `sys.modules` under its plain name, or, where that name is taken, under the name with a suffix. The
`import` statements in a folder look into the folder first, whenever they run: they call an ``__import__`` of their own, which a
module finds in its ``__builtins__``. Modules of the standard library, and Penstock, are never looked for in a folder.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import importlib
import importlib.util
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_INIT: Final = "__init__.py"
_NEVER_HERE: Final = sys.stdlib_module_names | {"penstock"}


class Folder:
    """The modules of one folder. `folder_at` makes it, one for each path, for as long as the process lives.

    seen: its files that were run, each with the hash of its content. builtins: the ``__builtins__`` of its modules.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[Path, str] = {}
        self.seen: dict[Path, bytes] = {}
        self.builtins = {**vars(builtins), "__import__": self._import}

    def module(self, name: str) -> ModuleType | None:
        """Import a module of this folder, "worker" or "package.worker"; None when the folder does not have it.

        When a file of the folder has changed since it was run, all modules of the folder are run again: those from before stay
        with the objects that have them. Raises what a module raises; the modules from before are put back then.
        """
        top, dot, rest = name.partition(".")
        file = self._file_of(top)
        return None if file is None else self.run(file, f"{dot}{rest}")

    def run(self, file: Path, below: str = "") -> ModuleType:
        """As `module`, for a file of this folder with any name. below: the name of a module in a package, after a dot."""
        if str(self._path) not in sys.path:  # last: for programs that import by a name which they make up
            sys.path.append(str(self._path))
        with self._run_again_after_a_change():
            return importlib.import_module(self._name_of(file) + below)

    def plain(self, name: str | None) -> str:
        """Return the name of a module as the folder's own code writes it."""
        top, dot, rest = (name or "").partition(".")
        own = {known: _plain_name(file) for file, known in self._names.items()}
        return f"{own.get(top, top)}{dot}{rest}"

    def spec(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Find a module of this folder, or one in a package of it, by its name in `sys.modules`."""
        file = next((file for file, known in self._names.items() if known == name), None)
        if file is None:
            found = PathFinder.find_spec(name, path)
        elif file.is_dir():
            found = ModuleSpec(name, None, is_package=True)
            found.submodule_search_locations = [str(file)]
        else:
            found = importlib.util.spec_from_file_location(name, file)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _Loader(name, found.loader.path, self)
        return found

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what an `import` statement of this folder does."""
        if level == 0:
            top, dot, rest = name.partition(".")
            file = None if top in _NEVER_HERE else self._file_of(top)
            if file is not None:
                name = f"{self._name_of(file)}{dot}{rest}"
            elif _OWNERS.get(top, self) is not self:
                raise ModuleNotFoundError(f"No module named {top!r}", name=top)  # it is that of another folder
        return builtins.__import__(name, globals, locals, fromlist, level)

    def _file_of(self, name: str) -> Path | None:
        """Return the file, or the directory without an ``__init__.py``, of a module that is not in a package."""
        directory = self._path / name
        if (directory / _INIT).is_file():
            return directory / _INIT
        if (self._path / f"{name}.py").is_file():
            return self._path / f"{name}.py"
        return directory if directory.is_dir() and next(directory.glob("*.py"), None) is not None else None

    def _name_of(self, file: Path) -> str:
        """Return the name that a file has in `sys.modules`, and take that name at the first time."""
        known = self._names.get(file)
        if known is not None:
            return known
        name = _plain_name(file)
        if getattr(sys.modules.get(name), "__file__", None) == str(file):
            return name  # the program itself has imported it
        if not _is_free(name, file):
            name = f"{name}_{zlib.crc32(str(file).encode()):08x}"
        self._names[file] = name
        _OWNERS[name] = self
        return name

    @contextlib.contextmanager
    def _run_again_after_a_change(self) -> Iterator[None]:
        """Forget the modules of this folder when a file has changed; put them back when the block raises."""
        importlib.invalidate_caches()
        before, seen = {}, dict(self.seen)
        if any(_digest(file) != digest for file, digest in seen.items()):
            before = self._forget()
        try:
            yield
        except BaseException:
            if before:
                self._forget()
                sys.modules.update(before)
                self.seen = seen
            raise

    def _forget(self) -> dict[str, ModuleType]:
        """Take the modules of this folder out of `sys.modules`, and return them."""
        own = set(self._names.values())
        self.seen = {}
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in own}


#: The folders of this process, and the names in `sys.modules` that each has taken.
_FOLDERS: Final[dict[Path, Folder]] = {}
_OWNERS: Final[dict[str, Folder]] = {}


def folder_at(path: Path) -> Folder:
    """Return the modules of a folder."""
    path = path.resolve()
    return _FOLDERS.setdefault(path, Folder(path))


class _Finder(MetaPathFinder):
    """Finds the modules of folders by the names that these have taken."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        owner = _OWNERS.get(fullname.partition(".")[0])
        return None if owner is None else owner.spec(fullname, path)


sys.meta_path.insert(0, _Finder())


class _Loader(SourceFileLoader):
    """Runs a file of a folder: always from its source, because a cached file may be as old as a second."""

    def __init__(self, name: str, path: str, folder: Folder) -> None:
        super().__init__(name, path)
        self._folder = folder

    def get_code(self, fullname: str) -> Any:
        source = self.get_data(self.path)
        self._folder.seen[Path(self.path)] = hashlib.sha256(source).digest()
        return self.source_to_code(source, self.path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self._folder.builtins
        super().exec_module(module)


def _plain_name(file: Path) -> str:
    name = file.parent.name if file.name == _INIT else file.name.removesuffix(".py")
    return name.replace(".", "_")  # a dot would mean a package


def _is_free(name: str, file: Path) -> bool:
    """Whether no other module has this name, loaded or not."""
    if name in sys.modules:
        return False
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return True
    return found is None or found.origin == str(file) or found.submodule_search_locations == [str(file)]


def _digest(file: Path) -> bytes:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return b""  # it is gone
