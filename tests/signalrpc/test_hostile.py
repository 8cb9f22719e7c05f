"""A hostile client beside honest peers: what it may make them hold, end or believe. It is bare, and says any text."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import zlib
from contextlib import AsyncExitStack
from itertools import count
from types import SimpleNamespace

import msgspec
import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus

from penstock.errors import ConnectionLost, DeadlineExceeded, Internal, InvalidArgument, ResourceExhausted, Unavailable
from penstock.signalrpc import Relay, RelayRules, RelaySettings, connect
from penstock.signalrpc.relay import _carriers, _clients, _relay
from penstock.signalrpc.relay._carriers import TRY_AGAIN, Outgoing
from penstock.signalrpc.streams import _queue, _received, _table
from tests.signalrpc.kit import bare, relayed


async def forever(item=None):
    for number in count():
        yield number if item is None else item


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is one of the library, which rings no bell for it
            await asyncio.sleep(0)


def choked_bytes(peer):
    """Count the bytes that a peer sends while its connection is choked: the result is a list of them."""
    wire, sizes = peer._wire, []
    send = wire.send_now
    wire.send_now = lambda message: (sizes.append(len(message) * wire.choked), send(message))[1]
    return sizes


async def flowing(client, peer, items):
    """Ask for a stream as a peer of Penstock does; return it and the fields of credit for it."""
    sent = []
    forget = peer.match(lambda data, from_: sent.append(peer.send_stream(items, "s")))
    await client.say({"category": "request", "requestId": "1", "flow": 1, "to": peer.client_id})
    while (offer := await client.hear())["type"] != "StreamOpen":
        pass
    forget()
    return sent[0], {"type": "StreamCredit", "streamId": "s", "to": offer["from"], "run": offer["run"], "next": 0}


# ── the relay ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"StreamEnd","streamId":"s"}',
        '{"type":"StreamEnd","streamId":"s","seq":2}',
        ' { "from" : null, "type":"StreamError","streamId":"s","error":"x"}',
        '{"fr\\u006fm":"SENDER","type":"StreamEnd","streamId":"s"}',
        '{"from":"SENDER","from":5,"type":"StreamEnd","streamId":"s"}',
        '{"from":5,"from":"SENDER","type":"StreamEnd","streamId":"s"}',
    ],
)
async def test_every_message_says_its_sender_and_no_other_client_ends_a_stream(text):
    async with relayed() as (_, url), connect(url) as reader, connect(url) as sender, bare(url) as hostile:
        sender.match(lambda data, from_: {"id": sender.send_stream(forever(), "s").id})
        await reader.request({}, to=sender.client_id)
        _, source = reader.receive_stream("s", buffer_size=2)
        assert [await source.receive() for _ in range(2)] == [0, 1]
        await hostile.say(text.replace("SENDER", sender.client_id))
        await hostile.say({"category": "ping", "timestamp": 1})
        assert (await hostile.hear())["category"] == "pong"
        assert [await source.receive() for _ in range(50)] == list(range(2, 52))


async def test_a_stream_without_flow_control_is_that_of_its_first_sender():
    async with relayed() as (_, url), connect(url) as reader, bare(url) as one, bare(url) as two:
        _, source = reader.receive_stream("s")
        for client, data in ((one, 1), (two, 2), (one, 3)):
            await client.say({"type": "StreamData", "streamId": "s", "payload": data, "to": reader.client_id})
            await client.say({"category": "ping", "timestamp": 1})
            while (await client.hear()).get("category") != "pong":
                pass
        assert [await source.receive(), await source.receive()] == [1, 3]


class _Broken(RelayRules):
    async def admit(self, visitor):
        if visitor.topic == "raises":
            raise KeyError
        if visitor.topic == "cancels":
            raise asyncio.CancelledError
        if visitor.topic == "hangs":
            await asyncio.Event().wait()
        return 5 if visitor.topic == "number" else "ann"

    def may_publish(self, user, topic):
        raise KeyError

    may_write = may_publish


@pytest.mark.parametrize("topic", ["raises", "cancels", "hangs", "number"])
async def test_rules_that_fail_or_hang_refuse_a_client(topic, monkeypatch):
    monkeypatch.setattr(_relay, "HANDSHAKE_TIMEOUT_S", 0.05)
    async with relayed(_Broken()) as (_, url):
        with pytest.raises(InvalidStatus) as refused:
            await bare(f"{url.removesuffix('room')}{topic}").__aenter__()
        assert refused.value.response.status_code == 403


async def test_rules_that_fail_refuse_a_message_and_the_client_stays():
    async with relayed(_Broken()) as (_, url), bare(url) as one, bare(url) as two:
        await one.say({"category": "request", "requestId": "1"})
        assert "Not authorized" in (await one.hear())["error"]
        await one.say({"category": "request", "requestId": "1", "to": two.id})
        assert "Not authorized" in (await one.hear())["error"]


async def test_clients_whose_admission_is_slow_count_as_clients():
    class Slow(RelayRules):
        async def admit(self, visitor):
            await gate.wait()
            return ""

    async def visit(url):
        async with bare(url):
            await asyncio.Event().wait()

    gate = asyncio.Event()
    async with relayed(Slow(), clients=2) as (relay, url):
        tasks = [asyncio.create_task(visit(url)) for _ in range(6)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        gate.set()
        await until(lambda: relay.clients == 2)
        assert all(isinstance(task.exception(), InvalidStatus) for task in done)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_url_of_too_many_fields_says_nothing():
    async with relayed() as (_, url), bare(f"{url}?{'&'.join(f'n{n}=1' for n in range(100))}") as client:
        assert client.id


async def test_clients_that_read_nothing_hold_up_a_message_for_all_of_them_once():
    relay = Relay(settings=RelaySettings(stall_s=0.2))
    async with AsyncExitStack() as stack:
        sender, *deaf = [await stack.enter_async_context(relay.entered("room", "", Outgoing(), "")) for _ in range(21)]
        started = asyncio.get_running_loop().time()
        await relay.pass_on(sender, json.dumps({"category": "request", "requestId": "1", "data": "x" * 1_000_000}))
        assert asyncio.get_running_loop().time() - started < 2  # not 0.2 s for each of twenty
        assert {place.link.closing[0] for place in deaf} == {TRY_AGAIN}


async def test_a_client_that_is_gone_leaves_no_texts_behind(monkeypatch):
    async def blocked(event):
        await asyncio.Event().wait()

    async def reading():
        for _ in range(10):
            link.send("x" * 100_000)
        assert link.choked

    monkeypatch.setattr(_carriers, "FLUSH_S", 0.01)
    link = _carriers.AsgiTexts(blocked, blocked)
    async with relayed() as (relay, _), relay.entered("room", "", link, "") as place:
        await link.carry(reading())
        assert not link.choked
        assert not link._texts
    assert place.link is not link  # the relay remembers its address, and nothing of its connection


async def test_a_flood_of_small_messages_leaves_turns_to_the_others(monkeypatch):
    turns, decode = [0], _clients._addresses.decode

    def counted(text):
        turns[-1] += 1
        return decode(text)

    async with relayed() as (_, url), bare(url) as hostile:
        monkeypatch.setattr(_clients, "_addresses", SimpleNamespace(decode=counted))
        flood = [asyncio.create_task(hostile.say({"category": "pong"})) for _ in range(5000)]
        async with asyncio.timeout(10):
            while sum(turns) < 5000:
                await asyncio.sleep(0)
                turns.append(0)
        await asyncio.gather(*flood)
    assert max(turns) <= 64 + 1


async def test_an_error_of_a_dial_does_not_show_the_token():
    for url in ("ws://127.0.0.1:1/room", "http://127.0.0.1:1/room"):
        with pytest.raises((Unavailable, InvalidArgument)) as refused:
            await connect(url, token="s3cret").__aenter__()
        assert "s3cret" not in str(refused.value)
    async with relayed(_Broken()) as (_, url):
        with pytest.raises(Unavailable) as refused:
            await connect(f"{url.removesuffix('room')}raises", token="s3cret").__aenter__()
        assert "403" in str(refused.value)
        assert "s3cret" not in str(refused.value)


# ── a peer that sends ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sender_without_flow_control_keeps_nothing_that_was_sent():
    async def numbers():
        for number in range(500):
            yield number

    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        sent = sender.send_stream(numbers(), "s", to=client.id)
        await sent
        assert sent.pulled >= 500
        assert not sent._queue.ledger.missing()


async def test_a_receiver_that_confirms_nothing_makes_its_sender_keep_a_bounded_number_of_items(monkeypatch):
    monkeypatch.setattr(_queue, "AHEAD_ITEMS_MAX", 100)
    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        sent, credit = await flowing(client, sender, forever())
        await client.say({**credit, "limit": 1 << 52})
        await until(lambda: sent.pulled == 100)
        await client.say({**credit, "limit": 1 << 52, "next": 90})
        await until(lambda: sent.pulled == 190)


async def test_items_that_are_asked_for_again_and_again_wait_for_the_connection():
    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        _, credit = await flowing(client, sender, forever("x" * 60_000))
        again = {**credit, "limit": 100, "resend": True}
        sender._wire.pause_writing()
        sizes = choked_bytes(sender)
        for _ in range(1000):
            sender._wire.take_text(json.dumps(again).encode())  # as a hostile relay can, which reads nothing
        await asyncio.sleep(0)
        assert sum(sizes) < 200_000
        sender._wire.resume_writing()
        while (await client.hear()).get("seq", 0) < 3:
            pass


@pytest.mark.parametrize(
    "wrong",
    [{"limit": -1}, {"limit": 1 << 60}, {"limit": 5, "next": 9}, {"limit": 5, "next": -1}],
)
async def test_an_impossible_credit_ends_the_stream_with_an_error_at_both_sides(wrong):
    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        sent, credit = await flowing(client, sender, forever())
        await client.say({**credit, **wrong})
        with pytest.raises(InvalidArgument):
            await sent
        assert (await client.hear())["type"] == "StreamError"


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "5"},
        {"limit": 1.5},
        {"limit": None},
        {"limit": 5, "run": 1},
        {"limit": 5, "rate": [1]},
        {"limit": 5, "rate": 1},
    ],
)
async def test_a_credit_of_wrong_types_is_ignored_and_a_right_one_counts(wrong):
    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        sent, credit = await flowing(client, sender, forever())
        await client.say({**credit, **wrong})
        await client.say({**credit, "limit": 3})
        await until(lambda: sent.pulled == 3)


async def test_a_receiver_that_is_gone_before_it_has_asked_for_its_streams_leaves_none_behind(monkeypatch):
    monkeypatch.setattr(_table, "ASK_S", 0.05)
    async with relayed() as (_, url), connect(url, resume_s=0.05) as sender:
        async with bare(url) as client:
            sent, _ = await flowing(client, sender, forever())
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(sent, 2)
        await until(lambda: not sender._streams._sent)


async def test_a_receiver_that_never_asks_for_its_streams_loses_them(monkeypatch):
    monkeypatch.setattr(_table, "ASK_S", 0.02)
    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        sent, _ = await flowing(client, sender, forever())
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(sent, 2)


async def test_a_receiver_that_asks_for_one_item_keeps_its_stream(monkeypatch):
    monkeypatch.setattr(_table, "ASK_S", 0.02)
    async with relayed() as (_, url), connect(url) as sender, bare(url) as client:
        sent, credit = await flowing(client, sender, forever())
        await client.say({**credit, "limit": 1})
        await until(lambda: sent._offers > 5)
        assert sent.pulled == 1


# ── a peer that receives ──────────────────────────────────────────────────────────────────────────────────────────────


def bomb(items):
    return base64.b64encode(zlib.compress(b"[" + b",".join([b"0"] * items) + b"]", 9)).decode()


@pytest.mark.parametrize("frame", [{"deflate": bomb(100_000)}, {"payloads": [0] * 100_000}, {"deflate": bomb(3_000_000)}])
async def test_a_batch_of_more_items_than_any_sender_writes_fails_its_stream(frame):
    async with relayed() as (_, url), connect(url) as reader, bare(url) as client:
        _, source = reader.receive_stream("s")
        await client.say({"type": "StreamBatch", "streamId": "s", "seq": 0, "to": reader.client_id, **frame})
        with pytest.raises(InvalidArgument, match="batch"):
            await source.receive()


async def test_items_wait_as_text_whatever_their_values_need():
    async with relayed() as (_, url), connect(url) as reader, bare(url) as client:
        _, source = reader.receive_stream("s")
        await client.say({"type": "StreamData", "streamId": "s", "payload": [[]] * 1000, "to": reader.client_id})
        await until(lambda: source.statistics().buffered)
        assert [type(item) for item, _ in source._state.ledger.waiting] == [msgspec.Raw]
        assert await source.receive() == [[]] * 1000


async def test_an_item_that_comes_early_and_has_another_type_fails_its_stream_behind_those_before_it():
    async with relayed() as (_, url), connect(url) as reader, bare(url) as client:
        for data in (1, 2, "three", 4):
            await client.say({"type": "StreamData", "streamId": "s", "payload": data, "to": reader.client_id})
        await until(lambda: reader._streams._received and len(reader._streams._received["s"].ledger.waiting) == 4)
        _, source = reader.receive_stream("s", type=int)
        assert [await source.receive(), await source.receive()] == [1, 2]
        for _ in range(2):
            with pytest.raises(InvalidArgument):
                await source.receive()


async def test_a_source_that_is_dropped_lets_go_of_the_items_of_a_stream_that_has_ended():
    async with relayed() as (_, url), connect(url) as reader, bare(url) as client:
        _, source = reader.receive_stream("s")
        state, ledger = source._state, source._state.ledger
        await client.say({"type": "StreamData", "streamId": "s", "payload": "x" * 1000, "to": reader.client_id})
        await client.say({"type": "StreamEnd", "streamId": "s", "to": reader.client_id})
        await until(lambda: state.outcome is not None)
        assert ledger.waiting
        del source
        gc.collect()
        await until(lambda: not ledger.waiting)


async def test_a_sender_that_goes_far_beyond_the_bytes_of_its_credit_fails_its_stream(monkeypatch):
    monkeypatch.setattr(_received, "FLOWING_BYTES_MAX", 1000)
    async with relayed() as (_, url), connect(url) as reader, bare(url) as client:
        _, source = reader.receive_stream("s")
        frame = {"streamId": "s", "to": reader.client_id}
        await client.say({"type": "StreamOpen", "run": "1", **frame})
        for seq in range(2):
            await client.say({"type": "StreamData", "seq": seq, "payload": "x" * 900, **frame})
        assert len(await source.receive()) == len(await source.receive()) == 900
        with pytest.raises(ResourceExhausted):
            await source.receive()


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"type": "StreamEnd"}, InvalidArgument),
        ({"type": "StreamEnd", "seq": 0}, InvalidArgument),
        ({"type": "StreamEnd", "seq": -1}, InvalidArgument),
        ({"type": "StreamData", "payload": 2}, InvalidArgument),
        ({"type": "StreamData", "seq": 300, "payload": 2}, None),
        ({"type": "StreamBatch", "seq": 1, "payloads": [0] * 300}, InvalidArgument),
        ({"type": "StreamError", "error": "x", "code": 999}, Exception),
        ({"type": "StreamError", "error": "x", "code": "1"}, None),
        ({"type": "StreamData", "seq": "1", "payload": 2}, None),
    ],
)
async def test_a_frame_that_breaks_the_order_of_a_stream_never_looks_like_its_normal_end(frame, error):
    async with relayed() as (_, url), connect(url) as reader, bare(url) as client:
        _, source = reader.receive_stream("s")
        both = {"streamId": "s", "to": reader.client_id}
        await client.say({"type": "StreamOpen", "run": "1", **both})
        await client.say({"type": "StreamData", "seq": 0, "payload": 1, **both})
        await client.say({**frame, **both})
        await client.say({"type": "StreamData", "seq": 1, "payload": 5, **both})
        await client.say({"type": "StreamEnd", "seq": 2, **both})
        if error is None:
            assert [item async for item in source] == [1, 5]
            return
        with pytest.raises(error):
            assert [item async for item in source] == [1]


# ── requests, and the connection ──────────────────────────────────────────────────────────────────────────────────────


class _Fails(msgspec.Struct):
    n: int

    def __post_init__(self):
        raise ZeroDivisionError


async def test_a_type_that_raises_fails_its_value_alone():
    async with relayed() as (_, url), connect(url, request_type=_Fails) as peer, connect(url) as other:
        peer.match(lambda data, from_: 1)
        with pytest.raises(Internal):
            await other.request({"n": 1})
        sent = other.send_stream(forever({"n": 1}), "s", to=peer.client_id)
        _, source = peer.receive_stream("s", type=_Fails)
        with pytest.raises(Internal):
            await source.receive()
        assert peer.state == "open"
        sent.abort()


async def test_data_of_another_type_is_answered_though_any_data_could_be_a_notification():
    async with relayed() as (_, url), connect(url, request_type=int) as peer, connect(url) as other:
        peer.match(lambda data, from_: data + 1)
        with pytest.raises(InvalidArgument):
            await other.request("one")
        assert (await other.request(1)).data == 2


async def test_a_connection_that_is_cancelled_before_the_welcome_is_closed():
    came, gone = asyncio.Event(), asyncio.Event()

    async def silent(client):
        came.set()
        await client.wait_closed()
        gone.set()

    async with serve(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        task = asyncio.create_task(connect(f"ws://127.0.0.1:{port}/room").__aenter__())
        await came.wait()
        task.cancel()
        await asyncio.wait_for(gone.wait(), 2)
        await asyncio.gather(task, return_exceptions=True)


async def test_a_relay_that_reads_nothing_makes_a_peer_keep_a_bounded_number_of_answers():
    async def play(client):
        await client.send(json.dumps({"category": "welcome", "clientId": "us", "sessionId": "s"}))
        client.transport.pause_reading()
        for number in range(3000):
            await client.send(json.dumps({"category": "request", "requestId": str(number), "from": "them", "data": 1}))
            await client.send(json.dumps({"category": "ping", "timestamp": number}))
        said.set()
        await client.wait_closed()

    said = asyncio.Event()
    async with (
        serve(play, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/room", reconnect=None) as peer,
    ):
        sizes = choked_bytes(peer)
        peer.match(lambda data, from_: "x" * 10_000)
        await said.wait()
        await until(lambda: peer._wire.choked and len(peer._handlers._running) >= 1024)
        assert sum(sizes) < 200_000
        for client in server.connections:
            client.transport.abort()


async def test_a_request_that_waits_for_a_full_connection_is_sent_over_the_next_one():
    async with relayed() as (relay, url), connect(url) as asker, connect(url) as other:
        other.match(lambda data, from_: data)
        asker._wire.choked = True
        request = asyncio.create_task(asker.request(5))
        await asyncio.sleep(0)
        asker._wire._link.abort()
        assert (await request).data == 5
        assert relay.clients == 2
