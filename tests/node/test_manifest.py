"""Manifests: what can be said, and that every mistake names file, key and reason."""

from __future__ import annotations

import datetime as dt
import os
from typing import Literal

import pytest

from penstock import Actor, Struct
from penstock.errors import InvalidArgument
from penstock.node import Manifest, read_manifest

MODULE = """
import penstock

class Counter(penstock.Actor):
    def __init__(self, start: int = 0, *, label: str = "") -> None:
        self.start = start

class Other(penstock.Actor):
    pass

class Plain:
    pass
"""
GOOD = 'name = "counter"\nactor = "counting.py:Counter"\n'


@pytest.fixture
def manifest(tmp_path):
    """Write a manifest beside a module with actors and read it."""
    (tmp_path / "counting.py").write_text(MODULE)

    def read(text: str) -> Manifest:
        path = tmp_path / "counter.toml"
        path.write_text(text)
        return read_manifest(path)

    return read


def test_a_manifest_says_what_to_run_and_with_what(manifest):
    said = manifest(
        GOOD + '[init]\nstart = 5\n[limits]\nmailbox_size = 10\noverflow = "reject"\n[supervision]\nmax_restarts = 2\n'
    )
    cls = said.load()
    assert (said.name, cls.__name__, said.arguments(cls)) == ("counter", "Counter", {"start": 5})
    assert (said.limits.mailbox_size, said.limits.overflow, said.supervision.max_restarts) == (10, "reject", 2)


def test_a_module_is_looked_for_beside_the_manifest(manifest):
    assert manifest('name = "c"\nactor = "counting:Counter"\n').load().__name__ == "Counter"


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ('nmae = "x"\n' + GOOD, "nmae", "unknown key; did you mean 'name'?"),
        (GOOD + "[limit]\nmailbox_size = 1\n", "limit", "did you mean 'limits'?"),
        (GOOD + "[limits]\nmailbox_sise = 1\n", "limits.mailbox_sise", "did you mean 'mailbox_size'?"),
        (GOOD + '[limits]\nmailbox_size = "ten"\n', "limits.mailbox_size", "Expected `int | null`, got `str`"),
        (GOOD + "[limits]\nmailbox_size = 0\n", "limits.mailbox_size", "Expected `int` >= 1"),
        (
            GOOD + '[limits]\noverflow = "drop"\n',
            "limits.overflow",
            "Invalid enum value 'drop'; it is one of wait, reject, drop_oldest",
        ),
        (GOOD + "[supervision]\nmax_restarts = -1\n", "supervision.max_restarts", "Expected `int` >= 0"),
        (GOOD + "[supervision]\nretries = 1\n", "supervision.retries", "unknown key"),
        (GOOD + "limits = 5\n", "limits", "Expected `object`, got `int`"),
        ('actor = "counting.py:Counter"\n', "name", "is missing"),
        ('name = "counter"\n', "actor", "is missing"),
        ('name = 5\nactor = "counting.py:Counter"\n', "name", "Expected `str`, got `int`"),
        ('name = "a b"\nactor = "counting.py:Counter"\n', "name", "is not a name"),
        ('name = "a//b"\nactor = "counting.py:Counter"\n', "name", "is not a name"),
        ('name = "c"\nactor = "counter.wasm"\n', "actor", "cannot be run yet"),
    ],
)
def test_a_mistake_names_file_key_and_reason(manifest, tmp_path, text, key, reason):
    with pytest.raises(InvalidArgument) as error:
        manifest(text)
    assert error.value.message.startswith(f"{tmp_path / 'counter.toml'}: key `{key}`: ")
    assert reason in error.value.message


