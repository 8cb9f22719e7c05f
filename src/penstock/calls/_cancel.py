"""A hand on calls from outside of their task: `CancelToken`. It never cancels a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from penstock.calls._stream import Stream
from penstock.errors import Cancelled


class CancelToken:
    """Cancels every stream and ask that was given it, now or later: ``system.stream(..., cancel=token)``.

    What is cancelled raises `Cancelled` with the reason in its own task; a call that is made with a token that was cancelled
    before never begins.
    """

    __slots__ = ("_actions", "_streams", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        self._actions: dict[int, Callable[[Cancelled], None]] = {}
        self._streams: WeakSet[Stream[Any]] = WeakSet()  # a stream that is forgotten has left

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self.reason is not None

    def cancel(self, reason: str = "the token was cancelled") -> None:
        """Cancel what holds this token. Idempotent: the first reason stays."""
        if self.reason is not None:
            return
        self.reason = reason
        actions, self._actions = self._actions, {}
        for action in actions.values():
            action(Cancelled(reason))
        for stream in tuple(self._streams):
            stream.give_up(Cancelled(reason))

    def check(self) -> None:
        """Raise `Cancelled` if it is."""
        if self.reason is not None:
            raise Cancelled(self.reason, started=False)

    def hold(self, stream: Stream[Any]) -> None:
        """Give `stream` up when the token is cancelled."""
        self._streams.add(stream)

    def add(self, action: Callable[[Cancelled], None]) -> Callable[[], None]:
        """Call `action` when the token is cancelled; return how to take that back."""
        key = id(action)
        self._actions[key] = action
        return lambda: self._actions.pop(key, None) and None

    def __repr__(self) -> str:
        return f"<CancelToken {'open' if self.reason is None else f'cancelled: {self.reason}'}>"
