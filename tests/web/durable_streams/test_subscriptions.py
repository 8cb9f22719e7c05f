"""Subscriptions: a worker is woken, answers, and is woken again; one that is gone holds nothing up; a restart goes on."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

import penstock
from penstock.web import DurableStreams, StreamsOverHttp
from penstock.web.durable_streams.subscriptions import _wakes
from penstock.web.durable_streams.subscriptions._signing import SigningKey, SubscriptionTokens
from penstock.web.durable_streams.subscriptions._webhook import call, target_of
from tests.web.durable_streams.kit import JSON, mounted
from tests.web.kit import served

SUBSCRIPTION = "/__ds/subscriptions/s"


class Hook:
    """A webhook that keeps what it was sent, and gives the answers that it was told to give; then it is done."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.got: asyncio.Queue[dict] = asyncio.Queue()
        self.signatures: list[tuple[str, bytes]] = []

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event["body"], event.get("more_body", False)
        headers = dict(scope["headers"])
        self.signatures.append((headers[b"webhook-signature"].decode(), body))
        self.got.put_nowait(json.loads(body))
        status, answer = self.answers.pop(0) if self.answers else (200, b'{"done": true}')
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def site_of(settings: StreamsOverHttp):
    app = DurableStreams(settings)
    async with (
        served(mounted(app)) as url,
        httpx.AsyncClient(base_url=f"{url}/v1/stream", timeout=10, verify=False) as site,
        aclosing(app),
        asyncio.timeout(10),
    ):
        yield site


@pytest.fixture
async def site():
    async with site_of(StreamsOverHttp(webhooks="local")) as site:
        yield site


async def made(site, **fields) -> httpx.Response:
    return await site.put(SUBSCRIPTION, json={"pattern": "jobs/*", **fields})


async def acked(site) -> dict[str, str]:
    return {one["path"]: one["acked_offset"] for one in (await site.get(SUBSCRIPTION)).json()["streams"]}


async def until_acked(site, stream: str) -> None:
    tail = (await site.head(f"/{stream}")).headers["stream-next-offset"]
    while (await acked(site)).get(stream) != tail:  # noqa: ASYNC110 - each look is a request
        await asyncio.sleep(0)


async def until_failed(site) -> None:
    while (await site.get(SUBSCRIPTION)).json()["status"] != "failed":  # noqa: ASYNC110 - each look is a request
        await asyncio.sleep(0)


async def test_items_that_the_program_sends_wake_a_worker_too(site):
    hook = Hook()
    async with served(hook) as url:
        await made(site, type="webhook", webhook={"url": url})
        await penstock.retained("jobs/1").send({"n": 1})
        wake = await hook.got.get()
        assert [(one["path"], one["has_pending"]) for one in wake["streams"]] == [("jobs/1", True)]
        await until_acked(site, "jobs/1")


async def test_items_that_were_there_before_the_subscription_wake_no_worker(site):
    stream = penstock.retained("jobs/1")
    await stream.send(1)
    hook = Hook()
    async with served(hook) as url:
        await made(site, type="webhook", webhook={"url": url})
        await stream.send(2)
        wake = await hook.got.get()
        assert wake["streams"][0]["acked_offset"].endswith("_0000000000000001")
        await until_acked(site, "jobs/1")


async def test_a_delivery_that_fails_is_made_again(site, monkeypatch):
    monkeypatch.setattr(_wakes, "WEBHOOK_RETRY_S", 0.01)
    hook = Hook((500, b""), (302, b""))
    async with served(hook) as url:
        await made(site, type="webhook", webhook={"url": url})
        await penstock.retained("jobs/1").send(1)
        wakes = [await hook.got.get() for _ in range(3)]
        await until_acked(site, "jobs/1")
    assert len({wake["wake_id"] for wake in wakes}) == 1


async def test_a_webhook_that_cannot_be_reached_shows_as_failed(site, caplog):
    await made(site, type="webhook", webhook={"url": "http://127.0.0.1:1/"})
    await penstock.retained("jobs/1").send(1)
    await until_failed(site)
    assert "cannot be called" in caplog.text


