"""The command itself: help, version, start-up, options."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import penstock_command
from penstock.cli import main
from penstock.cli._commands import SECTIONS, commands
from tests.house._source import ROOT

pytestmark = pytest.mark.processes

#: The processor's time for the help, in times of what its libraries take alone: other work slows both. It is 2.3 on
#: Python 3.11, and 3.5 on 3.13, whose asyncio starts faster.
HELP_TIMES_MAX = 4


def test_help_names_every_command_and_every_exit_code(run):
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in commands.commands)
    assert all(str(code) in done.stdout for code in (*range(65, 81), 130, 141, 143))


def _every(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Iterate over all commands, as the words that call them."""
    for name, command in group.commands.items():
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from _every(command, (*words, name))


@pytest.mark.parametrize("words", list(_every(commands)), ids=" ".join)
def test_every_command_has_help_with_an_example(words, capfd):
    assert main([*words, "-h"]) == 0
    told = capfd.readouterr().out
    assert told.startswith(f"Usage: penstock {' '.join(words)}")
    assert "\n  penstock " in told or words[0] in {"serve", "describe", "demo", "new", "channel"}
    assert "\\b" not in told


def test_every_command_is_in_one_section_of_the_help():
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(commands.commands)


def test_the_script_is_the_module(run):
    script = Path(sys.executable).with_name("penstock")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == run("--version").stdout
    assert done.stdout.startswith("penstock ")


def test_it_starts_quickly(tmp_path):
    # as for a user, whose Python keeps its bytecode: where it must not, each start would compile the whole source
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)

    def seconds(*arguments):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    taken = [(seconds("-m", "penstock", "--help"), seconds("-c", "import asyncio, click, msgspec")) for _ in range(5)]
    helped, alone = map(min, zip(*taken, strict=True))
    assert helped < HELP_TIMES_MAX * alone, taken


def test_a_command_that_does_not_exist_is_told(run):
    done = run("cal")
    assert done.returncode == 2
    assert "Did you mean one of: 'call', 'channel'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["call", "tcp://127.0.0.1:1", "S/m", "--timeout", "0"], "--timeout"),
        (["call", "tcp://127.0.0.1:1", "S/m", "--buffer-size", "0"], "--buffer-size"),
        (["call", "tcp://127.0.0.1:1", "S/m", "--dev-tls"], "is not encrypted"),
        (["call", "tls://127.0.0.1:1", "S/m", "--key", __file__], "--key needs --cert"),
        (["call", "tls://127.0.0.1:1", "S/m", "--dev-tls", "--cert", __file__], "leave out"),
        (["describe", "tls://127.0.0.1:1", "--tls-ca", "/nobody/ca.pem"], "does not exist"),
        (["describe", "tls://127.0.0.1:1", "--tls-ca", __file__], "cannot be used"),
        (["call"], "Missing argument"),
    ],
)
def test_options_that_do_not_fit_are_told_before_anything_happens(arguments, text, capfd):
    assert main(arguments) == 2
    assert text in capfd.readouterr().err


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def certificate(environment):
    """A certificate with its key in one file."""
    from penstock import TLS

    folder = Path(environment["XDG_STATE_HOME"]) / "penstock"
    TLS.development(folder).server_context()
    return folder / "development.pem"


def test_development_certificates_are_shared_by_the_commands_of_a_user(start, run, announced, shop_file):
    (url,) = announced(start("serve", f"{shop_file}:Prices", "--listen", "tls://127.0.0.1:0", "--dev-tls"))
    assert run("call", "--dev-tls", url, "Prices/quote", '"A"').returncode == 0
    assert run("--dev-tls", "call", url, "Prices/quote", '"A"').returncode == 0
    refused = run("call", url, "Prices/quote", '"A"')
    assert refused.returncode == 78
    assert "--dev-tls for a server with --dev-tls" in refused.stderr


def test_a_server_can_ask_for_certificates(start, run, announced, shop_file, certificate):
    own = ("--cert", certificate, "--key", certificate, "--tls-ca", certificate)
    (url,) = announced(start("serve", f"{shop_file}:Prices", "--listen", "tls://127.0.0.1:0", *own))
    assert run("call", url, "Prices/quote", '"A"', *own).returncode == 0
    assert run("describe", url, *own).returncode == 0
    assert run("call", url, "Prices/quote", '"A"', "--tls-ca", certificate).returncode == 78


def test_a_plain_client_of_an_encrypted_server_is_told(start, run, announced, shop_file):
    (url,) = announced(start("serve", f"{shop_file}:Prices", "--listen", "tls://127.0.0.1:0", "--dev-tls"))
    done = run("call", url.replace("tls:", "tcp:"), "Prices/quote", '"A"')
    assert done.returncode == 78
    assert "perhaps it is a tls:// server" in done.stderr


@pytest.mark.parametrize("command", [[], ["call"], ["serve"], ["describe"], ["demo"]])
def test_the_examples_of_a_help_stand_in_lines_of_their_own(command, capfd):
    assert main([*command, "--help"]) == 0
    told = capfd.readouterr().out
    assert "\\b" not in told
    examples = [line for line in told.splitlines() if line.startswith("  penstock ")]
    assert all(line.count("penstock ") == 1 for line in examples)
    assert examples or command not in ([], ["call"])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_output_does_not_have_is_replaced(encoding, monkeypatch):
    """FAULTS F6: it was a traceback."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding, write_through=True))
    assert main(["events", "x", "--from", "→ \udcff"]) == 2
    assert written.getvalue().startswith(b"penstock: --from ? ?: write a span back from now")


@pytest.mark.parametrize("words", ["--version", "call --help", "completion bash"])
def test_an_output_that_the_shell_closed_is_told(words):
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m penstock {words} >&-"], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (1, "penstock: standard output is closed; >/dev/null throws the output away\n")


def test_ctrl_c_while_the_command_is_being_imported_prints_no_traceback():
    program = """
import sys, penstock_command
class Interrupted:
    def find_spec(self, name, *rest):
        if name == "penstock.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sys.exit(penstock_command.main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_command_is_started_by_a_module_that_imports_nothing_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"penstock": "penstock_command:main"}
    assert project["tool"]["setuptools"]["py-modules"] == ["penstock_command"]
    lines = Path(penstock_command.__file__).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(("import ", "from "))] == ["from __future__ import annotations"]
