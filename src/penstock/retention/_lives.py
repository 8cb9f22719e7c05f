"""`Lives`: how long streams are kept. After their end, for their `ttl_s`; those that others write, as their notes say.

A stream that is deleted while there are forks of it gives its items back, and keeps its name until the last fork has gone: the
items that a fork has from its source are its own, but their offsets are those of the source.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from time import time
from typing import Any, Final

from penstock._upkeep import upkeep
from penstock.errors import NotFound
from penstock.retention._kept import KeptStream
from penstock.retention._stream import Retained

#: The longest wait of one timer: the clock of the day may be set meanwhile, and a loop counts no longer times.
WAIT_MAX_S: Final = 86_400.0
#: How long a stream that is being copied into a fork is kept beyond its time, before it is looked at again.
COPYING_S: Final = 0.1


class Lives:
    """The ends of the lives of all streams of an event loop.

    named: the streams, by their names. ended: those whose followers are told of the end, in the order of their ends.
    """

    def __init__(self, named: dict[str, Retained[Any]]) -> None:
        self.named: dict[str, Retained[Any]] = named
        self.ended: dict[KeptStream, asyncio.TimerHandle] = {}
        self._timers: dict[KeptStream, asyncio.TimerHandle] = {}
        self._forks: dict[bytes, set[KeptStream]] = {}

    def close(self) -> None:
        """End all timers."""
        for timers in (self.ended, self._timers):
            for timer in timers.values():
                timer.cancel()

    # ── streams that have ended ───────────────────────────────────────────────────────────────────────────────────────

    def end(self, kept: KeptStream) -> None:
        """Forget a stream that has ended after its `ttl_s`."""
        self.ended[kept] = asyncio.get_running_loop().call_later(kept.ttl_left_s, self.forget, kept)

    @upkeep
    def forget(self, kept: KeptStream) -> None:
        """Forget a stream that has ended, with its items; its name stays taken while there are forks of it."""
        if not all(map(_is_written, self._forks.get(kept.id, ()))) and kept in self.ended:  # they are copied from its items
            self.ended[kept].cancel()
            self.ended[kept] = asyncio.get_running_loop().call_later(COPYING_S, self.forget, kept)
            return
        for timers in (self.ended, self._timers):
            timer = timers.pop(kept, None)
            if timer is not None:
                timer.cancel()
        if self._forks.get(kept.id):
            kept.notes.deleted = True
            kept.forget(name_stays=True)
            return
        del self.named[kept.name]
        kept.forget()
        fork = kept.notes.fork
        if fork is not None:
            self._leave(kept, fork.source, fork.name)

    def _leave(self, kept: KeptStream, source_id: bytes, name: str) -> None:
        """Forget the source of a fork, too, when it was deleted and has no other fork."""
        forks = self._forks.get(source_id, set())
        forks.discard(kept)
        if not forks:
            self._forks.pop(source_id, None)
            source = self.named.get(name)
            if source is not None and source._kept.id == source_id and source._kept.notes.deleted:
                self.forget(source._kept)

    def forget_first(self) -> None:
        """Forget the stream in memory that has ended first. One in a file stays there for its time."""
        first = next((kept for kept in self.ended if not kept.spare()), None)
        if first is not None:
            self.forget(first)

    # ── streams that others write ─────────────────────────────────────────────────────────────────────────────────────

    def begin(self, kept: KeptStream) -> None:
        """Begin the life of a stream with notes: that of a fork, and one that ends with disuse or at a time."""
        notes = kept.notes
        if notes.fork is not None:
            self._forks.setdefault(notes.fork.source, set()).add(kept)
        if not notes.deleted and (notes.idle_s is not None or notes.expires):
            self.use(kept)
            self._look_again(kept)

    def sweep(self) -> None:
        """Forget the deleted streams that have no forks: the program ended before it did so."""
        for stream in tuple(self.named.values()):
            if stream._kept.notes.deleted and not self._forks.get(stream._kept.id):
                self.forget(stream._kept)

    def use(self, kept: KeptStream) -> None:
        """Note that a stream is read or written."""
        kept.used_at = asyncio.get_running_loop().time()

    @upkeep
    def _look(self, kept: KeptStream) -> None:
        """Delete a stream whose time has come. A reader that waits uses it. A copy of it that is under way is waited for."""
        if kept.bell.waiting and kept.notes.idle_s is not None:
            self.use(kept)
        if left_s(kept) > 0 or not all(map(_is_written, self._forks.get(kept.id, ()))):
            self._look_again(kept)
        else:
            self._delete(kept)

    def _look_again(self, kept: KeptStream) -> None:
        wait_s = min(max(left_s(kept), 0.0), WAIT_MAX_S)
        self._timers[kept] = asyncio.get_running_loop().call_later(wait_s, self._look, kept)

    async def delete(self, stream: Retained[Any]) -> None:
        """Delete a stream: its followers get `NotFound`. It returns when the file has no items of it any more."""
        kept = stream._kept
        for fork in tuple(self._forks.get(kept.id, ())):  # their items are copied in the file at first
            await fork.flush()
        if not kept.notes.deleted:
            self._delete(kept)
        await kept.flush()

    def _delete(self, kept: KeptStream) -> None:
        self.named[kept.name].fail(NotFound(f"{kept.label} was deleted"))
        self.forget(kept)
        kept.notes.deleted = True


def _is_written(kept: KeptStream) -> bool:
    return kept.readable_to == kept.log.next


def left_s(kept: KeptStream) -> float:
    """Return the seconds that a stream with notes has left to live, by the clock of the day and by its last use."""
    notes, left = kept.notes, float("inf")
    if notes.expires:
        left = datetime.fromisoformat(notes.expires).timestamp() - time()
    if notes.idle_s is not None:
        left = min(left, kept.used_at + notes.idle_s - asyncio.get_running_loop().time())
    return left
