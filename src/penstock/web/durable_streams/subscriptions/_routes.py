"""The requests for subscriptions, below ``__ds/``, and their answers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec
from msgspec import Meta

from penstock._outcomes import text_of
from penstock.codec import JSON, UNDECODABLE
from penstock.retention import Streams
from penstock.web._http import HttpRequest
from penstock.web._response import HttpResponse, Refused, as_json
from penstock.web.durable_streams._seen import RESERVED
from penstock.web.durable_streams._settings import StreamsOverHttp
from penstock.web.durable_streams.subscriptions._record import SubscriptionRecord, Wanted, link, streams_shown, unlink
from penstock.web.durable_streams.subscriptions._records import LINKS_MAX, RECORDS, Records
from penstock.web.durable_streams.subscriptions._wakes import Wakes
from penstock.web.durable_streams.subscriptions._webhook import WEBHOOK_URL_MAX, target_of

BODY_BYTES_MAX: Final = 256 * 1024
ID_CHARACTERS_MAX: Final = 128

_Name = Annotated[str, Meta(min_length=1, max_length=256)]


class _Webhook(msgspec.Struct):
    url: Annotated[str, Meta(min_length=1, max_length=WEBHOOK_URL_MAX)]


class _Making(msgspec.Struct):
    type: Literal["webhook", "pull-wake"]
    pattern: _Name | None = None
    streams: Annotated[list[_Name], Meta(max_length=LINKS_MAX)] = []
    webhook: _Webhook | None = None
    wake_stream: _Name | None = None
    lease_ttl_ms: Annotated[int, Meta(ge=1_000, le=600_000)] = 30_000
    description: Annotated[str, Meta(max_length=1_024)] | None = None


class _Linking(msgspec.Struct):
    streams: Annotated[list[_Name], Meta(min_length=1, max_length=LINKS_MAX)]


class _Claim(msgspec.Struct):
    worker: _Name


class _Ack(msgspec.Struct):
    offset: str
    stream: str = ""
    path: str = ""


class _Answer(msgspec.Struct):
    wake_id: str
    generation: int
    acks: Annotated[list[_Ack], Meta(max_length=LINKS_MAX)] = []
    done: bool = False


class Subscriptions:
    """The subscriptions of an application: their records, and their wakes."""

    def __init__(self, streams: Streams, settings: StreamsOverHttp) -> None:
        self.records = Records(streams, settings)
        self.wakes = Wakes(self.records, settings)

    async def load(self) -> None:
        """Take up the subscriptions of an earlier run of the program."""
        await self.records.load()
        for record in tuple(self.records.named.values()):
            self.wakes.go_on(record)

    async def aclose(self) -> None:
        """End all timers and deliveries."""
        await self.wakes.aclose()


async def handle(request: HttpRequest, subscriptions: Subscriptions, settings: StreamsOverHttp) -> HttpResponse:
    """Answer a request whose path begins with ``/__ds/``."""
    path = request.path.removeprefix("/")
    if path == f"{RESERVED}jwks.json" and request.method == "GET":
        headers = {"content-type": "application/jwk-set+json", "cache-control": "public, max-age=300"}
        return as_json(subscriptions.wakes.deliveries.signing.key_set(), headers=headers)
    name, _, action = path.removeprefix(RECORDS).partition("/")
    if not path.startswith(RECORDS) or not 1 <= len(name) <= ID_CHARACTERS_MAX or not name.isprintable():
        _refuse(HTTPStatus.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", "nothing is at this path")
    action, _, stream = action.partition("/")
    if request.method == "PUT" and not action:
        return await _make(request, subscriptions, settings, name)
    record = subscriptions.records.named.get(name)
    if record is None:
        _refuse(HTTPStatus.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", f"subscription {name!r} is not kept here")
    if action == "streams" and stream and request.method == "DELETE":
        unlink(record, stream)
        subscriptions.records.save(record)
        return HttpResponse(HTTPStatus.NO_CONTENT)
    handler = _HANDLERS.get((request.method, action))
    if handler is None or stream:
        _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "INVALID_REQUEST", "the method is not for this path")
    response: HttpResponse = await handler(request, subscriptions, record)
    return response


async def _make(request: HttpRequest, subscriptions: Subscriptions, settings: StreamsOverHttp, name: str) -> HttpResponse:
    asked = await _body(request, _Making)
    if asked.pattern is None and not asked.streams:
        _refuse(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", "a subscription has a pattern or streams")
    if asked.type == "pull-wake" and asked.wake_stream is None:
        _refuse(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", "a pull-wake subscription has a wake_stream")
    url = None if asked.type != "webhook" else "" if asked.webhook is None else asked.webhook.url
    if url is not None:
        _check_url(url, settings)
    wanted = Wanted(
        type=asked.type,
        pattern=None if asked.pattern is None else asked.pattern.strip("/"),
        streams=tuple(sorted({one.strip("/") for one in asked.streams})),
        url=url,
        wake_stream=None if asked.wake_stream is None else asked.wake_stream.strip("/"),
        lease_ttl_ms=asked.lease_ttl_ms,
        description=asked.description,
    )
    _check_names((*wanted.streams, wanted.wake_stream or ""))
    known = subscriptions.records.named.get(name)
    if known is not None and known.wanted != wanted:
        _refuse(HTTPStatus.CONFLICT, "SUBSCRIPTION_ALREADY_EXISTS", "the subscription is there, and is another one")
    record = known or await subscriptions.records.make(name, wanted, request.url(""))
    return as_json(_shown(subscriptions, record), HTTPStatus.CREATED if known is None else HTTPStatus.OK)


def _check_names(names: Iterable[str]) -> None:
    """Refuse the names of records: they are written by the server alone."""
    if any(name.startswith(RESERVED) for name in names):
        _refuse(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", f"streams whose names begin with {RESERVED} are those of the server")


def _check_url(url: str, settings: StreamsOverHttp) -> None:
    if settings.webhooks == "off":
        _refuse(HTTPStatus.BAD_REQUEST, "WEBHOOK_URL_REJECTED", "this server calls no webhooks (webhooks)")
    try:
        target_of(url, settings.webhooks)
    except ValueError as error:
        _refuse(HTTPStatus.BAD_REQUEST, "WEBHOOK_URL_REJECTED", f"the URL of the webhook is refused: {error}")


async def _show(request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord) -> HttpResponse:
    return as_json(_shown(subscriptions, record), headers={"cache-control": "no-store"})


async def _delete(request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord) -> HttpResponse:
    subscriptions.wakes.forget(record)
    await subscriptions.records.delete(record)
    return HttpResponse(HTTPStatus.NO_CONTENT)


async def _link(request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord) -> HttpResponse:
    names = [one.strip("/") for one in (await _body(request, _Linking)).streams]
    _check_names(names)
    if len(record.links.keys() | set(names)) > LINKS_MAX:
        _refuse(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", f"a subscription has at most {LINKS_MAX} streams")
    link(record, names, subscriptions.records.tail_of, explicit=True)
    subscriptions.records.save(record)
    return HttpResponse(HTTPStatus.NO_CONTENT)


async def _claim(request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord) -> HttpResponse:
    worker = (await _body(request, _Claim)).worker
    _check_type(record, "pull-wake")
    if record.holder is not None:
        holder = {"code": "ALREADY_CLAIMED", "current_holder": record.holder, "generation": record.generation}
        raise Refused(as_json({"error": holder}, HTTPStatus.CONFLICT))
    token = subscriptions.wakes.claim(record, worker)
    if token is None:
        _refuse(HTTPStatus.CONFLICT, "NO_PENDING_WORK", "all items were acknowledged")
    claimed = {
        "wake_id": record.wake,
        "generation": record.generation,
        "token": token,
        "streams": streams_shown(record, subscriptions.records.tail_of),
        "lease_ttl_ms": record.wanted.lease_ttl_ms,
    }
    return as_json(claimed)


async def _answer(
    request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord, *, of: str = "pull-wake"
) -> HttpResponse:
    said = await _fenced(request, subscriptions, record, of)
    acks = {(one.stream or one.path).strip("/"): one.offset for one in said.acks}
    outcome = subscriptions.wakes.answer(record, acks, done=said.done)
    if isinstance(outcome, str):
        _refuse(HTTPStatus.CONFLICT, "INVALID_OFFSET", outcome)
    return as_json({"ok": True, "next_wake": outcome})


async def _release(request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord) -> HttpResponse:
    await _fenced(request, subscriptions, record, "pull-wake")
    subscriptions.wakes.release(record)
    return HttpResponse(HTTPStatus.NO_CONTENT)


_HANDLERS: Final[dict[tuple[str, str], Any]] = {
    ("GET", ""): _show,
    ("DELETE", ""): _delete,
    ("POST", "streams"): _link,
    ("POST", "claim"): _claim,
    ("POST", "ack"): _answer,
    ("POST", "callback"): partial(_answer, of="webhook"),
    ("POST", "release"): _release,
}


async def _fenced(request: HttpRequest, subscriptions: Subscriptions, record: SubscriptionRecord, of: str) -> _Answer:
    """Return the answer of a worker. Raises `Refused` for one whose wake is over, or that has no token for it."""
    said: _Answer = await _body(request, _Answer)
    _check_type(record, of)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    generation = subscriptions.wakes.tokens.generation(record.id, token.strip()) if scheme.lower() == "bearer" else None
    if generation is None:
        _refuse(HTTPStatus.UNAUTHORIZED, "TOKEN_INVALID", "the token is not one of this subscription, or has expired")
    if not generation == said.generation == record.generation or said.wake_id != record.wake:
        _refuse(HTTPStatus.CONFLICT, "FENCED", "the wake is over")
    return said


def _check_type(record: SubscriptionRecord, expected: str) -> None:
    if record.wanted.type != expected:
        _refuse(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", f"the subscription is not of the type {expected}")


async def _body(request: HttpRequest, cls: type[Any]) -> Any:
    body = await request.body(BODY_BYTES_MAX, "BODY_BYTES_MAX")
    try:
        return JSON.decode_for(cls).value(body)
    except UNDECODABLE as error:
        _refuse(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", text_of(error))


def _shown(subscriptions: Subscriptions, record: SubscriptionRecord) -> dict[str, Any]:
    """Return a subscription as its client sees it."""
    wanted = record.wanted
    shown: dict[str, Any] = {
        "id": record.id,
        "subscription_id": record.id,
        "type": wanted.type,
        "pattern": wanted.pattern,
        "streams": [
            {name: known[name] for name in ("path", "link_type", "acked_offset")}
            for known in streams_shown(record, subscriptions.records.tail_of)
        ],
        "wake_stream": wanted.wake_stream,
        "lease_ttl_ms": wanted.lease_ttl_ms,
        "created_at": record.created_at,
        "status": "active" if record.next_attempt is None else "failed",
        "description": wanted.description,
    }
    if wanted.url is not None:
        signing = {
            "alg": "ed25519",
            "kid": subscriptions.wakes.deliveries.signing.kid,
            "jwks_url": f"{record.base}/{RESERVED}jwks.json",
        }
        shown["webhook"] = {"url": wanted.url, "signing": signing}
    return shown


def _refuse(status: int, code: str, message: str) -> NoReturn:
    raise Refused(as_json({"error": {"code": code, "message": message}}, status))
