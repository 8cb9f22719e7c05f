"""Writes the files of a new project or actor. This module overwrites nothing."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Final

from penstock.cli._new import _texts as texts
from penstock.cli._run import Unusable

#: Of a file's name, with room for what is put around it.
NAME_MAX: Final = 100
_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


def new_project(name: str) -> tuple[list[str], list[str]]:
    """Make a folder with an actor, its manifest, a test and a README; return the files, and what to do next."""
    _check(name)
    folder = Path(name)
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise Unusable(f"{name} is there already, and nothing in it is touched; choose another name or remove it")
    files = {**_actor_files("counter"), "README.md": texts.README, ".gitignore": texts.GITIGNORE}
    made = _write(folder, files, _words("counter") | {"project": name})
    return made, [f"cd {name}", "penstock server counter.toml", *_second_terminal("counter")]


def new_actor(name: str) -> tuple[list[str], list[str]]:
    """Make an actor, its manifest and a test here; return the files, and what to do next."""
    _check(name)
    made = _write(Path(), _actor_files(name), _words(name))
    return made, [f"penstock server {name}.toml", *_second_terminal(name)]


def _second_terminal(name: str) -> list[str]:
    return [f'penstock request {name} \'{{"action": "add", "params": {{"count": 5}}}}\'   # in a second terminal', "pytest"]


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > NAME_MAX:
        raise Unusable(f"{name!r} is no name for this: small letters, digits, and _ or - between words, like chat_room")


def _words(name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    return {"name": name, "module": module, "Class": "".join(part.capitalize() for part in module.split("_"))}


def _actor_files(name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    return {f"{module}.py": texts.ACTOR, f"{name}.toml": texts.MANIFEST, f"test_{module}.py": texts.TEST}


def _write(folder: Path, files: dict[str, str], words: dict[str, str]) -> list[str]:
    paths = {folder / name: Template(text).substitute(words) for name, text in files.items()}
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise Unusable(f"{', '.join(there)} is there already, and nothing was written; choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise Unusable(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    return [str(path) for path in paths]
