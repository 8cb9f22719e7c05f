"""The pages of a reader: programs print what the page says, commands exist, links lead somewhere.

A Python block is a program when it begins with an import. On the line above a block may stand a comment: ``not run``, with the
reason, or ``beside``, with a command that serves while the program runs. A block with ``title="name.py"`` is also a file for
the programs below it, also when it is not run itself; one with tests is given to pytest.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import penstock
import penstock.web
from penstock import auth, errors, signalrpc, testing
from tests.house._source import ROOT, modules, short

MADE = {"docs/reference/command.md"}  # and docs/project/: docs/_site/pages.py writes them for the site, not for the repository
SITE = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
PAGES = ["README.md", "ARCHITECTURE.md", "PROTOCOL.md", "CONTRIBUTING.md", "SECURITY.md", *SITE]
README_LINES_MAX = 200
CHANGELOG_COLUMNS_MAX = 150
PROGRAM_SECONDS_MAX = 30
NOT_RUN = re.compile(r"<!-- not run: \w.+-->")
BESIDE = re.compile(r"<!-- beside: (?P<command>penstock .+) -->")
PORT = "7700"  # of the pages; a test takes a free one
PYTEST = ["-m", "pytest", "-q", "-o", "asyncio_default_fixture_loop_scope=function"]
_FENCE = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[\w.]+)\")?[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(#[^)]*)?\)")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    above: str
    title: str | None
    output: str | None

    @property
    def not_run(self) -> bool:
        return bool(NOT_RUN.fullmatch(self.above))

    @property
    def is_program(self) -> bool:
        return self.text.startswith(("import ", "from ")) and not self.not_run


@cache
def _text(page: str) -> str:
    path = ROOT / page
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _blocks(page: str) -> list[Block]:
    text = _text(page)
    fences = list(_FENCE.finditer(text))
    following = [*fences, None][1:] if fences else []
    return [_block(page, text, fence, after) for fence, after in zip(fences, following, strict=True)]


def _block(page: str, text: str, fence: re.Match[str], after: re.Match[str] | None) -> Block:
    before = text[: fence.start()].rstrip().rpartition("\n")[2]
    adjacent = after is not None and after["language"] == "text" and not text[fence.end() : after.start()].strip()
    output = after["text"] if after is not None and adjacent else None
    line = text.count("\n", 0, fence.start()) + 1
    return Block(page, line, fence["language"], fence["text"], before, fence["title"], output)


ALL = [block for page in PAGES for block in _blocks(page)]
PYTHON = [block for block in ALL if block.language in {"py", "python"}]
PROGRAMS = [block for block in PYTHON if block.is_program]
SHELL = [block for block in ALL if block.language in {"bash", "console", "sh", "shell"}]


def _commands(blocks: list[Block]) -> list[str]:
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.text.splitlines()]
    pieces = [piece.strip() for line in lines for piece in re.split(r"\||&&|;", line)]
    words = [piece.split() for piece in pieces if piece.startswith(("penstock ", "make "))]
    return sorted({f"{first} {second}" for first, second, *_ in words})


def _name(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_there(page):
    assert _text(page)


def test_the_readme_is_read_in_one_go():
    assert len(_text("README.md").splitlines()) <= README_LINES_MAX


def test_the_readme_begins_with_a_program_and_its_output():
    first = next((block for block in ALL if block.page == "README.md" and block.language == "python"), None)
    assert first is not None
    assert first in PROGRAMS
    assert first.output is not None


@pytest.mark.parametrize("block", PYTHON, ids=_name)
def test_python_on_a_page_is_python(block):
    ast.parse(block.text)


@pytest.mark.parametrize("block", PYTHON, ids=_name)
def test_python_on_a_page_is_run_or_says_why_not(block):
    assert block.is_program or block.not_run


@pytest.mark.processes
@pytest.mark.parametrize("block", PROGRAMS, ids=_name)
def test_a_program_on_a_page_prints_what_the_page_says(block, tmp_path):
    port = _free_port()
    for known in PYTHON:
        if known.page == block.page and known.title and known.line <= block.line:
            (tmp_path / known.title).write_text(known.text.replace(PORT, port), encoding="utf-8")
    name = block.title or "program.py"
    (tmp_path / name).write_text(block.text.replace(PORT, port), encoding="utf-8")
    with _beside(block, tmp_path, port):
        done = _run([*PYTEST, name] if "def test_" in block.text else [name], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    if block.output is not None:
        assert done.stdout == block.output


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder)},  # where a throw-away certificate goes
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


@contextlib.contextmanager
def _beside(block: Block, folder: Path, port: str) -> Iterator[None]:
    """Run the command that the page starts in another terminal, if it does, until the block ends."""
    command = BESIDE.fullmatch(block.above)
    if command is None:
        yield
        return
    words = shlex.split(command["command"].replace(PORT, port))
    arguments = [Path(sys.executable).with_name(words[0]), *words[1:]]
    with subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            assert any(line.startswith("at ") for line in server.stdout)
            yield
        finally:
            server.terminate()


@pytest.mark.processes
@pytest.mark.parametrize("command", [command for command in _commands(SHELL) if command.startswith("penstock ")])
def test_a_penstock_command_on_a_page_exists(command):
    word = command.split()[1]
    program = Path(sys.executable).with_name("penstock")
    arguments = [word] if word.startswith("-") else [word, "--help"]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PROGRAM_SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [command for command in _commands(SHELL) if command.startswith("make ")])
def test_a_make_target_on_a_page_exists(command):
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert command.split()[1] in targets


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_a_link_to_a_file_leads_to_one(page):
    targets = [match["target"] for match in _LINK.finditer(_FENCE.sub("", _text(page)))]
    assert not [target for target in targets if not ((ROOT / page).parent / target).exists()]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_a_file_named_on_a_page_is_there(page):
    prose = _FENCE.sub("", _text(page))
    named = re.findall(r"`((?:src|tests|examples|benchmarks|vectors)/[\w./-]+)`", prose)
    assert not [name for name in named if not (ROOT / name).exists()]


# ── the site ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _names() -> set[str]:
    """Every public name, as the reference calls it."""
    own = {name for name in penstock.__all__ if not hasattr(errors, name)} - {"errors", "Struct"}
    lab = {f"penstock.testing.{name}" for name in testing.__all__}
    web = {f"penstock.web.{name}" for name in penstock.web.__all__} - {"penstock.web.asgi"}
    web -= {f"penstock.web.{name}" for name in ("HttpListener", "admitted")}  # for signalrpc
    rpc = {f"penstock.signalrpc.{name}" for name in signalrpc.__all__}
    trust = {
        "Authenticator",
        "Authorize",
        "Trust",
        "expired",
        "hash_of",
        "line_of",
        "rule_of",
    }  # for other rooms
    known = {f"penstock.auth.{name}" for name in auth.__all__ if name not in trust}
    return {f"penstock.{name}" for name in own} | lab | web | rpc | known | {"penstock.errors", "penstock.from_thread"}


ABOUT_THE_SOURCE = ["ARCHITECTURE.md", "CONTRIBUTING.md", *(page for page in SITE if page.startswith("docs/explanation/"))]


@cache
def _source() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in modules())


@pytest.mark.parametrize("page", ABOUT_THE_SOURCE)
def test_a_file_of_the_source_that_a_page_names_is_there(page):
    files = {f"/{short(path)}" for path in modules()}
    named = re.findall(r"`((?:\w+/)*_\w+\.py)`", _FENCE.sub("", _text(page)))
    assert not [name for name in named if not any(file.endswith(f"/{name}") for file in files)]


@pytest.mark.parametrize("page", ABOUT_THE_SOURCE)
def test_a_class_or_constant_of_the_source_that_a_page_names_is_there(page):
    named = re.findall(r"`([A-Z]\w+)(?:\.\w+)?`", _FENCE.sub("", _text(page)))
    assert not [name for name in named if not re.search(rf"\b{name}\b", _source()) and name not in _text("PROTOCOL.md")]


def test_the_architecture_names_every_file_that_is_in_no_room():
    rooms = _text("ARCHITECTURE.md").partition("## The rooms")[2].partition("\n## ")[0]
    files = [path.name for path in (ROOT / "src" / "penstock").glob("*.py") if not path.name.startswith("__")]
    assert not [name for name in files if f"`{name}`" not in rooms]


def test_the_changelog_has_each_section_of_a_release_once_and_lines_that_fit():
    for release in re.split(r"^## ", _text("CHANGELOG.md"), flags=re.MULTILINE)[1:]:
        titles = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert len(titles) == len({*titles})
        lines = [line for line in release.splitlines() if not line.startswith("|")]
        assert not [line for line in lines if len(line) > CHANGELOG_COLUMNS_MAX]


def test_the_figures_name_machine_python_and_load_and_have_cpu_times_beside_rates():
    """FAULTS I2: in the README, and in the results that it is made from."""
    figures = _text("README.md").partition("## Figures")[2].partition("\n## ")[0]
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    machine = results["machine"]
    python = ".".join(results["versions"]["main"]["python"].split(".")[:2])
    for words in (machine["processor"], f"Python {python}", "load ", "µs of CPU an item"):
        assert words in figures, words
    for words in (machine["processor"], f"{machine['cores']} cores", f"Python {python}", f"{machine['load_after']} after"):
        assert words in _text("benchmarks/RESULTS.md"), words


def test_the_reference_has_every_public_name_and_no_other():
    shown = [name for page in SITE for name in re.findall(r"^::: ([\w.]+)$", _text(page), re.MULTILINE)]
    assert sorted(shown) == sorted(_names())


def test_every_page_of_the_site_is_in_its_navigation():
    assert _in_navigation() - _made() == set(SITE)


def _in_navigation() -> set[str]:
    pages = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return {f"docs/{page}" for page in pages}


def _made() -> set[str]:
    return MADE | {page for page in _in_navigation() if page.startswith("docs/project/")}
