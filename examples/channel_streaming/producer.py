"""Streams numbered items to a consumer over a channel, and waits for each to be acknowledged."""

import asyncio

import penstock


class Producer(penstock.Actor):
    """Sends what it is asked to send, one request after the other."""

    def __init__(self, label: str = "item") -> None:
        self.label = label
        self.streams = 0

    async def start_streaming(self, consumer_id: str, items: int = 10, interval_ms: int = 500) -> None:
        """Open a channel to the consumer, send `items` items, `interval_ms` apart, and close it."""
        self.log.info("streaming %d items to %s, one every %d ms", items, consumer_id, interval_ms)
        channel = await self.system.open_channel(consumer_id, {"stream": self.label, "items": items})
        async with channel:
            for index in range(1, items + 1):
                await channel.send({"type": "data_item", "index": index, "content": f"{self.label} {index}"})
                await channel.receive()  # its ack
                await asyncio.sleep(interval_ms / 1000)
            await channel.send({"type": "stream_complete", "total": items})
            await channel.receive()  # the complete_ack
            await channel.close("stream complete")
        self.streams += 1
        self.log.info("all %d items were acknowledged", items)
