"""The settings of retained streams over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from penstock._fields import check_fields

#: Which webhooks are called: none; those at public addresses, by https; and those of this machine, by http, too.
Webhooks = Literal["off", "public", "local"]
_Seconds = Annotated[float, Meta(gt=0, le=3600)]
_Size = Annotated[int, Meta(ge=1, le=2**40)]


class StreamsOverHttp(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of retained streams over HTTP.

    read_only: no client makes, writes, closes or deletes a stream; False by default.
    durable: the path of the file that keeps the streams which clients make, as for `penstock.retained`; None for memory. One
        that the program has made stays where it is, and so do its forks.
    max_items, max_bytes: how much is kept of a stream that a client makes, 65,536 items and 16 MiB by default; the oldest go.
    streams_max: how many streams clients may make, 8,192 by default: a half of those that a program has at most.
    append_bytes_max, append_items_max: of the body of one request, 4 MiB and 65,536 by default.
    page_bytes: bytes of the items of one response, about, 1 MiB by default; a live event has 64 KiB of them.
    long_poll_s: seconds that a long poll waits, 20 by default: less than clients and proxies wait for a response.
    live_s: seconds after which the response of a live reader ends, and its client comes back: 60 by default.
    write_s: seconds that a writer waits for a file that cannot be written, 10 by default; then it gets status 503.
    webhooks: which webhooks of clients are called: none by default ("off"), those at public addresses by https ("public"), and
        those of this machine, too, also by http ("local").
    signing_key: the path of the key that signs what webhooks get, which is made when there is none; None for a new key at each
        start. It needs the extra `tls`.
    subscriptions_max: how many subscriptions there are at most, 256 by default.
    origins: the origins whose pages may use the streams, as ``https://chat.example``, or ``*`` for all; none by default.

    Raises `ValueError` for one that is out of range.
    """

    read_only: bool = False
    durable: Any = None
    max_items: _Size = 65_536
    max_bytes: _Size = 16 * 1024 * 1024
    streams_max: _Size = 8_192
    append_bytes_max: _Size = 4 * 1024 * 1024
    append_items_max: _Size = 65_536
    page_bytes: _Size = 1024 * 1024
    long_poll_s: _Seconds = 20.0
    live_s: _Seconds = 60.0
    write_s: _Seconds = 10.0
    webhooks: Webhooks = "off"
    signing_key: Any = None
    subscriptions_max: _Size = 256
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self)
