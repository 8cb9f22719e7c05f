"""What travels in the chat.

Ids and timestamps (milliseconds since 1970) are given by the server; no two messages of a room have the same.
"""

import penstock


class Message(penstock.Struct, kw_only=True):
    user: str
    room: str
    content: str = ""
    id: int = 0
    timestamp: int = 0
    key: str = ""  # given by its sender, who may say it again after a loss: the room keeps it once


class BatchSummary(penstock.Struct):
    total_messages: int
    total_characters: int
    users: list[str]
    timestamp: int

    def add(self, message: Message) -> None:
        self.total_messages += 1
        self.total_characters += len(message.content)
        self.users = sorted({*self.users, message.user})
        self.timestamp = message.timestamp


class User(penstock.Struct):
    name: str
    joined_at: int
    message_count: int = 0


class SubscribeRequest(penstock.Struct):
    room: str
    user: str
    since_timestamp: int | None = None  # 0: all that is kept; None: only what is new


class ChatJoinRequest(SubscribeRequest):
    """The same, of one who also talks."""
