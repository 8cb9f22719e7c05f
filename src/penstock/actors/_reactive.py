"""A stream between two actors, in one process or two: `StreamProducer` takes items in, `StreamConsumer` hands them out.

::

    sink ──put──▶ pipe(buffer_size) ──StreamProducer.items──▶ StreamConsumer.items ──▶ source
                  waits at the bound       at most initial_demand items between the two
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from penstock.actors._actor import Actor
from penstock.actors._ref import ActorRef
from penstock.actors._stub import ref
from penstock.errors import EndOfStream, FailedPrecondition, IdleTimeout
from penstock.refs import SinkRef, SourceRef
from penstock.streams import Source, pipe, source_of


class StreamProducer(Actor):
    """An actor that holds one stream: the holders of its `sink` feed it, and one consumer reads its `items`.

    ::

        producer = await system.spawn(penstock.StreamProducer, buffer_size=4)
        sink = await producer.sink()
        await sink.put(item)  # waits while 4 items wait for the consumer
        sink.complete()

    buffer_size: how many items wait here until the consumer asks for them (16); ``put`` waits at that bound.

    ``complete()`` ends the stream for the consumer. When the consumer leaves, or the actor stops, ``put`` raises
    `StreamCancelled`. A consumer whose producer stops before the end gets `ActorStopped`, and never a normal end.

    The actor stops when its consumer has reached the end, has left, or has failed.
    """

    def __init__(self, buffer_size: int = 16) -> None:
        self._sink, self._source = pipe(buffer_size)
        self._taken = False

    async def sink(self) -> SinkRef[Any]:
        """Return the sending end. All ends that it returns feed the same stream, and the first ``complete()`` ends it."""
        return SinkRef(self._sink)

    async def items(self) -> AsyncIterator[Any]:
        """Yield the items that were put in. Raises `FailedPrecondition` for a second consumer."""
        if self._taken:
            raise FailedPrecondition(f"{self.address} has had its consumer; the stream of a producer is read once")
        self._taken = True
        _stop_after_stream(self)
        async with self._source as source:
            async for item in source:
                yield item
                del item  # the next one may be long in coming

    async def on_stop(self) -> None:
        await self._source.aclose()


class StreamConsumer(Actor):
    """An actor that asks a producer for items, and hands them out by its `source`.

    ::

        consumer = await system.spawn(penstock.StreamConsumer, producer, initial_demand=2)
        async for item in await consumer.source():
            ...

    producer: a `StreamProducer`, as a stub, an `ActorRef` or an address, in this process or another; or any source, for
    example a `SourceRef`. initial_demand: how many items may be under way from there, at least 1 (2); this is exact, because
    each item that is taken asks for the next. timeout: seconds without an item after which the stream fails with
    `IdleTimeout` (30; None for no limit).

    Leaving the loop stops the producer's stream. An error of the producer is raised by the loop. The actor stops when the loop
    is over. ``__init__`` raises `ValueError` for a demand below 1.
    """

    def __init__(self, producer: object, initial_demand: int = 2, timeout: float | None = 30.0) -> None:
        if initial_demand < 1:
            raise ValueError(f"initial_demand is {initial_demand}; a consumer asks for at least one item")
        self._producer = producer
        self._demand = initial_demand
        self._timeout = timeout
        self._taken = False

    async def source(self) -> SourceRef[Any]:
        """Return the receiving end; leaving its loop stops the producer. Raises `FailedPrecondition` the second time."""
        if self._taken:
            raise FailedPrecondition(f"{self.address} has handed out its source; a stream has one reader")
        self._taken = True
        stream = ref(self).stream("items", buffer_size=1)
        source: SourceRef[Any] = SourceRef(stream)
        stream._keep_ahead(None)  # it asks its producer for items at once, and not when its own reader comes
        return source

    async def items(self) -> AsyncIterator[Any]:
        """Yield the items of the producer; `source` reads them."""
        _stop_after_stream(self)
        async with self._open() as source:
            while True:
                try:
                    item = await self._next(source)
                except EndOfStream:
                    return
                yield item
                del item  # the next one may be long in coming

    def _open(self) -> Source[Any]:
        producer = self._producer
        if isinstance(producer, SourceRef):
            return producer.claim(buffer_size=self._demand)
        if isinstance(producer, AsyncIterable):
            return source_of(producer)
        actor: ActorRef = self.system.ref(producer) if isinstance(producer, str) else ref(producer)
        return source_of(actor.stream("items", buffer_size=self._demand))

    async def _next(self, source: Source[Any]) -> Any:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await source.receive()
        except TimeoutError:
            if limit.expired():
                raise IdleTimeout(f"{self.address}: its producer brought no item for {self._timeout:g} s") from None
            raise


def _stop_after_stream(actor: Actor) -> None:
    """Stop an actor when the task that runs its stream here is done: by then the outcome is sent, also through interceptors."""
    cell, task = actor._cell, asyncio.current_task()

    def stop(_task: asyncio.Task[Any]) -> None:
        if cell.actor is actor and cell.state == "running":  # else it is another incarnation, or stops by itself
            cell.begin_stop("its stream is over")

    if task is not None:
        task.add_done_callback(stop)
