"""`SpareLink`: a link that carries a new session at a server, because that does not have the one that was asked for."""

from __future__ import annotations

from typing import Final

from penstock.protocol import Hello
from penstock.session._session import Session
from penstock.transports import Link, Receiver


def drop(link: Link) -> None:
    """Abort a link, and hear nothing of it any more."""
    link.hand_over(_UNHEARD)
    link.abort()


class SpareLink(Receiver):
    """A link that carries a new session at the server, because that does not have the one that was asked for (rule 9.6).

    hello: what the server has said over it. It is not read until a session takes it.
    """

    def __init__(self, link: Link, hello: Hello, rest: bytes) -> None:
        self.link: Link | None = link
        self.hello = hello
        self._buffer = bytearray(4096)
        self._rest = bytearray(rest)
        link.hand_over(self)
        link.pause_reading()

    def begin(self, session: Session) -> bool:
        """Begin a session over this link; return whether that is so: it may be lost."""
        link, self.link = self.link, None
        if link is None:
            return False
        session.link = link
        session._handle([session._connection.links.begin_over(self.hello, session._now())])
        link.hand_over(session)
        link.resume_reading()
        while self._rest:
            buffer = session.get_buffer(-1)
            part = self._rest[: len(buffer)]
            del self._rest[: len(buffer)]
            buffer[: len(part)] = part
            session.buffer_updated(len(part))
        return True

    def drop(self) -> None:
        """Abort the link, unless a session has begun over it."""
        link, self.link = self.link, None
        if link is not None:
            drop(link)

    def link_made(self, link: Link) -> None: ...

    def get_buffer(self, size_hint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, size: int) -> None:
        self._rest += self._buffer[:size]

    def link_lost(self, error: Exception | None) -> None:
        self.link = None

    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class _Unheard(Receiver):
    """Takes the bytes of a link that is given up."""

    def link_made(self, link: Link) -> None: ...

    def get_buffer(self, size_hint: int) -> memoryview:
        return memoryview(bytearray(4096))

    def buffer_updated(self, size: int) -> None: ...
    def link_lost(self, error: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


_UNHEARD: Final = _Unheard()
