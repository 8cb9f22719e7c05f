"""Takes streams of items over channels, and acknowledges each item."""

from typing import Any

import penstock


class Consumer(penstock.Actor):
    """Counts what it is sent; each channel runs beside the others."""

    def __init__(self, streams_max: int = 10) -> None:
        self.streams_max = streams_max
        self.streams = 0
        self.received = 0

    async def on_channel(self, channel: penstock.Channel[Any]) -> None:
        """Accept a stream, acknowledge what arrives, until the producer closes."""
        if self.streams >= self.streams_max:
            await channel.reject(f"{self.streams} streams are open")
            return
        self.streams += 1
        try:
            await channel.accept({"ready": True})
            async for message in channel:
                await channel.send(self._answer(message))
        finally:
            self.streams -= 1
        self.log.info("the stream of %s is over: %s", channel.initiator or "somebody outside", channel.reason or "no reason")

    def _answer(self, message: Any) -> dict[str, Any]:
        match message:
            case {"type": "data_item", "index": index}:
                self.received += 1
                return {"type": "ack", "index": index}
            case {"type": "stream_complete", "total": total}:
                return {"type": "complete_ack", "total": total}
            case _:
                return {"type": "error", "error": f"not understood: {message!r}"}
