"""A room: its users, and what was said."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import penstock
from listeners import Listeners
from messages import Message, User
from responses import ChatResponse

KEPT_MESSAGES = 10_000


class Room:
    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.messages: dict[tuple[str, str], Message] = {}  # by their users and keys, the oldest first
        self.listeners = Listeners()
        self.ids = itertools.count(1)
        self.last_timestamp = 0

    def since(self, timestamp: int | None) -> list[ChatResponse]:
        found = [] if timestamp is None else [each for each in self.messages.values() if each.timestamp > timestamp]
        return [ChatResponse(type="message", message=message) for message in found]

    def present(self) -> ChatResponse:
        here = [User(user.name, user.joined_at, user.message_count) for user in self.users.values()]
        return ChatResponse(type="ack", users=here, timestamp=self.last_timestamp)

    def add(self, message: Message) -> Message:
        """Keep a message and tell it to all. One that was said before, by its key, is returned as it was kept."""
        if message.key and (before := self.messages.get((message.user, message.key))):
            return before
        message.id = next(self.ids)
        self.last_timestamp = message.timestamp = max(self.last_timestamp + 1, time.time_ns() // 1_000_000)
        self.messages[message.user, message.key or str(message.id)] = message
        if len(self.messages) > KEPT_MESSAGES:
            del self.messages[next(iter(self.messages))]
        if message.user in self.users:
            self.users[message.user].message_count += 1
        self.listeners.tell(ChatResponse(type="message", message=message))
        return message

    @contextmanager
    def joined(self, name: str) -> Iterator[tuple[penstock.Sink[ChatResponse], penstock.Source[ChatResponse]]]:
        """Be in the room from here to the end of the block. A user may be there several times, and is told of once."""
        if name not in self.users:
            self.users[name] = User(name, time.time_ns() // 1_000_000)
            self.listeners.tell(ChatResponse(type="user_joined", user_joined=name))
        try:
            with self.listeners.added(name) as ends:
                yield ends
        finally:
            if name not in self.listeners and self.users.pop(name, None):
                self.listeners.tell(ChatResponse(type="user_left", user_left=name))
