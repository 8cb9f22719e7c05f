"""Write the pages of the site: those under docs/, those at the top of the repository, and the help of the command.

The pages stay where a reader of the repository looks for them, and link to each other there. In the copies that this writes to
build/docs/, a link leads to the page of the site; a link to another file of the repository becomes its name. `make docs` runs
this first.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
MADE: Final = ROOT / "build" / "docs"

#: A page at the top of the repository, and where it stands on the site.
PAGES: Final = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "PROTOCOL.md": "project/protocol.md",
    "README.md": "project/readme.md",
    "SECURITY.md": "project/security.md",
    "examples/README.md": "project/examples.md",
}
COMMAND: Final = "reference/command.md"
COMMAND_HEAD: Final = """\
# The command

This is what `penstock COMMAND --help` prints. [A node](../howto/node.md) introduces the commands that talk to a node,
[Services](../howto/services.md#the-command-line) those that talk to services.
"""
COLUMNS: Final = 88
#: A program on a page; there are no links in it.
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s:#]*)(?P<anchor>#[^)\s]*)?\)")


def main() -> None:
    """Write every page of the site anew."""
    shutil.rmtree(MADE, ignore_errors=True)
    shutil.copytree(DOCS / "assets", MADE / "assets")
    own = {path.relative_to(ROOT).as_posix(): path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    for source, page in (PAGES | own).items():
        _write(page, with_links((ROOT / source).read_text(encoding="utf-8"), source, page))
    _write(COMMAND, f"{COMMAND_HEAD}\n{command_help()}\n")


def _write(page: str, text: str) -> None:
    path = MADE / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def with_links(text: str, source: str, page: str) -> str:
    """Return a page of the repository with its links turned to the site."""
    folders = posixpath.dirname(source), posixpath.dirname(page)
    fences = [*_FENCE.findall(text), ""]
    prose = [_LINK.sub(lambda link: _turned(link, *folders), piece) for piece in _FENCE.split(text)]
    return "".join(piece for pair in zip(prose, fences, strict=True) for piece in pair)


def _turned(link: re.Match[str], source_folder: str, page_folder: str) -> str:
    target, anchor, text = link["target"], link["anchor"] or "", link["text"]
    if not target:
        return link[0]
    path = posixpath.normpath(posixpath.join(source_folder, target))
    inside = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
    if inside:
        return f"[{text}]({posixpath.relpath(inside, page_folder)}{anchor})"
    return text if text.startswith("`") else f"{text} (`{path}`)"


def command_help() -> str:
    """Return the help of every command, under a heading each."""
    from penstock.cli._commands import commands

    os.environ["COLUMNS"] = str(COLUMNS)
    return "\n\n".join(_help(commands, _context(commands, "penstock", None), 2))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    wide = {"terminal_width": COLUMNS, "max_content_width": COLUMNS}
    return click.Context(command, info_name=name, parent=parent, **{**command.context_settings, **wide})


def _help(command: click.Command, context: click.Context, level: int) -> list[str]:
    heading = "#" * level + " " + context.command_path
    shown = [f"{heading}\n\n```text\n{click.unstyle(command.get_help(context)).rstrip()}\n```"]
    if not isinstance(command, click.Group):
        return shown
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            shown += _help(below, _context(below, name, context), level + 1)
    return shown


if __name__ == "__main__":
    main()
