"""grpc.aio doing the same work. Its messages are described here by hand: nothing generated is kept.

64 KiB items go without protobuf, as the bytes they are: the faster way for gRPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import perf_counter_ns
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.sides._clock import Answer, in_flight, one_by_one, rate
from benchmarks.sides._items import check_total

_FIELD = descriptor_pb2.FieldDescriptorProto
_FIELDS = {
    "Tick": {
        "symbol": _FIELD.TYPE_STRING,
        "sequence": _FIELD.TYPE_INT64,
        "price": _FIELD.TYPE_DOUBLE,
        "size": _FIELD.TYPE_INT64,
        "venue": _FIELD.TYPE_STRING,
    },
    "Ask": {"symbol": _FIELD.TYPE_STRING, "count": _FIELD.TYPE_INT64, "size": _FIELD.TYPE_INT64},
    "Tally": {"count": _FIELD.TYPE_INT64, "total": _FIELD.TYPE_INT64},
}


def _messages() -> list[Any]:
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            message.field.add(name=field, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"bench.{name}")) for name in _FIELDS]


_Tick, _Ask, _Tally = _messages()


def _tick(sequence: int) -> Any:
    return _Tick(symbol="AAPL", sequence=sequence, price=101.25, size=100, venue="XNAS")


async def _ticks(ask: Any, context: Any) -> AsyncIterator[Any]:
    del context
    for sequence in range(ask.count):
        yield _tick(sequence)


async def _record(ticks: AsyncIterator[Any], context: Any) -> Any:
    del context
    count = total = 0
    async for tick in ticks:
        count += 1
        total += tick.sequence
    return _Tally(count=count, total=total)


async def _echo(ticks: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    del context
    async for tick in ticks:
        yield tick


async def _chunks(ask: Any, context: Any) -> AsyncIterator[bytes]:
    del context
    chunk = bytes(ask.size)
    for _ in range(ask.count):
        yield chunk


async def _quote(ask: Any, context: Any) -> Any:
    del ask, context
    return _tick(0)


def _handler(kind: str, method: Callable[..., Any], request: Any, response: Any) -> Any:
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(method, request.FromString, response.SerializeToString if response else None)


class Server:
    """A grpc.aio server on a loopback port."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        methods = {
            "Ticks": _handler("unary_stream", _ticks, _Ask, _Tick),
            "Record": _handler("stream_unary", _record, _Tick, _Tally),
            "Echo": _handler("stream_stream", _echo, _Tick, _Tick),
            "Chunks": _handler("unary_stream", _chunks, _Ask, None),
            "Quote": _handler("unary_unary", _quote, _Ask, _Tick),
        }
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bench", methods),))
        address = f"unix:{folder}/grpc.sock" if transport == "unix" else "127.0.0.1:0"
        port = self._server.add_insecure_port(address)
        await self._server.start()
        return address if transport == "unix" else f"127.0.0.1:{port}"


class Driver:
    """A grpc.aio channel and its five methods."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to `url`."""
        del transport, folder
        self._channel = grpc.aio.insecure_channel(url)
        await asyncio.wait_for(self._channel.channel_ready(), 10)
        self._ticks = self._method("unary_stream", "Ticks", _Ask, _Tick)
        self._record = self._method("stream_unary", "Record", _Tick, _Tally)
        self._echo = self._method("stream_stream", "Echo", _Tick, _Tick)
        self._chunks = self._method("unary_stream", "Chunks", _Ask, None)
        self._quote = self._method("unary_unary", "Quote", _Ask, _Tick)

    def _method(self, kind: str, name: str, request: Any, response: Any) -> Any:
        make = getattr(self._channel, kind)
        return make(
            f"/bench.Bench/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString if response else None,
        )

    @staticmethod
    async def _produce(count: int) -> AsyncIterator[Any]:
        for sequence in range(count):
            yield _tick(sequence)

    async def server_stream(self, count: int) -> Answer:
        """Receive `count` items."""
        total = 0
        started = perf_counter_ns()
        async for tick in self._ticks(_Ask(count=count)):
            total += tick.sequence
        check_total(total, count)
        return rate(count, started)

    async def client_stream(self, count: int) -> Answer:
        """Send `count` items."""
        started = perf_counter_ns()
        tally = await self._record(self._produce(count))
        check_total(tally.total, count)
        return rate(count, started)

    async def bidirectional(self, count: int) -> Answer:
        """Send `count` items and receive each again."""
        total = 0
        started = perf_counter_ns()
        async for tick in self._echo(self._produce(count)):
            total += tick.sequence
        check_total(total, count)
        return rate(count, started)

    async def chunks(self, count: int, size: int) -> Answer:
        """Receive `count` items of `size` bytes."""
        received = 0
        started = perf_counter_ns()
        async for chunk in self._chunks(_Ask(count=count, size=size)):
            received += len(chunk)
        assert received == count * size
        return rate(count, started)

    async def unary(self, count: int) -> Answer:
        """Make `count` small calls, one after the other."""
        return await one_by_one(lambda: self._quote(_Ask(symbol="AAPL")), count)

    async def in_flight(self, count: int, width: int) -> Answer:
        """Make `count` small calls, `width` at a time."""
        return await in_flight(lambda: self._quote(_Ask(symbol="AAPL")), count, width)
