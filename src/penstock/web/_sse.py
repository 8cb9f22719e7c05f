"""The form of server-sent events (the HTML standard, "event stream interpretation")."""

from __future__ import annotations

import re
from typing import Final

EVENT_STREAM: Final = "text/event-stream"
#: A comment, which clients ignore: proxies and clients see by it that a quiet stream is alive.
KEEP_ALIVE: Final = b":\n\n"
#: A quiet stream of events says that it is alive this often: proxies close connections that are quiet for half a minute.
KEEP_ALIVE_S: Final = 15.0
#: Each of these ends a line, for a client.
_LINE_ENDS: Final = re.compile("\r\n|\r|\n")


def sse_event(data: str, *, event: str = "", id: str | None = None, retry_ms: int | None = None) -> bytes:  # noqa: A002
    """Return one event. A client gets `data` as it is, with a newline for each end of a line.

    event: its name; without one, a client takes it as "message". id: the text that a client sends as ``Last-Event-ID`` when it
    comes back; without one, it keeps the one before. retry_ms: how long a client waits before it comes back.

    `event` and `id` have no end of a line in them: that is for the caller to see to.
    """
    lines = [f"event: {event}"] if event else []
    lines += [f"data: {line}" if line.startswith(" ") else f"data:{line}" for line in _LINE_ENDS.split(data)]
    if id is not None:
        lines.append(f"id:{id}")
    if retry_ms is not None:
        lines.append(f"retry:{retry_ms}")
    lines.append("\n")
    return "\n".join(lines).encode()
