"""Making a stream over HTTP: a new one, or a fork of another one. A request that comes again changes nothing."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

from penstock.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from penstock.retention import Fork, KeptStream, Notes, Retained, Streams, made_for_others, page_of
from penstock.web._http import HttpRequest
from penstock.web._response import HttpResponse, Refused, refused
from penstock.web.durable_streams._append import add, written_soon
from penstock.web.durable_streams._headers import Wish, wish_in
from penstock.web.durable_streams._items import content_type_of, is_json, items_in, media_of, piece_of
from penstock.web.durable_streams._offsets import ANY_LINEAGE, Position, parsed
from penstock.web.durable_streams._seen import RESERVED, lineage, resolved, tail_headers
from penstock.web.durable_streams._settings import StreamsOverHttp


class _Source(NamedTuple):
    """The source of a fork, the place before which its items are the fork's, and a part of the item there; None for none."""

    stream: Retained[Any]
    before: int
    part: bytes | None


async def create(request: HttpRequest, name: str, streams: Streams, settings: StreamsOverHttp) -> HttpResponse:
    """Make the stream that a request wants, or answer that it is there already."""
    wish = wish_in(request.headers)
    body = await request.body(settings.append_bytes_max, "append_bytes_max")
    source = None if wish.fork is None or name in streams.named else await _source_of(request, wish, streams)
    existing = streams.named.get(name)
    if existing is not None:
        return await _already(existing, wish, settings)
    _check_place(streams, settings)
    try:
        stream = _made(name, wish, source, streams, settings)
    except ValueError as error:  # no stream can have the name
        raise InvalidArgument(str(error)) from None
    kept = stream._kept
    try:
        part: list[Any] = [] if source is None or source.part is None else [source.part]
        items = part + (items_in(body, kept, settings.append_items_max) if body else [])
        if items:
            add(stream, items)
    except BaseException:
        streams.lives.forget(kept)
        raise
    if wish.closed:
        stream.close()
    streams.lives.begin(kept)
    async with written_soon(kept, settings.write_s):
        await kept.flush()
    return HttpResponse(HTTPStatus.CREATED, headers={**_head(stream), "location": request.url(request.path)})


def _check_place(streams: Streams, settings: StreamsOverHttp) -> None:
    """Raise `ResourceExhausted` when clients have made as many streams as they may: the program needs some, too."""
    most = settings.streams_max
    if len(streams.named) >= most and sum(stream._kept.notes.content_type != "" for stream in streams.named.values()) >= most:
        raise ResourceExhausted(f"clients have made {most} streams (streams_max); delete some, or give them a lifetime")


def _made(name: str, wish: Wish, source: _Source | None, streams: Streams, settings: StreamsOverHttp) -> Retained[Any]:
    """Make the stream, with its notes and without items of its own."""
    if source is None or wish.fork is None:
        notes = Notes(content_type=wish.content_type, idle_s=wish.idle_s, expires=wish.expires)
        limits = {"max_items": settings.max_items, "max_bytes": settings.max_bytes}
        return made_for_others(streams, name, notes, durable=settings.durable, **limits)
    origin, fork = source.stream._kept, wish.fork
    stream = streams.fork(source.stream, name, source.before)
    inherits = wish.idle_s is None and not wish.expires
    stream._kept.notes = Notes(
        content_type=wish.content_type or content_type_of(origin),
        idle_s=origin.notes.idle_s if inherits else wish.idle_s,
        expires=origin.notes.expires if inherits else wish.expires,
        lineage=lineage(origin),
        fork=Fork(origin.id, origin.name, fork.offset, fork.part),
    )
    stream._kept.noted()
    return stream


async def _source_of(request: HttpRequest, wish: Wish, streams: Streams) -> _Source:
    """Return the source that a fork wants, and where it begins to differ. Raises `Refused`, `NotFound`, `InvalidArgument`."""
    fork = wish.fork
    assert fork is not None  # noqa: S101 - for type checkers
    name = name_in(request, fork.path)
    stream = None if name.startswith(RESERVED) else streams.named.get(name)
    if stream is None:
        raise NotFound(f"stream {name!r}, which is to be forked, is not kept here")
    kept = stream._kept
    if kept.notes.deleted:
        raise _conflict(f"{kept.label} was deleted: it cannot be forked any more")
    if wish.content_type and media_of(wish.content_type) != media_of(content_type_of(kept)):
        raise _conflict(f"{kept.label} has the content type {content_type_of(kept)}, and its forks have it, too")
    await kept.flush()
    if fork.offset is None:
        return _Source(stream, kept.readable_to, None)
    place = _place_of(kept, fork.offset)
    at = resolved(kept, place)
    if not fork.part:
        return _Source(stream, at, None)
    if is_json(kept):
        return _Source(stream, resolved(kept, place._replace(at=at + fork.part)), None)
    items = await page_of(kept, at, 1)
    piece = piece_of(items[0]) if items else b""
    if fork.part > len(piece):
        raise InvalidArgument(
            f"the next item of {kept.label} has {len(piece)} bytes, and Stream-Fork-Sub-Offset is {fork.part}"
        )
    return _Source(stream, at, piece[: fork.part])


def _place_of(kept: KeptStream, offset: str) -> Position:
    """Return the place of a fork in its source. Raises `InvalidArgument`."""
    try:
        place = parsed(offset)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None
    if place.lineage not in {ANY_LINEAGE, lineage(kept)} or isinstance(place.at, str):
        raise InvalidArgument(f"Stream-Fork-Offset is {offset!r}, which is not an offset of {kept.label}")
    return place


def name_in(request: HttpRequest, path: str) -> str:
    """Return the name of the stream with a path of this server. Raises `NotFound` for the path of another thing."""
    decoded = unquote(path)
    if not decoded.startswith(f"{request.mount}/"):
        raise NotFound(f"{path!r:.300} is not the path of a stream: those are below {request.mount}/")
    return decoded[len(request.mount) + 1 :]


async def _already(stream: Retained[Any], wish: Wish, settings: StreamsOverHttp) -> HttpResponse:
    """Answer a request for a stream that is there. Raises `Refused` (409) for one that is otherwise than the request wants."""
    kept = stream._kept
    notes, fork = kept.notes, wish.fork
    if notes.deleted:
        raise _conflict(f"{kept.label} was deleted, and its name is taken as long as there are forks of it")
    asked = None if fork is None else (fork.offset, fork.part)
    differs = {
        "content type": (wish.content_type or fork is None) and media_of(wish.content_type) != media_of(content_type_of(kept)),
        "lifetime": (wish.idle_s, wish.expires) != (notes.idle_s, notes.expires)
        and (fork is None or wish.idle_s is not None or wish.expires != ""),
        "source": asked != (None if notes.fork is None else (notes.fork.offset, notes.fork.part)),
        "state": wish.closed != (kept.state != "open"),
    }
    found = ", ".join(name for name, value in differs.items() if value)
    if found:
        raise _conflict(f"{kept.label} is there already, and differs in: {found}")
    async with written_soon(kept, settings.write_s):
        await kept.flush()
    return HttpResponse(HTTPStatus.OK, headers=_head(stream))


def _head(stream: Retained[Any]) -> dict[str, str]:
    kept = stream._kept
    tail = tail_headers(kept, kept.readable_to)
    tail.pop("stream-up-to-date", None)
    return {"content-type": content_type_of(kept), **tail}


def _conflict(message: str) -> Refused:
    return refused(HTTPStatus.CONFLICT, FailedPrecondition(message))
