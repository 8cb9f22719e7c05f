"""Clients that are known: `penstock token`, `penstock server --tokens --access`, `penstock --node URL --token-file PATH`."""

from __future__ import annotations

import pytest

from penstock.auth import Tokens
from tests.cli.node.conftest import FOLDER

pytestmark = pytest.mark.processes

ACCESS = """
[access]
"counter" = ["ask"]
"Penstock.Control/*" = { operator = ["call", "stream"] }
"""


@pytest.fixture
def known(run, tmp_path):
    """Make tokens for two clients, and a table of rights; return the options of a server."""
    for name, roles in (("alice", ("--role", "operator")), ("bob", ())):
        made = run("token", name, *roles, "--file", tmp_path / "tokens.txt")
        assert (made.returncode, made.stderr) == (0, "")
        (tmp_path / f"{name}.token").write_text(made.stdout)
    (tmp_path / "access.toml").write_text(ACCESS)
    return ["--tokens", tmp_path / "tokens.txt", "--access", tmp_path / "access.toml"]


def test_a_node_is_used_over_the_network_by_those_who_may(known, start, run, tmp_path, monkeypatch):
    listen = ["--listen", "tcp://0.0.0.0:0", "--socket", tmp_path / "s", "--history", "none"]
    process = start("server", *listen, *known, FOLDER / "counter.toml")
    url = next(line for line in process.stdout if line.startswith("at ")).split()[1].replace("0.0.0.0", "127.0.0.1")

    def over(name: str, *words: object) -> tuple[int, str]:
        done = run("--node", url, "--token-file", tmp_path / f"{name}.token", *words)
        return done.returncode, done.stdout + done.stderr

    code, said = over("alice", "list", "--json")
    assert (code, "counter" in said) == (0, True)
    assert over("alice", "request", "counter", '{"action": "add", "params": 3}')[0] == 0
    code, said = over("bob", "list")
    assert code == 71
    assert "'bob' is not allowed 'call' on 'Penstock.Control/list'" in said
    monkeypatch.setenv("PENSTOCK_TOKEN", (tmp_path / "bob.token").read_text().strip())
    assert run("call", url, "/counter/add", "1").returncode == 0
    monkeypatch.setenv("PENSTOCK_TOKEN", "x" * 30)
    refused = run("call", url, "/counter/add", "1")
    assert refused.returncode == 80
    assert "does not know the token of this client; show credentials by `penstock --token-file PATH" in refused.stderr


def test_a_server_of_services_takes_clients_with_a_token(known, start, run, tmp_path, shop_file):
    process = start("serve", f"{shop_file}:Prices", "--listen", "tcp://127.0.0.1:0", *known[:2])
    url = next(line for line in process.stdout if line.startswith("at ")).split()[1]
    assert run("describe", url).returncode == 80
    shown = "--token-file", tmp_path / "bob.token"
    assert run(*shown, "describe", url).returncode == 0
    assert run("describe", url, *shown).returncode == 0


@pytest.mark.parametrize("listen", ["tcp://0.0.0.0:0", "http://[::]:0"])
def test_a_node_that_takes_every_client_stays_on_this_machine(run, tmp_path, listen):
    done = run("server", "--socket", tmp_path / "s", "--history", "none", "--listen", listen)
    assert done.returncode == 73
    assert "can be reached from other machines, and this node takes every client" in done.stderr
    assert "--tokens PATH" in done.stderr


def test_options_that_do_not_go_together(run, known, tmp_path):
    for words, why in (
        (["--node", "tcp://127.0.0.1:1", "list", "--socket", "s"], "give one of them"),
        (["server", *known[2:]], "--access needs --tokens"),
        (["server", "--tokens", FOLDER / "counter.toml"], "counter.toml, line 1"),
        (["server", *known[:2], "--access", FOLDER / "counter.toml"], "counter.toml"),
    ):
        done = run(*words)
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr


def test_a_token_is_printed_once_and_its_line_has_the_hash_alone(run, tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_text("# clients")
    done = run("token", "carl", "--role", "a", "--role", "b", "--expires", "2099-01-31", "--file", path)
    token = done.stdout.strip()
    assert token not in path.read_text()
    assert path.read_text().startswith("# clients\ncarl sha256:")
    assert path.read_text().endswith(" role=a role=b expires=2099-01-31\n")
    assert len(Tokens.from_file(path)._known) == 1
    shown = run("token", "dora")
    assert shown.stderr.startswith("dora sha256:")
    before = path.read_text()
    wrong = run("token", "two words", "--file", path)
    assert (wrong.returncode, path.read_text()) == (2, before)
    path.write_text("nonsense")
    assert run("token", "eve", "--file", path).returncode == 2
    assert path.read_text() == "nonsense"
