"""The code writes and reads the golden vectors, and the made parts of PROTOCOL.md agree with it."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest

from penstock import codec
from penstock.protocol._compression import available, decompress
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import BODIES, FrameType, decode_body
from penstock.protocol._receive import Reassembly
from tests.protocol.bad_inputs import CASES
from tests.protocol.kit import FLAG_NAMES, ample, encode, frame, items_frame, read_frames, values_of
from tests.protocol.make_vectors import VECTORS, vectors, written
from tests.protocol.page import MADE, PAGE, ROOT, made_anew, names_of_parts
from tests.protocol.vectors_frames import meaning, plain

Vector = dict[str, Any]
NAMES = sorted(path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*.json"))


@cache
def stored(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


@cache
def made() -> dict[str, Any]:
    return vectors()


def _id(vector: Vector) -> str:
    return str(vector["name"])


def _bytes(value: Any) -> Any:
    """Undo `plain`."""
    if isinstance(value, dict):
        if set(value) == {"number"} and isinstance(value["number"], str):
            return int(value["number"])
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else {key: _bytes(inner) for key, inner in value.items()}
    return [_bytes(inner) for inner in value] if isinstance(value, list) else value


def write(told: Vector) -> bytes:
    """Write a frame from its meaning alone."""
    kind, body = FrameType[told["type"]], _bytes(told["body"])
    flags = sum(FLAG_NAMES[name] for name in told["flags"])
    if kind == FrameType.ITEMS:
        return items_frame(told["stream"], body["offset"], payload=body["payload"], count=body["count"], flags=flags)
    if "part" in body:
        return frame(kind, body["part"], flags=flags, stream=told["stream"])
    return frame(kind, decode_body(kind, encode(list(body.values()))), flags=flags, stream=told["stream"])


def cut(data: bytes) -> list[bytes]:
    """Cut bytes into frames with the decoder of the library."""
    decoder = FrameDecoder(ample())
    decoder.grow(1 << 20)
    found = []
    decoder.get_buffer()[: len(data)] = data
    decoder.buffer_updated(len(data))
    while (seen := decoder.next_frame()) is not None:
        found.append(frame(seen[0], bytes(seen[3]), flags=seen[1], stream=seen[2]))
    return found


def test_the_files_are_those_that_the_code_makes():
    assert sorted(made()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_file_made_anew_is_the_same(name):
    assert written(made()[name]) == (VECTORS / name).read_text(encoding="utf-8"), "python -m tests.protocol.make_vectors"


@pytest.mark.parametrize("vector", stored("frames.json"), ids=_id)
def test_a_frame_is_written_from_its_meaning_and_read_back(vector):
    data = bytes.fromhex(vector["hex"])
    (seen,) = read_frames(data)
    items = None
    if seen.kind == "ITEMS":
        items = msgspec.json.decode(seen.body[2]) if vector.get("codec") == "json" else values_of(seen.body[2])
    assert meaning(seen, items=items) == vector["frame"]
    assert cut(data) == [data]
    if not vector.get("read_only"):
        assert write(vector["frame"]) == data


@pytest.mark.parametrize("vector", stored("fragments.json"), ids=_id)
def test_fragments_are_put_together(vector):
    parts = Reassembly(1000, 10, ample())
    for piece in vector["frames"]:
        assert write(piece["frame"]).hex() == piece["hex"]
        body = piece["frame"]["body"]
        part = bytes.fromhex((body.get("payload") or body["part"])["hex"])
        whole = parts.add(3, (0, 0, 0), memoryview(part))
    assert bytes(whole).hex() == vector["payload"]["hex"]
    assert plain(values_of(whole)) == vector["items"] if "items" in vector else decode_body(FrameType.OPEN, whole)
    assert ["MORE" in piece["frame"]["flags"] for piece in vector["frames"]] == [True] * (len(vector["frames"]) - 1) + [False]


@pytest.mark.parametrize("vector", stored("compression.json"), ids=_id)
def test_a_compressed_payload_is_read(vector):
    if "zstd" in vector["name"] and "zstd" not in available():
        pytest.skip("zstd is an extra")
    payload = bytes.fromhex(vector["frame"]["body"]["payload"]["hex"])
    unpacked = decompress(payload, 1000)
    assert unpacked.hex() == vector["plain"]["hex"]
    assert values_of(unpacked) == vector["frame"]["body"]["items"]
    assert write(vector["frame"]).hex() == vector["hex"]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("sessions/")])
def test_a_session_is_written_from_its_meaning(name):
    for step in stored(name)["steps"]:
        assert b"".join(write(told) for told in step["frames"]).hex() == step["hex"]
        assert len(cut(bytes.fromhex(step["hex"]))) == len(step["frames"])


def test_values_and_arguments_are_read_by_both_codecs():
    for vector in stored("values.json")["arguments"]:
        read = codec.MSGPACK.decode_for(Any).value(bytes.fromhex(vector["msgpack"]))
        assert codec.JSON.decode_for(Any).value(vector["json"].encode()) == read


def test_every_frame_type_and_every_bad_input_is_there():
    assert {vector["frame"]["type"] for vector in stored("frames.json")} == {kind.name for kind in FrameType}
    assert [case["name"] for case in stored("bad_inputs.json")["cases"]] == [case.name for case in CASES]
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_made_parts_of_the_page_are_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(names_of_parts(text)) == sorted(MADE)
    assert made_anew(text) == text, "python -m tests.protocol.make_vectors"


def _fields_on_the_page() -> dict[str, list[str]]:
    """Read the tables of fields: the types of a table's heading, and the names of its rows."""
    found: dict[str, list[str]] = {}
    kinds: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| # | field of "):
            kinds = re.findall(r"`(\w+)`", line)
            found |= {kind: [] for kind in kinds}
        elif not line.startswith("|"):
            kinds = []
        elif row := re.match(r"\| (\d+) \| (\w+) \|", line):
            for kind in kinds:
                assert int(row[1]) == len(found[kind])
                found[kind].append(row[2])
    return found


def test_the_fields_on_the_page_are_those_of_the_code():
    assert _fields_on_the_page() == {FrameType(kind).name: list(body.__struct_fields__) for kind, body in BODIES.items()}


def _numbered() -> set[str]:
    return set(re.findall(r"^\*\*(\d+\.\d+)\*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_rule_that_the_code_or_a_test_quotes_is_on_the_page():
    quoted = set()
    for folder in ("src", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            quoted |= set(re.findall(r"ProtocolError\(\"(\d+\.\d+)\"", text))
            quoted |= set(re.findall(r"\brules? (\d+\.\d+)\b", text)) | set(re.findall(r"PROTOCOL\.md §(\d+\.\d+)", text))
    assert quoted
    assert not quoted - _numbered()


def test_rules_are_numbered_without_a_gap():
    by_section: dict[int, list[int]] = {}
    for number in _numbered():
        section, rule = map(int, number.split("."))
        by_section.setdefault(section, []).append(rule)
    assert sorted(by_section) == list(range(1, 16))
    assert all(sorted(rules) == list(range(1, len(rules) + 1)) for rules in by_section.values())
