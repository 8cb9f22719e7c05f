"""What those in a room are told, and how a terminal shows it."""

from typing import Literal

import penstock
from messages import Message, User


class ChatResponse(penstock.Struct, kw_only=True, omit_defaults=True):
    type: Literal["message", "user_joined", "user_left", "error", "ack"]
    message: Message | None = None  # what was said; in an `ack` or `error`, the message that is answered
    users: list[User] | None = None  # in the `ack` of a join: those who are there,
    timestamp: int | None = None  # and the newest message before it
    user_joined: str | None = None
    user_left: str | None = None
    error_message: str | None = None

    def __str__(self) -> str:
        if self.type == "message" and self.message is not None:
            return f"[{self.message.room}] {self.message.user}: {self.message.content}"
        if self.type == "error":
            return f"! {self.error_message}"
        if self.users is not None:
            return f"* here: {', '.join(user.name for user in self.users)}"
        return f"* {self.user_joined or self.user_left or ''} {self.type.removeprefix('user_')}"
