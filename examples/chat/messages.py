"""What travels in the chat.

Ids and timestamps (milliseconds since 1970) are given by the server; no two messages of a room have the same.
"""

from typing import Literal

import penstock


class Message(penstock.Struct, kw_only=True):
    user: str
    room: str
    content: str = ""
    id: int = 0
    timestamp: int = 0


class BatchSummary(penstock.Struct):
    total_messages: int
    total_characters: int
    users: list[str]
    timestamp: int


class SubscribeRequest(penstock.Struct):
    room: str
    user: str
    since_timestamp: int | None = None  # 0: all that is kept; None: only what is new


class ChatResponse(penstock.Struct, kw_only=True, omit_defaults=True):
    type: Literal["message", "user_joined", "user_left", "ack"]
    message: Message | None = None
    user_joined: str | None = None
    user_left: str | None = None

    def __str__(self) -> str:
        if self.message is not None:
            return f"[{self.message.room}] {self.message.user}: {self.message.content}"
        return f"* {self.user_joined or self.user_left} {self.type.removeprefix('user_')}" if self.type != "ack" else "* ack"
