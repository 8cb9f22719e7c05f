"""Requests and their answers, between peers of a real relay."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from penstock.errors import ConnectionLost, DeadlineExceeded, Internal, InvalidArgument, NotFound, PermissionDenied, Unavailable
from penstock.peer import Reconnect
from penstock.signalrpc import Relay, RelayRules, RpcPeer, RpcResponse, connect
from tests.signalrpc.kit import bare, relayed
from tests.web.kit import served

AT_ONCE = Reconnect(first_s=0.01, max_s=0.02)


async def test_a_request_gets_the_answer_of_a_handler_and_its_address():
    async with relayed() as (_, url), connect(url, name="ann") as ann, connect(url, name="bob") as bob:
        seen = []

        async def handler(data, from_):
            seen.append((data, from_))
            return {"echo": data}

        bob.match(handler)
        for to in (None, bob.client_id):
            response = await ann.request({"n": [1, "é", None]}, to)
            assert isinstance(response, RpcResponse)
            assert (response.data, response.from_, response.from_name) == (
                {"echo": {"n": [1, "é", None]}},
                bob.client_id,
                "bob",
            )
        assert seen == [({"n": [1, "é", None]}, ann.client_id)] * 2


async def test_many_requests_at_once_each_get_their_own_answer():
    async with relayed() as (_, url), connect(url) as ann, connect(url) as bob:
        bob.match(lambda data, _: {"twice": 2 * data})
        responses = await asyncio.gather(*(ann.request(n, timeout=30) for n in range(300)))
        assert [response.data["twice"] for response in responses] == [2 * n for n in range(300)]


async def test_a_handler_that_raises_answers_with_its_error(caplog):
    async with relayed() as (_, url), connect(url) as ann, connect(url) as bob, bare(url) as other:

        def handler(data, _):
            raise {"known": NotFound("no such room"), "unknown": ValueError("secret")}[data]

        bob.match(handler)
        with pytest.raises(NotFound, match="no such room"):
            await ann.request("known", bob.client_id)
        with caplog.at_level(logging.CRITICAL), pytest.raises(Internal) as internal:
            await ann.request("unknown", bob.client_id)
        assert "secret" not in str(internal.value)
        await other.say({"category": "request", "requestId": "7", "from": other.id, "to": bob.client_id, "data": "known"})
        answer = await other.hear()  # the original reads `data`, and knows no other field
        assert (answer["requestId"], answer["data"]) == ("7", {"error": "no such room"})


async def test_a_request_without_an_answer_times_out_and_one_to_nobody_fails_at_once():
    async with relayed() as (_, url), connect(url) as ann, connect(url) as bob:
        bob.match(lambda data, _: None)
        with pytest.raises(DeadlineExceeded):
            await ann.request(1, timeout=0.05)
        with pytest.raises(NotFound):
            await ann.request(1, "nobody", timeout=30)


async def test_a_response_of_another_peer_than_the_one_that_was_asked_is_ignored():
    async with relayed() as (_, url), connect(url) as ann, bare(url) as asked, bare(url) as liar:
        asking = asyncio.create_task(ann.request(1, asked.id, timeout=5))
        request = await asked.hear()
        answer = {"category": "response", "requestId": request["requestId"], "to": ann.client_id}
        await liar.say({**answer, "from": liar.id, "data": "lie"})
        await liar.say({"category": "ping", "timestamp": 0})
        await liar.hear()  # the relay has passed the lie on
        await asked.say({**answer, "from": asked.id, "data": "truth"})
        assert (await asking).data == "truth"


class Ask(msgspec.Struct):
    n: int


class Told(msgspec.Struct):
    text: str


async def test_types_say_which_data_is_a_request_and_which_a_notification():
    async with (
        relayed() as (_, url),
        connect(url, response_type=Told) as ann,
        connect(url, request_type=Ask, response_type=Told) as bob,
    ):
        told = asyncio.Queue()
        bob.match(lambda data, _: {"text": str(data.n)})
        bob.on_notification(lambda data, from_: told.put_nowait((data, from_)))
        assert (await ann.request({"n": 3})).data == Told("3")
        await ann.send({"text": "hello"})
        assert await told.get() == (Told("hello"), ann.client_id)
        with pytest.raises(InvalidArgument):
            await ann.request({"n": "three"})
        remove = bob.match(lambda data, _: None)
        remove()
        remove()


async def test_an_answer_of_the_wrong_type_is_an_error():
    async with relayed() as (_, url), connect(url, response_type=Told) as ann, connect(url) as bob:
        bob.match(lambda data, _: data)
        with pytest.raises(InvalidArgument, match="Invalid response data"):
            await ann.request({"text": 5})


async def test_a_lost_connection_fails_its_requests_and_is_made_again_with_the_same_address():
    async with relayed() as (_, url), connect(url, reconnect=AT_ONCE) as ann, connect(url, reconnect=None) as bob:
        bob.match(lambda data, _: None if data == "never" else {"got": data})
        asking = asyncio.create_task(ann.request("never", timeout=30))
        assert (await ann.request(1)).data == {"got": 1}
        before = ann.client_id
        ann._wire._link.abort()
        with pytest.raises(ConnectionLost):
            await asking
        assert (await ann.request(2)).data == {"got": 2}  # it waits for the connection
        assert ann.client_id == before


async def test_a_peer_without_a_second_connection_is_closed_with_its_first():
    async with relayed() as (_, url), connect(url, reconnect=None) as ann:
        ann._wire._link.abort()
        with pytest.raises(Unavailable):
            await ann.request(1)
        assert ann.state == "closed"
        with pytest.raises(Unavailable):
            await ann.send(1)


class _Closed(RelayRules):
    async def admit(self, visitor):
        raise PermissionDenied("closed")


async def test_a_peer_that_is_refused_gets_an_error_that_says_so():
    async with relayed(_Closed()) as (_, url):
        with pytest.raises(Unavailable, match="403"):
            await connect(url).__aenter__()


async def test_a_server_that_is_not_a_relay_sends_no_welcome(monkeypatch):
    monkeypatch.setattr("penstock.signalrpc._wire.WELCOME_S", 0.05)

    async def silent(receiver, session_id):
        class Link:
            def abort(self):
                receiver.link_lost(None)

        receiver.link_made(Link())

    with pytest.raises(Unavailable, match="no welcome"):
        await RpcPeer(silent).__aenter__()


async def test_data_that_json_cannot_say_is_refused_before_it_is_sent():
    async with relayed() as (_, url), connect(url) as ann:
        with pytest.raises(InvalidArgument):
            await ann.request(object())


async def test_a_relay_that_is_mounted_in_an_application_has_its_own_topics():
    relay = Relay()

    async def app(scope, receive, send):
        await relay({**scope, "root_path": "/signal"}, receive, send)

    async with served(app) as http:
        url = http.replace("http", "ws") + "/signal/room"
        async with connect(url) as ann, connect(url) as bob:
            bob.match(lambda data, _: data)
            assert (await ann.request("x")).data == "x"
