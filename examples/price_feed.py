"""A price feed between two actors: prices are put in at one end, and taken out at the other.

python examples/price_feed.py
"""

import asyncio

import penstock

PRICES = [142.50, 143.10, 141.80, 144.20, 145.00]


async def all_of_it(system: penstock.ActorSystem) -> None:
    producer = await system.spawn(penstock.StreamProducer, buffer_size=16)
    consumer = await system.spawn(penstock.StreamConsumer, producer, initial_demand=2)
    sink, source = await producer.sink(), await consumer.source()

    async def consume() -> None:
        print("── Consuming via async for (initial_demand=2) ──")
        count = 0
        async for symbol, price in source:
            count += 1
            print(f"  #{count} {symbol}: ${price:.2f}")
        print(f"\n── Stream complete: {count} prices received ──")

    print(f"── Pushing {len(PRICES)} prices into producer ──")
    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        for price in PRICES:
            await sink.put(("AAPL", price))
        sink.complete()


async def five_of_twenty(system: penstock.ActorSystem) -> None:
    producer = await system.spawn(penstock.StreamProducer, buffer_size=4)
    consumer = await system.spawn(penstock.StreamConsumer, producer, initial_demand=2)
    sink = await producer.sink()
    print("\n── Early break: take 5 from 20 ──")
    pushing = asyncio.create_task(sink.send_many(range(20)))
    took = []
    async for number in await consumer.source():
        took.append(number)
        if len(took) == 5:
            break
    print(f"  Took: {took}")
    try:
        await pushing
    except penstock.StreamCancelled:
        print("  Stream cancelled — producer stopped via StreamCancel")


async def main() -> None:
    async with penstock.ActorSystem() as system:
        await all_of_it(system)
        await five_of_twenty(system)


if __name__ == "__main__":
    asyncio.run(main())
