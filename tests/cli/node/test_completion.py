"""Completion: of actors by the node, quiet when there is none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes


def completed(words: str, environment: dict[str, str]) -> list[str]:
    """Return what bash would be offered after these words."""
    asked = {"_PENSTOCK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "penstock"],
        env={**os.environ, **environment, **asked},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_actors_are_completed_by_name(places, server):
    assert completed("penstock state ", places) == ["counter", "rooms/silent"]
    assert completed("penstock logs c", places) == ["counter"]


def test_an_id_is_completed_to_its_name(places, server):
    first, second = (actor["id"] for actor in server["actors"])
    assert completed(f"penstock state {first}", places) == ["counter"]
    assert completed(f"penstock state {second}", places) == ["rooms/silent"]


def test_without_a_node_nothing_is_offered(places, tmp_path):
    assert completed("penstock state ", {**places, "PENSTOCK_SOCKET": str(tmp_path / "none")}) == []


def test_verbs_are_completed(places):
    assert completed("penstock rest", places) == ["restart"]