@pytest.mark.parametrize(
    ("actor", "reason"),
    [
        ("conting.py:Counter", "no file conting.py; did you mean 'counting.py'?"),
        ("conting:Counter", "no module 'conting' in "),
        ("counting.py:Conter", "counting.py has no 'Conter'; did you mean 'Counter'?"),
        ("counting.py", "say which one to run: counting.py:Counter or counting.py:Other"),
        ("counting.py:Plain", "is not a class derived from penstock.Actor"),
        ("counting.py:penstock.Actor", "is not a class derived from penstock.Actor"),
    ],
)
def test_a_class_that_cannot_be_loaded_is_told(manifest, tmp_path, actor, reason):
    with pytest.raises(InvalidArgument) as error:
        manifest(f'name = "c"\nactor = "{actor}"\n').load()
    assert error.value.message.startswith(f"{tmp_path / 'counter.toml'}: key `actor`: ")
    assert reason in error.value.message


@pytest.mark.parametrize(
    ("init", "key", "reason"),
    [
        ('start = "five"', "init.start", "Expected `int`, got `str`"),
        ("strat = 5", "init.strat", "Counter has no parameter 'strat'; did you mean 'start'?"),
        ("label = 5", "init.label", "Expected `str`, got `int`"),
    ],
)
def test_an_argument_that_does_not_fit_is_told(manifest, init, key, reason):
    said = manifest(f"{GOOD}[init]\n{init}\n")
    with pytest.raises(InvalidArgument) as error:
        said.arguments(said.load())
    assert f"key `{key}`: {reason}" in error.value.message


class Address(Struct):
    city: str


class Typed(Actor):
    def __init__(self, address: Address, mode: Literal["a", "b"], since: dt.date, ratio: float = 0.5, **more: int) -> None: ...


class Unhinted(Actor):
    pass


def _said(**init: object) -> Manifest:
    return Manifest("n", "a", init, path="/m.toml")


def test_arguments_become_what_the_hints_say():
    given = _said(address={"city": "Bern"}, mode="b", since=dt.date(2026, 1, 2), ratio=1, extra="kept")
    assert given.arguments(Typed) == {
        "address": Address("Bern"),
        "mode": "b",
        "since": dt.date(2026, 1, 2),
        "ratio": 1.0,
        "extra": "kept",
    }


def test_a_mistake_inside_an_argument_is_told_by_its_whole_path():
    with pytest.raises(InvalidArgument, match=r"key `init.address.city`: Expected `str`, got `int`"):
        _said(address={"city": 5}, mode="a", since=dt.date(2026, 1, 2)).arguments(Typed)


def test_an_argument_that_is_needed_and_missing_is_told():
    with pytest.raises(InvalidArgument, match=r"key `init.mode`: is missing; Typed needs it"):
        _said(address={"city": "Bern"}, since=dt.date(2026, 1, 2)).arguments(Typed)


def test_a_class_without_parameters_takes_no_arguments():
    assert _said().arguments(Unhinted) == {}
    with pytest.raises(InvalidArgument, match=r"key `init.x`: Unhinted has no parameter 'x'; it has no parameters"):
        _said(x=1).arguments(Unhinted)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"name = ", "is not valid TOML: Invalid value (at end of document)"),
        (b"\xff\xfe", "is not valid TOML"),
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
        (b"#" * (1024 * 1024 + 1), "is larger than"),
    ],
)
def test_a_file_that_is_no_manifest_is_told(tmp_path, data, reason):
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    with pytest.raises(InvalidArgument) as error:
        read_manifest(path)
    assert error.value.message.startswith(f"{path} {reason}")


def test_a_file_that_is_not_there_is_told_with_what_may_have_been_meant(tmp_path):
    (tmp_path / "counter.toml").write_text(GOOD)
    with pytest.raises(InvalidArgument, match=r"cannot be read: No such file or directory; did you mean 'counter.toml'\?"):
        read_manifest(tmp_path / "conter.toml")
    os.mkfifo(tmp_path / "fifo.toml")
    for special, kind in ((tmp_path, "directory"), (tmp_path / "fifo.toml", "FIFO")):  # FAULTS H6: not waited for
        with pytest.raises(InvalidArgument, match=f"cannot be read: it is a {kind}"):
            read_manifest(special)
