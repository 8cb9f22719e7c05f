"""What travels on a lane is what PROTOCOL.md says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from penstock._values import is_over
from penstock.codec import MSGPACK
from penstock.errors import NotFound
from penstock.remote import _wire
from penstock.remote._far import ActorLocation
from penstock.remote._wire import (
    ARGUMENTS,
    EMPTIED,
    SALVAGED_BYTES_MAX,
    LaneError,
    LaneMessage,
    LaneReply,
    PlainMessage,
    PlainReply,
    bound_all,
    salvaging,
)

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


@pytest.mark.parametrize("kind", ["messages", "answers"])
def test_of_a_batch_of_too_many_values_only_the_last_one_is_counted_when_it_is_large(
    kind: str, monkeypatch: pytest.MonkeyPatch
):
    """A batch of 16 MiB was 128 messages, each of which took as long to count as one that fills the batch."""
    limits = []

    def counted(payload: bytes, limit: int, *, json: bool) -> bool:
        limits.append(limit)
        return is_over(payload, limit, json=json)

    monkeypatch.setattr(_wire, "is_over", counted)
    small, large = (msgspec.Raw(MSGPACK.encode([0] * size)) for size in (1, 70_000))
    if kind == "messages":
        messages = [LaneMessage(number, "note", body) for number, body in enumerate([small, large, large])]
        bound_all(messages, 100_000)
        assert [message.form for message in messages] == [ARGUMENTS, EMPTIED, ARGUMENTS]
    else:
        replies = [LaneReply(number, body) for number, body in enumerate([small, large, large])]
        bound_all(replies, 100_000)
        assert [reply.error is None for reply in replies] == [True, False, True]
    assert limits == [100_000, 0, 100_000]


def test_an_answer_with_bytes_that_are_no_msgpack_is_the_error_of_its_ask_alone():
    decode = salvaging(LaneReply, 1).batch
    good = MSGPACK.encode(PlainReply(6, 7))
    first, second = decode(b"\xdd\0\0\0\2\x92\x05\x92\x01\xc1" + good)
    assert (first.id, first.error.code, second.id, bytes(second.result), second.error) == (5, 15, 6, b"\x07", None)
    for rest in (b"\x92\xc1\x01" + good, b"\x92\x05\xc1\x92\x06", b"\xc1" + good, b"\x92\x05\xc1" + b"\0" * SALVAGED_BYTES_MAX):
        with pytest.raises(ValueError, match=r"malformed|truncated|cut off|length"):
            decode(b"\xdd\0\0\0\2" + rest)
