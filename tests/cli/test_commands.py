"""The command itself: help, version, start-up, options."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli import main

pytestmark = pytest.mark.processes

#: Of the processor, so that a busy machine changes nothing; it takes about 0.13 s.
HELP_SECONDS_MAX = 0.25


def test_help_names_every_command_and_every_exit_code(run):
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("call", "serve", "describe", "demo"))
    assert all(str(code) in done.stdout for code in (*range(65, 81), 130, 141, 143))


@pytest.mark.parametrize("command", ["call", "serve", "describe", "demo"])
def test_every_command_has_help(run, command):
    done = run(command, "-h")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: penstock {command}")


def test_the_script_is_the_module(run):
    script = Path(sys.executable).with_name("penstock")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == run("--version").stdout
    assert done.stdout.startswith("penstock ")


def test_it_starts_quickly(run):
    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < HELP_SECONDS_MAX


def test_a_command_that_does_not_exist_is_told(run):
    done = run("cal")
    assert done.returncode == 2
    assert "Did you mean 'call'" in done.stderr


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
    assert "a tls:// server, perhaps" in done.stderr


@pytest.mark.parametrize("command", [[], ["call"], ["serve"], ["describe"], ["demo"]])
def test_the_examples_of_a_help_stand_in_lines_of_their_own(command: list[str]) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "penstock", *command, "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert "\\b" not in told
    examples = [line for line in told.splitlines() if line.startswith("  penstock ")]
    assert all(line.count("penstock ") == 1 for line in examples)
    assert examples or command not in ([], ["call"])
