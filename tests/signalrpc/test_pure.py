"""The pure parts, by property: ledgers over a connection that loses, rates, priorities, batches, messages, and routing."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidArgument
from penstock.signalrpc._messages import Answer, RpcRequest, StreamBatch, StreamCredit, StreamData, Welcome, decode, encode, raw
from penstock.signalrpc._rates import Rate
from penstock.signalrpc.relay._clients import Clients
from penstock.signalrpc.streams._ledgers import InLedger, OutLedger
from penstock.signalrpc.streams._packed import UNPACKED_MAX, pack, unpack
from penstock.signalrpc.streams._turns import Turns


@given(st.integers(1, 8), st.lists(st.sampled_from(["send", "deliver", "drop", "take", "resume"]), max_size=200))
def test_items_arrive_once_in_order_within_the_credit_whatever_is_lost(size, steps):
    """Frames in one direction, credit in the other; a loss is followed by a resume at some time, as a new connection is."""
    sender, receiver = OutLedger(), InLedger(size, 1 << 30)
    wire, sent, got = [], 0, []

    def credit():
        if receiver.grant() is not None:
            sender.credit(receiver.granted, receiver.arrived)

    credit()
    for step in [*steps, "resume", *["deliver", "take"] * 20]:
        if step == "send" and sender.room > 0:
            wire.append((sender.send(sent), sent))
            sent += 1
        elif step == "deliver" and wire:
            seq, item = wire.pop(0)
            receiver.take_in(seq, [(item, 1)])
        elif step == "drop" and wire:
            wire.pop(0)
        elif step == "take":
            got += receiver.take_out(1)
            credit()
        elif step == "resume":
            sender.credit(receiver.granted, receiver.arrived)
            wire = list(enumerate(sender.missing(), sender.arrived))
        assert len(receiver.waiting) <= size
        assert sent <= len(got) + size  # the sender is never further ahead of the program
    assert got == list(range(len(got)))
    assert len(got) == sent


def test_an_impossible_credit_is_an_error():
    ledger = OutLedger()
    with pytest.raises(InvalidArgument):
        ledger.credit(5, 1)
    with pytest.raises(InvalidArgument):
        ledger.credit(-1, 0)
    ledger.credit(5, 0)
    ledger.credit(3, 0)
    assert ledger.room == 5  # older credit changes nothing


def test_items_beyond_the_credit_are_an_error_and_those_behind_a_gap_wait():
    ledger = InLedger(2, 1 << 30)
    ledger.grant()
    with pytest.raises(InvalidArgument):
        ledger.take_in(0, [(n, 1) for n in range(3)])
    assert ledger.take_in(1, [(1, 1)]).gap
    assert not ledger.waiting


def test_no_credit_is_given_while_too_many_bytes_wait():
    ledger = InLedger(100, 10)
    assert ledger.grant() == 100
    ledger.take_in(0, [("x", 11)])
    ledger.take_in(1, [("x", 1)] * 60)
    ledger.take_out(0)
    assert ledger.grant() is None
    ledger.take_out(60)
    assert ledger.grant() == 160


@given(st.floats(1, 1000), st.lists(st.floats(0, 0.1), min_size=1, max_size=300))
def test_a_rate_is_kept_whenever_the_sender_looks(per_s, pauses):
    rate, now, spent = Rate(items_per_s=per_s), 0.0, 0
    for pause in pauses:
        now += pause
        if rate.delay_s(now) == 0:
            rate.spend(1)
            spent += 1
    assert spent <= per_s * now + max(1, per_s / 10) + 1


def test_bytes_are_counted_and_the_lower_of_two_rates_holds():
    rate = Rate(bytes_per_s=1000)
    assert rate.delay_s(0) == 0
    rate.spend(600)
    assert rate.delay_s(0) == pytest.approx(0.5)
    rate.slow_to(None, 100)
    assert rate.delay_s(0) == pytest.approx(5)
    rate.slow_to(-1, 0)
    assert rate.asked == (None, 100)
    with pytest.raises(ValueError, match="items_per_s"):
        Rate(items_per_s=0)


def test_priorities_share_the_turns_sixteen_to_four_to_one():
    turns, done = Turns(), []
    for name in ("bulk", "normal", "interactive"):
        for _ in range(210):
            turns.join(name, lambda name=name: done.append(name))
    for _ in range(210):
        turns.pop()()
    assert [done.count(name) for name in ("interactive", "normal", "bulk")] == [160, 40, 10]
    assert len(turns) == 420
    while turns:
        turns.pop()()
    assert turns.pop() is None


@given(st.lists(st.text(max_size=60), min_size=1, max_size=16), st.booleans())
def test_a_batch_is_unpacked_as_it_was_packed(items, compress):
    frame = decode(pack({"stream_id": "s"}, 5, [raw(item) for item in items], compress=compress))
    assert frame.seq == 5
    payloads = [frame.payload] if isinstance(frame, StreamData) else unpack(frame)
    assert [json.loads(bytes(payload)) for payload in payloads] == items


def test_a_batch_is_compressed_where_that_makes_it_smaller_and_a_bomb_is_refused():
    items = [raw({"symbol": "ACME", "value": n}) for n in range(64)]
    small, plain = (pack({"stream_id": "s"}, 0, items, compress=compress) for compress in (True, False))
    assert len(small) < len(plain) / 4
    bomb = zlib.compress(b"[" + b" " * (UNPACKED_MAX + 10) + b"]")
    for wrong in (bomb, b"junk", zlib.compress(b"[1")[:-1], zlib.compress(b"{}")):
        with pytest.raises(InvalidArgument):
            unpack(StreamBatch(stream_id="s", seq=0, deflate=wrong))


@pytest.mark.parametrize(
    "text",
    [
        '{"category":"welcome","clientId":"c","sessionId":"s","restoredSession":false}',
        '{"category":"request","from":"c","fromName":"n","requestId":"r","to":"d","data":{"a":[1,null]}}',
        '{"category":"response","from":"c","fromName":"n","requestId":"r","to":"d","toName":"m","data":1.5}',
        '{"category":"ping","timestamp":1700000000000}',
        '{"category":"error","error":"Rate limit exceeded","limit":100}',
        '{"type":"StreamData","streamId":"s","payload":null}',
        '{"type":"StreamData","streamId":"s"}',
        '{"type":"StreamEnd","streamId":"s","more":"keys"}',
        '{"type":"StreamError","streamId":"s","error":"text"}',
        '{"category":"request","type":"x","requestId":"r","data":1}',
    ],
)
def test_each_message_of_the_original_is_read(text):
    message = decode(text)
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "{}",
        '{"category":"other"}',
        '{"type":"Other","streamId":"s"}',
        '{"type":"StreamData","streamId":7}',
        '{"category":"request"}',
        "\ud800",
        "[" * 100_000,
    ],
)
def test_any_other_text_is_refused_with_one_error(text):
    with pytest.raises(InvalidArgument):
        decode(text)


@given(st.binary(max_size=200))
def test_no_bytes_raise_another_error(data):
    with suppress(InvalidArgument):
        decode(data)


def test_the_fields_of_the_original_come_as_it_writes_them():
    data = msgspec.json.decode(encode(RpcRequest(request_id="r", from_="c", from_name="n", data=raw(1))))
    assert data == {"category": "request", "requestId": "r", "from": "c", "fromName": "n", "data": 1}
    assert "fault" not in msgspec.json.decode(encode(Answer(request_id="r")))
    assert msgspec.json.decode(encode(Welcome(client_id="c"))) == {"category": "welcome", "clientId": "c"}
    assert msgspec.json.decode(encode(StreamCredit(stream_id="s", limit=1, next=0)))["type"] == "StreamCredit"


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "again"]), st.integers(0, 5), st.sampled_from("ab")), max_size=60))
def test_a_message_goes_to_all_others_of_the_topic_and_an_address_is_never_shared(steps):
    ids = count()
    clients, present, secrets = Clients(lambda: str(next(ids))), [], []
    for step, number, topic in steps:
        if step == "leave" and present:
            clients.leave(present.pop(number % len(present)))
            continue
        secret = secrets[number % len(secrets)] if step == "again" and secrets else ""
        place, before = clients.enter(topic, "", None, secret)
        present = [other for other in present if other is not before and other.client_id != place.client_id] + [place]
        secrets.append(place.session_id)
        assert len({other.client_id for other in present}) == len(present) == len(clients)
        everyone = clients.route(place, '{"category":"request","requestId":"1"}')
        assert set(map(id, everyone.places)) == {id(other) for other in present if other.topic == topic and other is not place}
        for other in present:
            assert clients.route(place, json.dumps({"to": other.client_id})).places == [other]
        assert clients.route(place, '{"to":"nobody"}').target == "nobody"
