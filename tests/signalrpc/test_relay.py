"""The relay: which message reaches which client, as a bare client sees it."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from penstock.errors import PermissionDenied
from penstock.signalrpc import RelayRules, Visitor
from tests.signalrpc.kit import bare, relayed

REQUEST = {"category": "request", "requestId": "1", "data": 1}


async def test_the_first_message_is_the_welcome_with_an_address_and_a_secret():
    async with relayed() as (_, url), bare(url) as client:
        assert client.welcome.keys() >= {"category", "clientId", "sessionId", "restoredSession"}
        assert client.welcome["category"] == "welcome"
        assert client.welcome["restoredSession"] is False


async def test_a_message_without_an_address_reaches_all_others_of_the_topic_and_no_other_topic():
    async with relayed() as (_, url), bare(url) as one, bare(url) as two, bare(url) as three, bare(f"{url}/other") as far:
        await one.say(REQUEST)
        assert await two.hear() == await three.hear() == {**REQUEST, "from": one.id}
        await far.say({"category": "ping", "timestamp": 7})
        assert await far.hear() == {"category": "pong", "timestamp": 7}  # nothing came before it
        await one.say({"category": "ping", "timestamp": 8})
        assert (await one.hear())["category"] == "pong"  # and nothing of its own


async def test_a_message_with_an_address_reaches_that_client_alone():
    async with relayed() as (_, url), bare(url) as one, bare(url) as two, bare(url) as three:
        await one.say({**REQUEST, "to": three.id})
        assert (await three.hear())["to"] == three.id
        await two.say({"category": "ping", "timestamp": 1})
        assert (await two.hear())["category"] == "pong"


async def test_a_message_to_a_client_that_is_not_there_is_answered_with_an_error():
    async with relayed() as (_, url), bare(url) as one:
        await one.say({**REQUEST, "to": "gone"})
        assert await one.hear() == {"category": "error", "error": "Target peer not found", "targetId": "gone"}


async def test_a_message_that_is_too_large_is_answered_with_an_error():
    async with relayed(message_bytes=1000) as (_, url), bare(url) as one:
        await one.say({**REQUEST, "data": "x" * 1000})
        assert await one.hear() == {"category": "error", "error": "Message too large", "maxSize": 1000}
        await one.say({**REQUEST, "data": "x" * 4000})  # far too large: it is not even read
        with pytest.raises(ConnectionClosed, match="1009"):
            await one.hear()


@pytest.mark.parametrize("text", ["", "not json", "[]", "5", '{"category": "welcome", "clientId": "x"}', "[" * 5000])
async def test_a_text_that_is_not_a_message_of_peers_is_answered_with_an_error(text):
    async with relayed() as (_, url), bare(url) as one, bare(url) as two:
        await one.say(text)
        assert (await one.hear())["error"] == "Invalid message"
        await one.say(REQUEST)
        assert await two.hear() == {**REQUEST, "from": one.id}  # the first that it has got


async def test_a_client_cannot_speak_as_another_one():
    async with relayed() as (_, url), bare(url) as one, bare(url) as two:
        await one.say({**REQUEST, "from": two.id, "data": {"n": 1.5}})
        assert await two.hear() == {**REQUEST, "from": one.id, "data": {"n": 1.5}}


async def test_a_client_that_shows_its_secret_gets_its_address_again():
    async with relayed() as (relay, url):
        async with bare(url) as one:
            pass
        async with bare(f"{url}?sessionId={one.welcome['sessionId']}") as again:
            assert (again.id, again.welcome["restoredSession"]) == (one.id, True)
            async with bare(f"{url}?sessionId={one.welcome['sessionId']}") as newest:
                assert newest.id == one.id
                with pytest.raises(ConnectionClosed):  # two connections never share an address
                    await again.hear()
                assert relay.clients == 1
        async with bare(f"{url}/other?sessionId={one.welcome['sessionId']}") as elsewhere:
            assert elsewhere.id != one.id


class _Doors(RelayRules):
    async def admit(self, visitor: Visitor) -> str:
        if visitor.token not in {"ann", "bob"}:
            raise PermissionDenied("no such token")
        return visitor.token

    def may_publish(self, user, topic):
        return user == "ann"

    def may_write(self, user, target, topic, target_topic):
        return topic == target_topic


async def test_the_rules_say_which_clients_come_in_and_what_they_may_do():
    async with relayed(_Doors()) as (_, url):
        for wrong in (url, f"{url}?token=eve"):
            with pytest.raises(InvalidStatus) as refused:
                await bare(wrong).__aenter__()
            assert refused.value.response.status_code == 403
        bearer = {"Authorization": "Bearer bob"}
        async with (
            bare(f"{url}?token=ann") as ann,
            bare(url, additional_headers=bearer) as bob,
            bare(f"{url}2?token=ann") as far,
        ):
            await ann.say(REQUEST)
            assert await bob.hear() == {**REQUEST, "from": ann.id}
            await bob.say(REQUEST)
            assert (await bob.hear())["error"] == "Not authorized to publish to this topic"
            await bob.say({**REQUEST, "to": far.id})
            assert (await bob.hear())["error"] == "Not authorized to message this peer"
            await bob.say({**REQUEST, "to": ann.id})
            assert (await ann.hear())["to"] == ann.id


async def test_a_page_of_another_site_is_refused_unless_it_is_listed():
    async with relayed(origins=("https://ours.example",)) as (_, url):
        async with bare(url, origin="https://ours.example"):
            pass
        with pytest.raises(InvalidStatus) as refused:
            await bare(url, origin="https://evil.example").__aenter__()
        assert refused.value.response.status_code == 403


async def test_a_client_that_does_not_read_slows_those_that_send_to_it_and_is_closed_after_the_time_for_that():
    async with relayed(stall_s=0.3) as (relay, url), bare(url) as sender, bare(url) as reader, bare(url, max_queue=1) as stuck:
        stuck.socket.transport.pause_reading()
        big = json.dumps({**REQUEST, "to": stuck.id, "data": "x" * 500_000})
        for _ in range(40):  # 20 MB: more than the kernel and the relay hold
            await sender.say(big)
        await sender.say({**REQUEST, "to": reader.id})
        assert (await reader.hear())["to"] == reader.id
        while relay.clients > 2:  # noqa: ASYNC110 - it looks from outside, and has no event
            await asyncio.sleep(0.01)
        stuck.socket.transport.abort()


async def test_a_client_that_sends_too_fast_is_read_more_slowly_and_loses_nothing():
    async with relayed(messages_per_s=200) as (_, url), bare(url) as one, bare(url) as two:
        started = asyncio.get_running_loop().time()
        for number in range(100):
            await one.say({**REQUEST, "data": number})
        assert [(await two.hear())["data"] for _ in range(100)] == list(range(100))
        assert asyncio.get_running_loop().time() - started > 0.3


async def test_a_silent_client_is_pinged_and_then_closed():
    async with relayed(ping_s=0.05) as (relay, url), bare(url) as silent:
        assert (await silent.hear())["category"] == "ping"
        with pytest.raises(ConnectionClosed):
            await silent.hear()
        assert relay.clients == 0
