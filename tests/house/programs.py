"""Write the programs of the pages into a folder, where mypy and pyright read them as a user's: `make check-types` does it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from tests.house._source import ROOT
from tests.house.test_docs import PYTHON, Block


def file_name(block: Block) -> str:
    """Return the title of a program, or a name that says where it stands."""
    return block.title or f"{block.page.removesuffix('.md').replace('/', '_')}_line_{block.line}.py"


def write_programs(folder: Path) -> None:
    """Write every program, also one that another program starts, and the settings of pyright."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for block in PYTHON:
        if not (block.is_program or block.title):
            continue
        with (folder / file_name(block)).open("x", encoding="utf-8") as file:  # two programs of one name are an error
            file.write(block.text)
    environment = Path(sys.prefix)
    settings = {
        "extraPaths": [str(ROOT / "src")],
        "venvPath": str(environment.parent),
        "venv": environment.name,
        "pythonVersion": "3.11",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")


if __name__ == "__main__":
    write_programs(Path(sys.argv[1]))
