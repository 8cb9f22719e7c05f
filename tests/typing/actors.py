"""Actors, channels and streams as values as a type checker sees them: mypy --strict and pyright read it, nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, assert_type

import penstock


class Order(penstock.Struct):
    symbol: str
    shares: int


class Shop(penstock.Actor):
    mailbox = penstock.Mailbox(size=10, overflow="reject")
    supervision = penstock.Supervision("one_for_all", max_restarts=3)

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.sold = self.port("sold", overflow="drop_oldest")

    async def on_start(self) -> None:
        till = await self.spawn(Till, name="till")
        assert_type(till, Till)
        self.watch(till)
        timer = self.schedule(1.0, self.close, every=60.0)
        timer.cancel()
        self.schedule(1.0, "order", Order("ACME", 1))
        self.log.info("open: %s", self.address)
        for child in self.children:
            assert_type(child, penstock.ActorRef)
        assert_type(self.parent, penstock.ActorRef | None)
        assert_type(self.system, penstock.ActorSystem)

    async def order(self, order: Order) -> int:
        await self.sold.send(order)
        return order.shares

    async def watch_orders(self, symbol: str) -> AsyncIterator[Order]:
        yield Order(symbol, 1)

    async def total(self, orders: AsyncIterator[Order]) -> int:
        return sum([order.shares async for order in orders])

    async def feed(self) -> penstock.SinkRef[Order]:
        sink: penstock.Sink[Order]
        sink, _source = penstock.pipe(buffer_size=4)
        return penstock.SinkRef(sink)

    async def book(self) -> penstock.SourceRef[Order]:
        return penstock.SourceRef(self.watch_orders("ACME"))

    async def close(self) -> None:
        await penstock.ref(self).stop()

    async def on_child_failed(self, child: penstock.ActorRef, error: Exception) -> None: ...

    async def on_terminated(self, actor: penstock.ActorRef, reason: str) -> None: ...

    async def on_channel(self, channel: penstock.Channel[Order]) -> None:
        await channel.accept({"shop": self.name})
        async for order in channel:
            assert_type(order, Order)
            await channel.send(order)

    async def receive(self, message: penstock.Message) -> Any:
        assert_type(message.type, str)
        assert_type(message.sender, str | None)


class Till(penstock.Actor):
    async def amount(self) -> float:
        return 0.0


async def an_actor_is_its_class(system: penstock.ActorSystem, peer: penstock.Peer) -> None:
    shop = await system.spawn(Shop, "corner", name="shop", mailbox=penstock.Mailbox(size=5))
    assert_type(shop, Shop)
    assert_type(peer.actor(Shop, "shop"), Shop)
    assert_type(system.actor(Shop, "shop"), Shop)
    assert_type(await shop.order(Order("ACME", 1)), int)
    async for order in shop.watch_orders("ACME"):
        assert_type(order, Order)
    assert_type(await shop.ping(), str)
    assert_type(await penstock.tell(shop).order(Order("ACME", 1)), None)  # FAULTS E4
    assert_type(await penstock.tell(shop.order)(Order("ACME", 1)), None)
    await penstock.tell(shop.order)("ACME")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(penstock.options(shop, timeout=1, idle_timeout=1, buffer_size=4), Shop)


async def a_ref_is_for_everything_else(shop: Shop) -> None:
    ref = penstock.ref(shop)
    assert_type(ref, penstock.ActorRef)
    assert_type(ref.address, str)
    assert_type(await ref.ask("order", Order("ACME", 1), timeout=1), Any)
    await ref.tell("order", Order("ACME", 1))
    channel = await ref.open_channel({"who": "ann"}, type=Order, timeout=1)
    assert_type(channel.accepted, Any)
    async for message in ref.subscribe("sold", overflow="latest"):
        assert_type(message, Any)
    await ref.stop()


async def a_router_calls_by_address(router: penstock.ActorSystem | penstock.Peer) -> None:
    token = penstock.CancelToken()
    assert_type(await router.ask("shop", "order", Order("ACME", 1), timeout=1, cancel=token), Any)
    await router.tell("shop", "order", {"symbol": "ACME", "shares": 1})
    await router.stream_ask("shop", "watch_orders", "ACME", on_chunk=print, timeout=5)
    token.cancel("enough")


async def an_event_says_what_it_is(system: penstock.ActorSystem) -> None:
    async for event in system.stream("shop", "watch_orders", "ACME", events=True, buffer_size=10, idle_timeout=1):
        assert_type(event, Any)
        if isinstance(event, penstock.StreamEvent):
            assert_type(event.error, str | None)


async def ends_of_streams_have_items(shop: Shop) -> None:
    sink = await shop.feed()
    assert_type(sink, penstock.SinkRef[Order])
    await sink.put(Order("ACME", 1))
    await sink.send(Order("ACME", 2))
    sink.complete()
    book = await shop.book()
    assert_type(book, penstock.SourceRef[Order])
    async for order in book:
        assert_type(order, Order)
    async with penstock.ActorSystem() as system:
        producer = await system.spawn(penstock.StreamProducer, buffer_size=4)
        assert_type(producer, penstock.StreamProducer)
        consumer = await system.spawn(penstock.StreamConsumer, producer, initial_demand=2, timeout=30)
        assert_type(consumer, penstock.StreamConsumer)
        assert_type(await consumer.source(), penstock.SourceRef[Any])


async def actors_are_served(system: penstock.ActorSystem) -> None:
    async with (
        penstock.serve(system, listen="tcp://127.0.0.1:0") as server,
        penstock.connect(*server.urls, services=[system]) as peer,
    ):
        system.bridge("far", peer)
        for info in system.list("far/**"):
            assert_type(info.address, str)
