"""Those who hear a room. One that does not keep up is told so; the others do not wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import penstock
from responses import ChatResponse

BEHIND_MAX = 256


class Listeners:
    def __init__(self) -> None:
        self._names: dict[penstock.Sink[ChatResponse], str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names.values()

    def tell(self, response: ChatResponse) -> None:
        for sink in tuple(self._names):
            try:
                sink.send_nowait(response)
            except penstock.WouldBlock:
                sink.fail(penstock.ResourceExhausted(f"you are {BEHIND_MAX} messages behind; join again"))
                del self._names[sink]
            except penstock.StreamClosed:
                del self._names[sink]  # it has said its last word, or was lost, and is about to leave

    @contextmanager
    def added(self, name: str) -> Iterator[tuple[penstock.Sink[ChatResponse], penstock.Source[ChatResponse]]]:
        """Add a listener from here to the end of the block."""
        sink, source = penstock.pipe(BEHIND_MAX)
        self._names[sink] = name
        try:
            yield sink, source
        finally:
            self._names.pop(sink, None)
            sink.close()
