"""The two sides of a WebSocket connection, each with its handshake: `ServerEnd` and `ClientEnd`."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

from penstock._texts import one_line
from penstock.errors import Cause, FailedPrecondition, Unavailable
from penstock.transports._abc import Link, Receiver, Segment
from penstock.transports.websocket._end import WebSocketEnd, binary
from penstock.transports.websocket._link import MESSAGE_BYTES_MAX, MessageLink
from penstock.transports.websocket._texts import TextLink, TextReceiver, WholeTexts

if TYPE_CHECKING:
    from websockets.client import ClientProtocol
    from websockets.server import ServerProtocol
    from websockets.uri import WebSocketURI

logger = logging.getLogger("penstock.transports")

#: The protocol that both sides name in the handshake.
SUBPROTOCOL: Final = "penstock.1"

#: In `origins`: pages of every origin.
ANY_ORIGIN: Final = "*"

#: The package logs each connection as information, and a fault of its own as an error.
_quiet = logging.getLogger("penstock.transports.websocket")
_quiet.setLevel(logging.ERROR)

#: A part of a message has a limit. A message has none, because its boundaries mean nothing.
_OPTIONS: Final[dict[str, Any]] = {"subprotocols": [SUBPROTOCOL], "max_size": (None, MESSAGE_BYTES_MAX), "logger": _quiet}

_ANSWER_CHARACTERS: Final = 200

#: Status codes of HTTP; the module that names them is not imported by a program without a WebSocket.
_SWITCHING, _FORBIDDEN, _NOT_FOUND, _UNAVAILABLE = 101, 403, 404, 503


#: A server that does not answer as one of HTTP may be one of these.
_PERHAPS_TCP: Final = "if a Penstock server listens there without WebSocket, dial it as tcp:// or tls://"


class Websockets(NamedTuple):
    """The parts of the package `websockets` that are used."""

    client: type[ClientProtocol]
    server: type[ServerProtocol]
    parse_uri: Callable[[str], WebSocketURI]


def websockets() -> Websockets:
    """Return the package `websockets`. Raises `FailedPrecondition` where it is not installed."""
    try:
        from websockets.client import ClientProtocol
        from websockets.server import ServerProtocol
        from websockets.uri import parse_uri
    except ImportError:
        raise FailedPrecondition("ws:// and wss:// need the package websockets: pip install 'penstock[web]'") from None
    return Websockets(ClientProtocol, ServerProtocol, parse_uri)


class ServerEnd(WebSocketEnd):
    """The side that is dialled.

    path: the one path that it answers at; empty for all. origins: the web pages that may connect, by their origin.
    receivers: the receiver of the session; None refuses the connection. on_over: called when the handshake has ended.
    """

    def __init__(
        self,
        receivers: Callable[[], Receiver | None],
        path: str,
        origins: Collection[str],
        on_over: Callable[[WebSocketEnd], None],
    ) -> None:
        allowed: Any = None if ANY_ORIGIN in origins else [None, *origins]
        super().__init__(websockets().server(origins=allowed, **_OPTIONS))
        self._receivers = receivers
        self._path = path
        self._on_over = on_over

    def shake_hands(self, event: object) -> None:
        """Answer the request: switch to the WebSocket, or say why not."""
        protocol, request = cast("Any", self._protocol), cast("Any", event)
        response = protocol.accept(request)
        path = request.path.partition("?")[0]
        receiver = None
        if response.status_code == _SWITCHING and self._path and path != self._path:
            response = protocol.reject(_NOT_FOUND, f"This server answers at {self._path}.\n")
        if response.status_code == _SWITCHING:
            receiver = self._receivers()
            if receiver is None:
                response = protocol.reject(_UNAVAILABLE, "This server is shutting down.\n")
        elif "Origin" in request.headers and response.status_code == _FORBIDDEN:
            self._say_refused(request.headers.get_all("Origin"))
        protocol.send_response(response)
        self.flush()
        if receiver is not None:
            self._on_over(self)
            self.bound(None)
            self.link = MessageLink(self, receiver)
            receiver.link_made(self.link)

    def ended(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._on_over(self)

    def _say_refused(self, origins: Sequence[str]) -> None:
        origin = one_line(", ".join(origins), _ANSWER_CHARACTERS)
        logger.warning(
            "refused a web page of %s: a page may connect when its origin is listed, as in serve(..., origins=[%r])",
            origin,
            origin,
        )


L = TypeVar("L")


class DialledEnd(WebSocketEnd, Generic[L]):
    """The side that dials `url`. `opened` is done when the handshake is; a subclass makes its link then."""

    def __init__(self, url: str, options: dict[str, Any], payload_of: Callable[[Any], bytes | str | None] = binary) -> None:
        parts = websockets()
        super().__init__(parts.client(parts.parse_uri(url), **options), payload_of)
        self._place = url.partition("?")[0]  # the query can have a secret, and errors are logged
        self.opened: asyncio.Future[L] = asyncio.get_running_loop().create_future()

    @abstractmethod
    def open_link(self) -> None:
        """Make the link, and set `opened`, or refuse the answer of the server."""

    def link_made(self, link: Link) -> None:
        """Send the request."""
        super().link_made(link)
        protocol = cast("Any", self._protocol)
        protocol.send_request(protocol.connect())
        self.flush()

    def shake_hands(self, event: object) -> None:
        """Take the answer of the server."""
        protocol = cast("Any", self._protocol)
        if not self.opened.done() and protocol.handshake_exc is None:
            self.open_link()

    def ended(self, error: Exception | None) -> None:
        """Fail the dial, with the answer of the server where it gave one."""
        refusal = cast("Any", self._protocol).handshake_exc
        if refusal is None:
            self.fail(f"it ended the connection in the handshake; {_PERHAPS_TCP}")
        else:
            self.fail(_words(refusal))

    def fail(self, why: str) -> None:
        """Fail the dial, unless it is over."""
        if not self.opened.done():
            error = Unavailable(f"{self._place} did not open a WebSocket: {why}", cause=Cause.UNREACHABLE, started=False)
            self.opened.set_exception(error)
            self.opened.exception()  # a dial that was cancelled does not ask


class ClientEnd(DialledEnd[MessageLink]):
    """A client whose bytes travel in binary messages."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        super().__init__(url, _OPTIONS)
        self._receiver = receiver

    def open_link(self) -> None:
        """Join the receiver to the connection, if the server speaks Penstock."""
        if cast("Any", self._protocol).subprotocol != SUBPROTOCOL:
            self.fail(f"it does not speak {SUBPROTOCOL}; check the path of the URL")
            self.drop()
            return
        self.link = link = MessageLink(self, self._receiver)
        self.opened.set_result(link)
        self._receiver.link_made(link)


class TextEnd(DialledEnd[TextLink]):
    """A client whose messages are texts, of at most `text_bytes` each."""

    def __init__(self, url: str, receiver: TextReceiver, text_bytes: int) -> None:
        super().__init__(url, {"max_size": text_bytes, "logger": _quiet}, WholeTexts())
        self._receiver = receiver

    def open_link(self) -> None:
        """Join the receiver to the connection."""
        self.link = link = TextLink(self, self._receiver)
        self.opened.set_result(link)
        self._receiver.link_made(link)

    def send(self, data: Segment) -> None:
        """Send a text in one frame; nothing after the close has begun."""
        protocol = cast("Any", self._protocol)
        if protocol.state.name == "OPEN":
            protocol.send_text(bytes(data))
            self.flush()


def _words(refusal: Exception) -> str:
    """Return the answer that a server gave in the place of a WebSocket."""
    response = getattr(refusal, "response", None)
    if response is None:
        return f"{one_line(str(refusal), _ANSWER_CHARACTERS)}; {_PERHAPS_TCP}"
    body = bytes(response.body or b"").decode("utf-8", "replace").strip()
    return one_line(f"it answered {response.status_code} {response.reason_phrase}. {body}".strip(" ."), _ANSWER_CHARACTERS)
