"""What an actor is sent when no method answers it. This module sends nothing."""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A message that no method answers, as `Actor.receive` gets it. `sender` is an address, None for one from outside."""

    type: str
    payload: Any = None
    sender: str | None = None
