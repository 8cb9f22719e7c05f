"""`penstock describe`: one JSON document whose references can be followed, and an outline on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re

import msgspec
import pytest

from penstock.cli import _describe as describing
from penstock.errors import InvalidArgument, Unimplemented
from penstock.service import MethodDescription, ParameterDescription, ServiceDescription


def method(service, name, **more):
    given = {"kind": "unary", "doc": "", "parameters": [], "request": None, "response": {"type": "null"}, **more}
    return MethodDescription(name, f"{service}/{name}", **given)


def service(name, *methods, **definitions):
    return ServiceDescription(
        name, "", [method(name, each) if isinstance(each, str) else each for each in methods], definitions
    )


SERVICES = [service("Prices", "quote", "watch"), service("Files", "read", "quote")]


# ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_method_is_found_by_its_target():
    assert describing.find_method(SERVICES, "Files/read").name == "read"


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        ("Files/raed", Unimplemented, "did you mean 'read'?"),
        ("Flies/read", Unimplemented, "did you mean 'Files/read'?"),
        ("watch", Unimplemented, "did you mean 'Prices/watch'?"),
        ("Prices", InvalidArgument, "name one of its methods: Prices/quote, Prices/watch"),
        ("", Unimplemented, "known methods: "),
    ],
)
def test_what_is_not_there_says_what_may_have_been_meant(target, error, text):
    with pytest.raises(error) as raised:
        describing.find_method(SERVICES, target)
    assert text in str(raised.value)


def test_a_service_is_found_by_its_name_or_by_one_of_its_methods():
    assert describing.find_service(SERVICES, "Files").name == "Files"
    assert describing.find_service(SERVICES, "Files/read").name == "Files"
    with pytest.raises(Unimplemented, match="did you mean 'Files'"):
        describing.find_service(SERVICES, "Flies")


# ── the document ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_types_of_one_name_stay_two():
    one, other = {"type": "object", "properties": {"a": {"$ref": "#/$defs/Price"}}}, {"type": "string"}
    returns = {"response": {"$ref": "#/$defs/Price"}}
    document = json.loads(
        describing.document(
            [
                service("First", method("First", "get", **returns), Price=one),
                service("Second", method("Second", "get", **returns), Price=other),
                service("Third", method("Third", "get", **returns), Price=one),
            ]
        )
    )
    responses = [each["methods"][0]["response"]["$ref"] for each in document["services"]]
    assert responses == ["#/$defs/Price", "#/$defs/Second.Price", "#/$defs/Price"]
    assert document["$defs"] == {"Price": one, "Second.Price": other}


def test_parameters_are_an_object_of_their_own():
    parameters = [ParameterDescription("a", True, {"type": "string"}), ParameterDescription("b", False, {"type": "integer"})]
    document = json.loads(describing.document([service("S", method("S", "m", parameters=parameters))]))
    assert document["services"][0]["methods"][0]["parameters"] == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }


@pytest.mark.processes
def test_into_a_pipe_goes_json(run, url):
    done = run("describe", url)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [each["name"] for each in document["services"]] == ["Prices", "Oddities"]
    kinds = {each["name"]: each["kind"] for each in document["services"][0]["methods"]}
    assert kinds["quote"] == "unary"
    assert kinds["watch"] == "server_streaming"
    assert kinds["record"] == "client_streaming"
    assert kinds["trade"] == "bidirectional"
    assert _references(document) <= {f"#/$defs/{name}" for name in document["$defs"]}
    assert document["$defs"]["Price"]["properties"]["symbol"] == {"type": "string"}


def _references(part):
    if isinstance(part, list):
        return set().union(*map(_references, part)) if part else set()
    if not isinstance(part, dict):
        return set()
    return _references(list(part.values())) | ({part["$ref"]} if "$ref" in part else set())


@pytest.mark.processes
def test_one_service_may_be_asked_for(run, shop):
    document = json.loads(run("describe", shop[1], "Oddities").stdout)
    assert [each["name"] for each in document["services"]] == ["Oddities"]
    document = json.loads(run("describe", shop[1], "Penstock").stdout)
    assert [each["methods"][0]["target"] for each in document["services"]] == ["Penstock/describe"]


@pytest.mark.processes
def test_a_service_that_is_not_there_is_told(run, url):
    done = run("describe", url, "Price")
    assert (done.returncode, done.stdout) == (76, "")
    assert "did you mean 'Prices'?" in done.stderr


@pytest.mark.processes
def test_a_pipe_that_is_closed_is_no_error_of_ours(start, url):
    reading, writing = os.pipe()
    os.close(reading)
    process = start("describe", url, stdout=writing)
    os.close(writing)
    assert process.wait(10) == 141
    assert process.stderr.read() == ""


@pytest.mark.processes
def test_a_terminal_gets_an_outline(start, url):
    ours, theirs = pty.openpty()
    process = start("describe", url, stdout=theirs)
    os.close(theirs)
    text = _read(ours)
    os.close(ours)
    assert process.wait(10) == 0
    assert "Prices  Prices of things." in text
    assert "Only the first line" not in text
    assert "quote(symbol: str, factor: float = 1.0) → Price" in text
    assert "trade(stream Price) → stream Price" in text
    assert "symbol: str, value: float = 1.0" in text


def _read(terminal):
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    return re.sub(r"\x1b\[[\d;]*m", "", b"".join(parts).decode())


def test_the_names_of_a_peer_do_not_steer_the_terminal(capsys):
    from penstock.cli._format import _outline as outline

    evil = "ev\x1b[2Jil"
    parameter = ParameterDescription(evil, True, {"$ref": f"#/$defs/{evil}"})
    described = method(evil, evil, doc=evil, parameters=[parameter])
    outline.draw([msgspec.structs.replace(service(evil, described, **{evil: {"title": evil}}), doc=evil)], "tcp://x:1")
    assert "\x1b" not in capsys.readouterr().out
