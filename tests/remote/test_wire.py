"""What travels on a lane is what PROTOCOL.md says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from penstock.codec import MSGPACK
from penstock.errors import NotFound
from penstock.remote._far import ActorLocation
from penstock.remote._wire import LaneError, LaneMessage, LaneReply, PlainMessage, PlainReply

PAGE = (Path(__file__).parents[2] / "PROTOCOL.md").read_text(encoding="utf-8")


def fields_on_the_page(what: str) -> list[str]:
    table = PAGE.partition(f"| # | field of {what} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| \d+ \| (\w+) \|", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("what", "struct"), [("a message", LaneMessage), ("an answer", LaneReply), ("an actor", ActorLocation)]
)
def test_the_fields_on_the_page_are_those_of_the_code(what: str, struct: type[msgspec.Struct]):
    assert fields_on_the_page(what) == list(struct.__struct_fields__)


def test_the_bytes_on_the_page_are_those_of_the_code():
    said = re.search(r"The ask 1 of `add\(2\)`: `([0-9a-f ]+)`; its answer 12: `([0-9a-f ]+)`", PAGE)
    assert said is not None
    assert bytes.fromhex(said[1]) == MSGPACK.encode(PlainMessage(1, "add", (2,)))
    assert bytes.fromhex(said[2]) == MSGPACK.encode(PlainReply(1, 12))


def test_a_short_message_reads_as_a_whole_one():
    message = MSGPACK.decode_for(LaneMessage).value(MSGPACK.encode(PlainMessage(1, "add", (2,))))
    assert (message.id, message.name, bytes(message.body), message.form) == (1, "add", b"\x91\x02", 0)
    reply = MSGPACK.decode_for(LaneReply).value(MSGPACK.encode(PlainReply(1, 12)))
    assert (reply.id, bytes(reply.result), reply.error) == (1, b"\x0c", None)


def test_an_error_is_raised_as_it_was():
    error = LaneError(5, "not_found", "no such thing", msgspec.Raw(MSGPACK.encode({"a": 1})), started=False).error(
        "tcp://there"
    )
    assert (type(error), error.message, error.details, error.started) == (NotFound, "no such thing", {"a": 1}, False)
