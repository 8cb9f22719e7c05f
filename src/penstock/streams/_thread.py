"""The thread to which an object belongs: `OneThread` and `check_thread` for its uses, `finalize_on` for the end of its life."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from asyncio import _get_running_loop
from collections.abc import Callable
from threading import get_ident
from typing import Any

from penstock.errors import WrongThread


def finalize_on(loop: asyncio.AbstractEventLoop | None, action: Callable[[], object]) -> None:
    """Run the `action` of a finaliser on the event loop of its object: the garbage collector may run in any thread.

    It runs at once when this is that loop, or when no loop is known; not at all when the loop is closed.
    """
    if loop is None or _get_running_loop() is loop:
        action()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(action)


def home_here() -> int:
    """Return the id of this thread, if an event loop runs here; else 0, for a home that is not known yet."""
    return 0 if _get_running_loop() is None else get_ident()


def check_thread(thread: int, name: object) -> None:
    """Raise `WrongThread` unless this is the thread with that id; 0 is any thread. `name` stands in the message."""
    if thread and thread != get_ident():
        raise WrongThread(f"{name} belongs to the event loop of another thread; use it there, by penstock.from_thread.run")


class OneThread:
    """A base for the state of a stream, which belongs to the thread where an event loop was first seen to run beside it.

    home: the id of that thread; 0 until it is known. owner: the same while the stream is open, then 0. So a hot path knows by
    one comparison that it runs in the right thread, and that the stream is open.
    """

    __slots__ = ("home", "owner")
    state: Any  # a `StreamState`

    def __init__(self) -> None:
        self.home = self.owner = home_here()

    def check_home(self) -> None:
        """Raise `WrongThread` in another thread than `home`; find out `home`, if an event loop runs here."""
        if not self.home:
            self.home = home_here()
            self.owner = self.home if self.state == "open" else 0
        check_thread(self.home, self)

    def check_owner(self) -> None:
        """As `check_home`; and raise the error of a sender after the end."""
        self.check_home()
        if self.state != "open":
            raise self.refusal()

    @abstractmethod
    def refusal(self) -> Exception:
        """Return the error for a sender after the end of the stream."""

    def __repr__(self) -> str:
        return "this stream"
