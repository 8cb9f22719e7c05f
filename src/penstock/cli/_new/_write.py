"""Writes the files of a new project or actor. It never overwrites a file."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Final

from penstock.cli._new import _templates as templates
from penstock.cli._run import Unusable

#: Characters of a name: file names add a prefix and a suffix to it.
PROJECT_NAME_MAX: Final = 100
_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


def new_project(name: str) -> tuple[list[str], list[str]]:
    """Make a folder with an actor, its manifest, a test and a README; return the files, and the next commands."""
    _check(name)
    folder = Path(name)
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise Unusable(f"{name} exists already and is left as it is; choose another name or remove it")
    files = {**_actor_files("counter"), "README.md": templates.README, ".gitignore": templates.GITIGNORE}
    made = _write(folder, files, _words("counter") | {"project": name})
    return made, [f"cd {name}", "penstock server counter.toml", *_second_terminal("counter")]


def new_actor(name: str) -> tuple[list[str], list[str]]:
    """Make an actor, its manifest and a test in this folder; return the files, and the next commands."""
    _check(name)
    made = _write(Path(), _actor_files(name), _words(name))
    return made, [f"penstock server {name}.toml", *_second_terminal(name)]


def _second_terminal(name: str) -> list[str]:
    return [f'penstock request {name} \'{{"action": "add", "params": {{"count": 5}}}}\'   # in a second terminal', "pytest"]


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > PROJECT_NAME_MAX:
        raise Unusable(f"{name!r} cannot be a name; use lower-case letters, digits, and _ or - between words, like chat_room")


def _words(name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    return {"name": name, "module": module, "Class": "".join(part.capitalize() for part in module.split("_"))}


def _actor_files(name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    return {f"{module}.py": templates.ACTOR, f"{name}.toml": templates.MANIFEST, f"test_{module}.py": templates.TEST}


def _write(folder: Path, files: dict[str, str], words: dict[str, str]) -> list[str]:
    """Write all files, or none when one of them exists. Raises `Unusable`."""
    paths = {folder / name: Template(text).substitute(words) for name, text in files.items()}
    there = [str(path) for path in paths if path.exists()]
    if there:
        verb = "exist" if there[1:] else "exists"
        raise Unusable(f"{', '.join(there)} {verb} already, and no file was written; choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise Unusable(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    return [str(path) for path in paths]
