"""The program of the README, in one process and in two."""

from __future__ import annotations

import ast
import difflib
import json
import re

import pytest

from tests.examples._programs import EXAMPLES, PROGRAM_SECONDS_MAX, run, running, serving
from tests.house._source import ROOT

PRICES = "ACME 101.5\nACME 102.25\nACME 101.75\n"

ENDLESS = """
import asyncio
from collections.abc import AsyncIterator

class Prices:
    async def watch(self, symbol: str) -> AsyncIterator[str]:
        yield f"{symbol} 1"
        await asyncio.Event().wait()
"""


def _program(text: str) -> ast.Module:
    tree = ast.parse(text)
    if ast.get_docstring(tree) is not None:
        del tree.body[0]
    return tree


def _main(name: str) -> list[str]:
    tree = _program((EXAMPLES / name).read_text(encoding="utf-8"))
    return next(ast.unparse(node) for node in tree.body if getattr(node, "name", "") == "main").splitlines()


@pytest.mark.processes
def test_the_program_prints_three_prices():
    assert run("prices.py") == PRICES


@pytest.mark.processes
@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "unix://{folder}/prices.sock"])
def test_the_program_in_two_processes_prints_the_same(url, tmp_path):
    with serving("prices_server.py", url.format(folder=tmp_path)) as served_at:
        assert run("prices_client.py", served_at) == PRICES


@pytest.mark.processes
def test_a_client_without_a_server_says_so_in_a_sentence(tmp_path):
    """FAULTS F8: and so for a server that dies under it; no traceback."""
    url = f"unix://{tmp_path}/none.sock"
    for program, *arguments in (
        ("prices_client.py", url),
        ("chat/batch_client.py", "tls://127.0.0.1:1"),
        ("chat/subscriber.py", "--url", "tls://127.0.0.1:1"),
        ("chat/chat_client.py", "ann", "--url", "tls://127.0.0.1:1"),
    ):
        with running(program, *arguments, XDG_STATE_HOME=str(tmp_path)) as client:
            printed, complaint = client.communicate("", timeout=PROGRAM_SECONDS_MAX)
        assert (client.returncode, printed) == (1, "")
        assert re.fullmatch(r"nothing listens at .*\n", complaint)


@pytest.mark.processes
def test_a_client_whose_server_dies_says_so_in_a_sentence(tmp_path):
    """FAULTS F8."""
    (tmp_path / "prices.py").write_text(ENDLESS)
    with running("penstock", "serve", f"{tmp_path}/prices.py:Prices", "--listen", f"unix://{tmp_path}/s") as server:
        next(line for line in server.stdout if line.startswith("try "))
        with running("prices_client.py", f"unix://{tmp_path}/s") as client:
            assert client.stdout.readline() == "ACME 1\n"
            server.kill()
            server.wait()
            with running("penstock", "serve", f"{tmp_path}/prices.py:Prices", "--listen", f"unix://{tmp_path}/s"):
                _printed, complaint = client.communicate(timeout=PROGRAM_SECONDS_MAX)
    assert client.returncode == 1
    again, lost = complaint.splitlines()
    assert again.endswith("was lost; connecting again")
    assert "the server did not take the session up again" in lost


def test_the_first_program_of_the_readme_is_the_example():
    first = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    program = _program((EXAMPLES / "prices.py").read_text(encoding="utf-8"))
    assert ast.unparse(ast.parse(first[1])) == ast.unparse(program)


def test_over_the_network_one_line_changes():
    changes = [line for line in difflib.ndiff(_main("prices.py"), _main("prices_client.py")) if line[0] in "+-"]
    assert [line.split()[:3] for line in changes] == [["-", "async", "with"], ["+", "async", "with"]]


@pytest.mark.processes
def test_the_command_serves_the_producer_of_the_program_and_calls_it():
    with running("penstock", "serve", str(EXAMPLES / "prices.py:Prices"), "--listen", "tcp://127.0.0.1:0") as program:
        url = next(line.split()[1] for line in program.stdout if line.startswith("at "))
        assert run("prices_client.py", url) == PRICES
        called = run("penstock", "call", url, "Prices/watch", '"ACME"').splitlines()
        assert [json.loads(line) for line in called] == PRICES.splitlines()
