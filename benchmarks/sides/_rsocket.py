"""rsocket-py doing the same work: request-stream over TCP, items in MessagePack. It is asked for 256 items at a time.

Its socket reads are raised from 1 KiB to 64 KiB: the faster way for rsocket-py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

import msgspec
from reactivestreams.publisher import Publisher
from reactivestreams.subscriber import Subscriber
from rsocket.helpers import single_transport_provider
from rsocket.payload import Payload
from rsocket.request_handler import BaseRequestHandler
from rsocket.rsocket_client import RSocketClient
from rsocket.rsocket_server import RSocketServer
from rsocket.streams.stream_from_generator import StreamFromGenerator
from rsocket.transports.tcp import TransportTCP

from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._items import Tick, check_total, tick

_WINDOW_ITEMS = 256
_READ_BYTES = 64 * 1024


class _Handler(BaseRequestHandler):  # type: ignore[misc]
    async def request_stream(self, payload: Payload) -> Publisher:
        count = int(payload.data)
        return StreamFromGenerator(lambda: self._ticks(count))

    @staticmethod
    def _ticks(count: int) -> Iterator[tuple[Payload, bool]]:
        encode = msgspec.msgpack.Encoder().encode
        for sequence in range(count):
            yield Payload(encode(tick(sequence))), sequence == count - 1


class _Counter(Subscriber):  # type: ignore[misc]
    """Decodes and counts, and asks for the next window when half of one is used up."""

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.total = 0
        self._taken = 0
        self._decode = msgspec.msgpack.Decoder(Tick).decode

    def on_subscribe(self, subscription: Any) -> None:
        self._subscription = subscription

    def on_next(self, value: Payload, is_complete: bool = False) -> None:  # noqa: FBT001, FBT002 - rsocket's seam
        self.total += self._decode(value.data).sequence
        self._taken += 1
        if is_complete:
            self.done.set_result(None)
        elif self._taken == _WINDOW_ITEMS // 2:
            self._taken = 0
            self._subscription.request(_WINDOW_ITEMS // 2)

    def on_complete(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def on_error(self, exception: Exception) -> None:
        self.done.set_exception(exception)


class Server:
    """A server on a loopback port."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        del transport, folder
        self._sessions: list[RSocketServer] = []
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return str(self._server.sockets[0].getsockname()[1])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = TransportTCP(reader, writer, read_buffer_size=_READ_BYTES)
        self._sessions.append(RSocketServer(transport, handler_factory=_Handler))


class Driver:
    """A client that asks for streams."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to the port that `url` names."""
        del transport, folder
        link = TransportTCP(*await asyncio.open_connection("127.0.0.1", int(url)), read_buffer_size=_READ_BYTES)
        self._client = RSocketClient(single_transport_provider(link))
        await self._client.connect()

    async def server_stream(self, count: int) -> Answer:
        """Receive `count` items."""
        counter = _Counter()
        started = perf_counter_ns()
        self._client.request_stream(Payload(str(count).encode())).initial_request_n(_WINDOW_ITEMS).subscribe(counter)
        await counter.done
        check_total(counter.total, count)
        return rate(count, started)
