"""What a reader can copy works: programs print what the page says, commands exist, links lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.house._source import ROOT

PAGES = ["README.md", "ARCHITECTURE.md", "PROTOCOL.md", "CONTRIBUTING.md", "docs/actors.md", "docs/node.md"]
PROGRAM_SECONDS_MAX = 30
NOT_RUN = re.compile(r"<!-- not run: \w.+-->")  # on the line above a block, with the reason
_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(#[^)]*)?\)")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    not_run: bool
    output: str | None


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
    return Block(page, line, fence["language"], fence["text"], bool(NOT_RUN.fullmatch(before)), output)


ALL = [block for page in PAGES for block in _blocks(page)]
PYTHON = [block for block in ALL if block.language in {"py", "python"}]
PROGRAMS = [block for block in PYTHON if block.text.startswith(("import ", "from ")) and not block.not_run]
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


def test_the_readme_begins_with_a_program_and_its_output():
    first = next((block for block in ALL if block.page == "README.md" and block.language == "python"), None)
    assert first is not None
    assert first in PROGRAMS
    assert first.output is not None


@pytest.mark.parametrize("block", PYTHON, ids=_name)
def test_python_on_a_page_is_python(block):
    ast.parse(block.text)


@pytest.mark.processes
@pytest.mark.parametrize("block", PROGRAMS, ids=_name)
def test_a_program_on_a_page_prints_what_the_page_says(block, tmp_path):
    (tmp_path / "program.py").write_text(block.text, encoding="utf-8")
    command = [sys.executable, "-W", "error", "program.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if block.output is not None:
        assert done.stdout == block.output


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
    prose = _FENCE.sub("", _text(page))
    assert not [
        match["target"] for match in _LINK.finditer(prose) if not (ROOT / page).parent.joinpath(match["target"]).exists()
    ]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_a_file_named_on_a_page_is_there(page):
    prose = _FENCE.sub("", _text(page))
    named = re.findall(r"`((?:src|tests|examples|benchmarks|vectors)/[\w./-]+)`", prose)
    assert not [name for name in named if not (ROOT / name).exists()]