async def test_a_worker_that_says_nothing_loses_its_wake_and_cannot_answer_later(site, monkeypatch):
    hook = Hook((200, b"{}"))
    async with served(hook) as url:
        await made(site, type="webhook", webhook={"url": url}, lease_ttl_ms=1000)
        await penstock.retained("jobs/1").send(1)
        first = await hook.got.get()
        second = await hook.got.get()
        assert second["generation"] == first["generation"] + 1
        answer = {"wake_id": first["wake_id"], "generation": first["generation"], "done": True}
        late = await site.post(
            f"{SUBSCRIPTION}/callback", json=answer, headers={"authorization": f"Bearer {first['callback_token']}"}
        )
        assert (late.status_code, late.json()["error"]["code"]) == (409, "FENCED")
        await until_acked(site, "jobs/1")


async def test_what_is_delivered_is_signed_with_the_key_of_the_server(site):
    from base64 import urlsafe_b64decode

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    hook = Hook()
    async with served(hook) as url:
        await made(site, type="webhook", webhook={"url": url})
        await penstock.retained("jobs/1").send(1)
        await hook.got.get()
        await until_acked(site, "jobs/1")
    header, body = hook.signatures[0]
    time, kid, signature = (part.partition("=")[2] for part in header.split(","))
    key = next(key for key in (await site.get("/__ds/jwks.json")).json()["keys"] if key["kid"] == kid)
    public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"] + "="))
    public.verify(urlsafe_b64decode(signature + "=="), f"{time}.".encode() + body)


async def test_an_acknowledgement_goes_forward_within_its_stream_or_is_refused_as_a_whole(site):
    await site.put("/pool", headers=JSON)
    await made(site, type="pull-wake", wake_stream="pool", streams=["jobs/1", "jobs/2"])
    for name in ("1", "2"):
        await site.put(f"/jobs/{name}", headers=JSON, content=b"[1,2]")
    claimed = (await site.post(f"{SUBSCRIPTION}/claim", json={"worker": "w"})).json()
    tails = {one["path"]: one["tail_offset"] for one in claimed["streams"]}
    head = {"authorization": f"Bearer {claimed['token']}"}

    async def ack(**offsets: str) -> httpx.Response:
        acks = [{"stream": name.replace("_", "/"), "offset": offset} for name, offset in offsets.items()]
        answer = {"wake_id": claimed["wake_id"], "generation": claimed["generation"], "acks": acks}
        return await site.post(f"{SUBSCRIPTION}/ack", json=answer, headers=head)

    beyond = tails["jobs/1"][:-1] + "9"
    for bad in ({"jobs_3": tails["jobs/1"]}, {"jobs_1": beyond}, {"jobs_1": "-1"}, {"jobs_1": tails["jobs/2"]}):
        refused = await ack(jobs_2=tails["jobs/2"], **bad)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "INVALID_OFFSET")
    assert (await acked(site))["jobs/2"] != tails["jobs/2"]
    assert (await ack(jobs_1=tails["jobs/1"])).status_code == 200
    assert (await ack(jobs_1=tails["jobs/1"][:-1] + "1")).status_code == 409


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "webhook", "pattern": "*"}, "WEBHOOK_URL_REJECTED"),
        ({"type": "pull-wake", "pattern": "*"}, "INVALID_REQUEST"),
        ({"type": "pull-wake", "wake_stream": "w"}, "INVALID_REQUEST"),
        ({"type": "pull-wake", "wake_stream": "w", "pattern": "*", "lease_ttl_ms": 1}, "INVALID_REQUEST"),
        ({"type": "other", "pattern": "*"}, "INVALID_REQUEST"),
    ],
)
async def test_a_subscription_that_means_nothing_is_refused(site, body, code):
    refused = await site.put(SUBSCRIPTION, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)


