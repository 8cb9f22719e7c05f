"""Where the sides run: Pythons that have the peers installed. This module installs into `benchmarks/.peers/` and nowhere else.

The `main` one is this Python's version. Casty wants Python ≥ 3.12; when this one is older, the newest other Python of the
machine becomes the `modern` one, and Penstock is measured there a second time, so that both run on the same interpreter.
`casty30` is the `modern` one once more, with the newer of the two Castys: both distributions have one name.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_OWN_NAME = "penstock"
_MODERN = ((3, 14), (3, 13), (3, 12))
_MODERN_LEAST = (3, 12)
_PROBE = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps([sys.version.split()[0], {d.name: d.version for d in m.distributions()}]))"
)
#: What the versions table of the results names.
NAMED = (
    "anyio",
    "casty",
    "fastapi",
    "grpcio",
    "msgspec",
    "nats-py",
    "protobuf",
    "pykka",
    "rsocket",
    "sse-starlette",
    "thespian",
    "uvloop",
)
_NEWER_CASTY = "casty==0.30.2"


@dataclass(frozen=True)
class Interpreter:
    """A Python with what could be installed into it."""

    python: str
    version: str
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Short name: "Python 3.13"."""
        return "Python " + ".".join(self.version.split(".")[:2])

    def named(self) -> dict[str, str]:
        """Versions of the packages that matter for the results."""
        return {name: self.packages[name] for name in NAMED if name in self.packages}


def find_interpreters(say: Callable[[str], None]) -> dict[str, Interpreter]:
    """Return "main", and "modern" and "casty30" when there is a Python ≥ 3.12; installs the peers on the first run."""
    found = {"main": _provide(sys.executable, sys.version_info[:2], say)}
    ours = (sys.executable, sys.version_info[:2])
    modern = ours if sys.version_info >= _MODERN_LEAST else next(_other_pythons(), None)
    if modern is not None:
        found["modern"] = _provide(*modern, say)
        found["casty30"] = _provide(*modern, say, newer_casty=True)
    return found


def _other_pythons() -> Iterator[tuple[str, tuple[int, int]]]:
    for major, minor in _MODERN:
        name = f"python{major}.{minor}"
        candidates = [shutil.which(name), *map(str, Path.home().glob(f".pyenv/versions/{major}.{minor}.*/bin/{name}"))]
        for python in candidates:
            if python and _runs(python):
                yield python, (major, minor)


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def _provide(python: str, version: tuple[int, int], say: Callable[[str], None], *, newer_casty: bool = False) -> Interpreter:
    home = _HERE / ".peers" / (f"py{version[0]}{version[1]}" + ("-casty30" if newer_casty else ""))
    inside = home / "bin" / "python"
    wanted = _requirements()
    if newer_casty:
        wanted = [_NEWER_CASTY if requirement.startswith("casty==") else requirement for requirement in wanted]
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(wanted):
        say(f"installing the peers for Python {version[0]}.{version[1]} into benchmarks/.peers (once)")
        subprocess.run([python, "-m", "venv", str(home)], check=True)
        _install(str(inside), wanted)
        stamp.write_text("\n".join(wanted))
    return _probe(str(inside))


def _install(python: str, wanted: list[str]) -> None:
    """Install all at once, or else one by one: a peer that cannot be had is reported, it does not stop the rest."""
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, *wanted], capture_output=True, check=False).returncode:
        for requirement in wanted:
            subprocess.run([*pip, requirement], capture_output=True, check=False)


def _requirements() -> list[str]:
    """What `pip install penstock[bench]` would install, without Penstock itself: the sides import it from `src`."""
    project = tomllib.loads((_HERE.parent / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]

    def expand(requirements: list[str]) -> Iterator[str]:
        for requirement in requirements:
            if requirement.startswith(f"{_OWN_NAME}["):
                for extra in requirement[len(_OWN_NAME) + 1 : -1].split(","):
                    yield from expand(extras[extra])
            else:
                yield requirement

    return sorted(set(expand(project["dependencies"] + extras["bench"])))


def _probe(python: str) -> Interpreter:
    out = subprocess.run([python, "-c", _PROBE], capture_output=True, check=True, text=True).stdout
    version, packages = json.loads(out)
    return Interpreter(python, version, packages)
