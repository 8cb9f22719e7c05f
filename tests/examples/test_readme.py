"""The fragments of the README: code without a program around it runs too, and prints what the page says."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import itertools
from collections.abc import AsyncIterator
from types import CodeType
from typing import Any

import pytest

import penstock
from tests.house import test_docs as pages

FRAGMENTS = [block for block in pages.PYTHON if block.page == "README.md" and block not in pages.PROGRAMS and not block.not_run]
SERVICE = next(block for block in FRAGMENTS if block.text.startswith("class Counter"))


def _names() -> dict[str, Any]:
    """What a fragment may use: a few modules and the service of the page."""
    names: dict[str, Any] = {"asyncio": asyncio, "itertools": itertools, "penstock": penstock, "AsyncIterator": AsyncIterator}
    exec(SERVICE.text, names)
    return names


def _coroutine(text: str) -> CodeType:
    return compile(text, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.processes
@pytest.mark.parametrize(
    "block", [block for block in FRAGMENTS if block is not SERVICE], ids=lambda block: f"line-{block.line}"
)
async def test_a_fragment_of_the_readme_runs_and_prints_what_the_page_says(block, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # where a throw-away certificate goes
    names, printed = _names(), io.StringIO()
    async with (
        penstock.serve(names["Counter"](), listen="tcp://127.0.0.1:0") as server,
        penstock.connect(*server.urls) as peer,
    ):
        names["counter"] = peer.service(names["Counter"])
        with contextlib.redirect_stdout(printed):
            running = eval(_coroutine(block.text), names)
            if running is not None:
                await running
        if block.output is not None:
            assert printed.getvalue() == block.output
        names.clear()  # a stream that the fragment left open ends before its connection does
