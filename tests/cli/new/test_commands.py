"""`penstock completion`: what a shell reads."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from penstock.cli import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_told_what_to_call(shell, capfd):
    assert main(["completion", shell]) == 0
    assert "_PENSTOCK_COMPLETE" in capfd.readouterr().out


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_takes_it(capfd):
    main(["completion", "bash"])
    text = capfd.readouterr().out
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=20)


def test_a_shell_that_is_not_known_is_told(capfd):
    assert main(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of" in capfd.readouterr().err
