"""A room: who listens, and what was said. One listener that does not keep up is told so; nobody waits for it."""

import itertools
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import penstock
from messages import ChatResponse, Message

KEPT_MESSAGES = 10_000
BEHIND_MAX = 256


class Room:
    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=KEPT_MESSAGES)
        self.listeners: set[penstock.Sink[ChatResponse]] = set()
        self.ids = itertools.count(1)
        self.last_timestamp = 0

    def since(self, timestamp: int | None) -> list[ChatResponse]:
        found = [] if timestamp is None else [message for message in self.messages if message.timestamp > timestamp]
        return [ChatResponse(type="message", message=message) for message in found]

    def add(self, message: Message) -> None:
        message.id = next(self.ids)
        self.last_timestamp = message.timestamp = max(self.last_timestamp + 1, time.time_ns() // 1_000_000)
        self.messages.append(message)
        self.tell(ChatResponse(type="message", message=message))

    def tell(self, response: ChatResponse) -> None:
        for sink in tuple(self.listeners):
            try:
                sink.send_nowait(response)
            except penstock.WouldBlock:
                sink.fail(penstock.ResourceExhausted(f"you are {BEHIND_MAX} messages behind; subscribe again"))
                self.listeners.discard(sink)

    @contextmanager
    def joined(self, user: str) -> Iterator[tuple[penstock.Sink[ChatResponse], penstock.Source[ChatResponse]]]:
        """Be a listener from here to the end of the block, and let the others know."""
        sink, source = penstock.pipe(BEHIND_MAX)
        self.tell(ChatResponse(type="user_joined", user_joined=user))
        self.listeners.add(sink)
        try:
            yield sink, source
        finally:
            self.listeners.discard(sink)
            sink.close()
            self.tell(ChatResponse(type="user_left", user_left=user))