async def test_the_record_of_a_subscription_cannot_be_forked_linked_or_written(site):
    await made(site, type="pull-wake", wake_stream="w")
    record = "__ds/subscriptions/s"
    assert (await site.put("/copy", headers={"stream-forked-from": f"/v1/stream/{record}"})).status_code == 404
    for fields in ({"wake_stream": record}, {"wake_stream": "w", "streams": [f"/{record}"]}):
        refused = await site.put("/__ds/subscriptions/t", json={"type": "pull-wake", "pattern": "*", **fields})
        assert refused.status_code == 400
    assert (await site.post(f"{SUBSCRIPTION}/streams", json={"streams": [record]})).status_code == 400


async def test_there_is_a_limit_to_subscriptions():
    async with site_of(StreamsOverHttp(subscriptions_max=1)) as site:
        assert (await made(site, type="pull-wake", wake_stream="w")).status_code == 201
        full = await site.put("/__ds/subscriptions/t", json={"type": "pull-wake", "pattern": "*", "wake_stream": "w"})
    assert (full.status_code, "subscriptions_max" in full.json()["detail"]) == (429, True)


async def test_webhooks_are_off_unless_the_server_calls_them():
    async with site_of(StreamsOverHttp()) as site:
        refused = await made(site, type="webhook", webhook={"url": "https://example.com/"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "WEBHOOK_URL_REJECTED")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://user:word@example.com/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://exam ple.com/",
        "https:///path",
        "not a url",
    ],
)
def test_a_webhook_leads_to_a_public_address_by_https(url):
    with pytest.raises(ValueError, match="it "):
        target_of(url, "public")


def test_a_name_that_leads_into_a_private_network_is_not_called():
    target = target_of("https://localhost.example/", "public")._replace(host="localhost")
    with pytest.raises(ValueError, match="private network"):
        asyncio.run(call(target, "public", b"", {}))


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more", (200, b"body")),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nbod\r\n1\r\ny\r\n0\r\n\r\n", (500, b"body")),
        (b"HTTP/1.0 202 ok\r\n\r\nbody", (202, b"body")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbody\r\n", None),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, None),
        (b"SSH-2.0\r\n\r\n", None),
        (b"", None),
    ],
)
async def test_the_answer_of_a_webhook_is_read_as_its_server_frames_it(answer, read):
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        target = target_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?x=1", "local")
        if read is None:
            with pytest.raises((ValueError, OSError)):
                await call(target, "local", b"{}", {})
        else:
            assert await call(target, "local", b"{}", {}) == read


def test_a_token_is_good_for_its_subscription_and_its_wake():
    tokens = SubscriptionTokens()
    token = tokens.make("s", 7)
    assert tokens.generation("s", token) == 7
    assert tokens.generation("t", token) is None
    assert SubscriptionTokens().generation("s", token) is None
    for bad in ("", ".", "a.b", token[:-2], f"{token}x", "é.é"):
        assert tokens.generation("s", bad) is None


def test_a_key_in_a_file_stays_the_same_and_is_for_its_user_alone(tmp_path):
    path = tmp_path / "key"
    assert SigningKey(path).kid == SigningKey(path).kid != SigningKey(None).kid
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_subscription_goes_on_after_a_restart(tmp_path):
    settings = StreamsOverHttp(durable=str(tmp_path / "streams.db"), webhooks="local")

    async def before() -> None:
        async with site_of(settings) as site:
            await made(site, type="webhook", webhook={"url": "http://127.0.0.1:1/"})
            await site.put("/jobs/1", headers=JSON, content=b"[1,2]")
            await until_failed(site)

    async def after() -> None:
        app = DurableStreams(settings)
        await app.start()
        async with (
            served(mounted(app)) as url,
            httpx.AsyncClient(base_url=f"{url}/v1/stream", verify=False) as site,
            aclosing(app),
        ):
            again = (await site.get(SUBSCRIPTION)).json()
            assert again["pattern"] == "jobs/*"
            assert [one["path"] for one in again["streams"]] == ["jobs/1"]
            assert again["status"] == "failed"  # the next attempt is that of the first run
            await site.delete(SUBSCRIPTION)
            assert (await site.get(SUBSCRIPTION)).status_code == 404

    async def last() -> None:
        async with site_of(settings) as site:
            assert (await site.get(SUBSCRIPTION)).status_code == 404

    for run in (before, after, last):
        asyncio.run(run())
