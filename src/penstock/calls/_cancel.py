"""`CancelToken`: cancel streams and asks from outside their tasks. It never cancels a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from penstock.calls._stream import Stream
from penstock.errors import Cancelled
from penstock.streams import check_thread, home_here


class CancelToken:
    """Cancels streams and asks from outside: pass it as ``cancel=token`` to `ask` or `stream`, and call `cancel`.

    Each stream and ask that holds the token raises `Cancelled` with the reason, in its own task. A call that is made with a
    cancelled token raises at once, and never starts. A token can be given to any number of calls; one that has ended needs no
    clean-up.

    reason: the text given to `cancel`; None until then.
    """

    __slots__ = ("_actions", "_home", "_streams", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        self._home = home_here()
        self._actions: dict[int, Callable[[Cancelled], None]] = {}
        self._streams: WeakSet[Stream[Any]] = WeakSet()  # weak: the token keeps no stream alive

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self.reason is not None

    def cancel(self, reason: str = "the token was cancelled") -> None:
        """Cancel every call that holds this token, and every later one. Idempotent: the first reason stays.

        reason: the message of the `Cancelled` that the calls raise.

        Raises `WrongThread` in another thread than that of the calls.
        """
        check_thread(self._home, self)
        if self.reason is not None:
            return
        self.reason = reason
        actions, self._actions = self._actions, {}
        for action in actions.values():
            action(Cancelled(reason))
        for stream in tuple(self._streams):
            stream._cancel_with(Cancelled(reason))

    def check(self) -> None:
        """Raise `Cancelled` when the token is cancelled; do nothing otherwise. Call it between steps of your own work."""
        if self.reason is not None:
            raise Cancelled(self.reason, started=False)

    def _hold(self, stream: Stream[Any]) -> None:
        """Cancel `stream` when the token is cancelled."""
        self._home = self._home or home_here()
        self._streams.add(stream)

    def _add(self, action: Callable[[Cancelled], None]) -> Callable[[], None]:
        """Call `action` when the token is cancelled; return a function that unregisters it."""
        self._home = self._home or home_here()
        key = id(action)
        self._actions[key] = action
        return lambda: self._actions.pop(key, None) and None

    def __repr__(self) -> str:
        return f"<CancelToken {'open' if self.reason is None else f'cancelled: {self.reason}'}>"
