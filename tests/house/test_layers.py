"""Imports only point down, third-party packages enter where it is written, nobody goes round by the front door."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch

from tests.house._source import PACKAGE, ROOT, imports, modules, short

# Each third-party package enters in one place; msgspec, the values themselves, and click, the shape of a command, in more.
MAY_IMPORT = {
    "backports": ["protocol/_compression.py"],
    "click": ["cli/*.py"],
    "compression": ["protocol/_compression.py"],
    "cryptography": ["transports/_certificate.py", "web/durable_streams/subscriptions/_signing.py"],  # two kinds of keys
    "h11": ["web/durable_streams/subscriptions/_webhook.py"],
    "jwt": ["auth/_jwt.py"],
    "msgspec": ["*.py"],
    "prompt_toolkit": ["cli/_prompt.py"],
    "psutil": ["demo/_metrics.py"],
    "rich": ["cli/_format/_outline.py", "cli/_format/_snapshot.py", "cli/_node/_top.py", "demo/_view.py"],
    "typing_extensions": ["calls/_context.py"],  # for type checkers, which bring it: nothing imports it when a program runs
    "uvicorn": ["web/_listener.py"],
    "uvloop": ["_loop.py"],
    "websockets": ["transports/websocket/_ends.py"],
}
APPLICATIONS = ("cli/", "demo/", "testing/")


def test_the_import_contract_is_kept():
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_third_party_package_enters_where_it_is_written():
    strangers = [
        f"{short(path)} imports {name}"
        for path in modules()
        for name, _ in imports(path)
        if _is_third_party(name) and not _may(path.relative_to(PACKAGE).as_posix(), name)
    ]
    assert not strangers


def test_no_permission_is_left_over():
    assert not [name for name, patterns in MAY_IMPORT.items() if not any(_mentions(pattern, name) for pattern in patterns)]


def _mentions(pattern: str, package: str) -> bool:
    return any(package in path.read_text(encoding="utf-8") for path in PACKAGE.rglob(pattern))


def test_only_applications_import_the_top_level():
    below = [path for path in modules() if not path.relative_to(PACKAGE).as_posix().startswith(APPLICATIONS)]
    assert not [
        short(path) for path in below if path.parent != PACKAGE and any(name == "penstock" for name, _ in imports(path))
    ]


def test_a_file_with_an_underscore_is_imported_only_inside_its_folder():
    guests = [
        f"{short(path)} imports {name}"
        for path in modules()
        for name, _ in imports(path)
        if name.startswith("penstock.") and _private_elsewhere(path.parent.relative_to(PACKAGE.parent).parts, name.split("."))
    ]
    assert not guests


def _private_elsewhere(folder: tuple[str, ...], target: list[str]) -> bool:
    private = next((at for at, part in enumerate(target) if at > 1 and part.startswith("_")), None)
    return private is not None and tuple(target[:private]) != folder[:private]


def _is_third_party(name: str) -> bool:
    top = name.partition(".")[0]
    return (top not in sys.stdlib_module_names and top not in {"penstock", "__future__"}) or top == "compression"


def _may(path: str, name: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in MAY_IMPORT.get(name.partition(".")[0], []))
