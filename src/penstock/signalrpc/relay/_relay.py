"""`Relay`: the server of the protocol. Peers meet at a topic, the path of their URL, and it passes their messages on.

It is an application of ASGI, so it can be mounted beside others, and be served by itself (`Relay.listen`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from itertools import count
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from penstock.errors import PermissionDenied, Unauthenticated
from penstock.signalrpc._messages import FLOW, RelayFault, RpcPing, RpcPong, Welcome, encode
from penstock.signalrpc._rates import Bucket
from penstock.signalrpc.relay._carriers import FLUSH_S, GOING_AWAY, TRY_AGAIN, AsgiTexts, Outgoing, Receive, Send
from penstock.signalrpc.relay._clients import Clients, RelayClient, Route
from penstock.signalrpc.relay._rules import RelayRules, RelaySettings, Visitor
from penstock.streams import Bell
from penstock.transports import HANDSHAKE_TIMEOUT_S, TLS
from penstock.web import HttpListener, admitted

logger = logging.getLogger("penstock.signalrpc")

#: The topic of a URL without a path, as the original has it.
NO_TOPIC: Final = "none"

#: A message that is so many times as large as allowed is answered with an error; a larger one ends the connection.
SLACK: Final = 4

#: Messages of one client that are passed on in a row before the others get their turn.
PASSED_A_TURN: Final = 64

#: Fields in the query of a URL, at most.
VISITOR_FIELDS_MAX: Final = 64

#: The way to a client that is gone: what is sent there is dropped.
_GONE: Final = Outgoing()
_GONE.close()

Scope = MutableMapping[str, Any]


class Relay:
    """Passes messages between peers: to the client that `to` names, or to all others of the topic.

    ::

        relay = penstock.signalrpc.Relay()
        app.mount("/signal", relay)  # FastAPI; or by itself:
        async with relay.listen("http://127.0.0.1:8080") as url:
            ...

    It answers pings, says who a message is from, and never loses a message in silence: a client that sends faster than its
    reader reads is read more slowly, and a reader that does not read at all is closed.

    rules: which clients may come, and which messages are passed on; all, by default. settings: its limits.
    """

    def __init__(self, *, rules: RelayRules | None = None, settings: RelaySettings | None = None) -> None:
        self._rules = rules or RelayRules()
        self._settings = settings or RelaySettings()
        self._clients = Clients(lambda: str(uuid.uuid4()))
        self._arriving = 0
        self._left = Bell()

    def __repr__(self) -> str:
        return f"<Relay {len(self._clients)} clients>"

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @asynccontextmanager
    async def listen(self, url: str, *, tls: TLS | None = None) -> AsyncIterator[str]:
        """Serve it at ``http://host:port``, or ``https://`` with `tls`; the block gets the URL that a client dials.

        Needs the extra ``penstock[web]``. Raises `Unavailable`, with a `cause`, when the address cannot be used.
        """
        scheme = url.partition("://")[0]
        context: ssl.SSLContext | None = tls.server_context() if tls is not None else None
        listener = HttpListener(lambda _: self, SLACK * self._settings.message_bytes)
        await listener.start(scheme, url, context, HANDSHAKE_TIMEOUT_S)
        try:
            yield listener.url.replace("http", "ws", 1)
        finally:
            await listener.aclose()
            await self.aclose()
            await listener.wait_closed()

    async def aclose(self) -> None:
        """Close every client, and wait until they are gone, or for a second."""
        for place in self._clients:
            place.link.close(GOING_AWAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while len(self._clients):
                    await self._left.wait()

    # ── one client ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one WebSocket to its end; a request of HTTP is refused."""
        if scope["type"] != "websocket":
            await _refuse_http(scope, receive, send)
            return
        await receive()
        query = _query(scope)
        user = await self._admitted(scope, query)
        if user is None:
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the server answers with 403
            return
        await send({"type": "websocket.accept"})
        texts = AsgiTexts(receive, send)
        async with self.entered(_topic(scope), user, texts, query.get("sessionId", "")) as place:
            await texts.carry(self._read(place, texts))

    async def _admitted(self, scope: Scope, query: Mapping[str, str]) -> str | None:
        if len(self._clients) + self._arriving >= self._settings.clients or not admitted(scope, self._settings.origins):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        token = headers.get("authorization", "").removeprefix("Bearer ") or query.get("token", "")
        self._arriving += 1
        try:
            return await self._asked(Visitor(_topic(scope), token, headers, query))
        finally:
            self._arriving -= 1

    async def _asked(self, visitor: Visitor) -> str | None:
        """Ask the rules for the name of a client; None for one that is refused. Rules that fail, or are late, refuse it."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                return _name(await self._rules.admit(visitor))
        except (PermissionDenied, Unauthenticated):
            return None
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            logger.exception("a client was refused, because RelayRules.admit, or the relay, raised")
            return None

    @asynccontextmanager
    async def entered(self, topic: str, user: str, link: Outgoing, session_id: str) -> AsyncIterator[RelayClient]:
        """Let a client be a member while the block runs."""
        place, before = self._clients.enter(topic, user, link, session_id)
        if before is not None:
            before.link.close()
        welcome = Welcome(
            client_id=place.client_id, session_id=place.session_id, restored_session=before is not None, flow=FLOW
        )
        link.send(encode(welcome))
        try:
            yield place
        finally:
            link.close()
            self._left.notify()
            if self._clients.leave(place):
                place.link = _GONE
                asyncio.get_running_loop().call_later(self._settings.session_s, self._clients.forget, place)

    async def _read(self, place: RelayClient, texts: AsgiTexts) -> None:
        rate, pinged = Bucket(self._settings.messages_per_s), False
        for number in count(1):
            try:
                text = await texts.read(self._settings.ping_s)
            except TimeoutError:
                if pinged:
                    return
                pinged = True
                texts.send(encode(RpcPing(timestamp=int(monotonic() * 1000))))
                continue
            if text is None:
                return
            pinged = False
            await self.pass_on(place, text)
            rate.spend(1)
            if (delay := rate.delay_s(monotonic())) or number % PASSED_A_TURN == 0:
                await asyncio.sleep(delay)  # one that sends much lets the others have their turn

    # ── one message ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def pass_on(self, place: RelayClient, text: bytes | str) -> None:
        """Send a message of a client on, and wait while a reader of it is choked."""
        if len(text) > self._settings.message_bytes:
            self._say(place, RelayFault(error="Message too large", max_size=self._settings.message_bytes))
            return
        try:
            route = self._clients.route(place, text)
        except (msgspec.DecodeError, RecursionError) as error:
            self._say(place, RelayFault(error="Invalid message", details=str(error)))
            return
        if route.ping is not None:
            self._say(place, RpcPong(timestamp=route.ping if isinstance(route.ping, int | float) else 0))
        elif fault := self._fault(place, route):
            self._say(place, fault)
        else:
            await self._send(route)
        if place.link.choked:  # with answers of the relay
            await self._wait_for([place])

    def _fault(self, place: RelayClient, route: Route) -> RelayFault | None:
        if route.target:
            return RelayFault(error="Target peer not found", target_id=route.target)
        if not route.direct:
            allowed = _allowed(self._rules.may_publish, place.user, place.topic)
            return None if allowed else RelayFault(error="Not authorized to publish to this topic")
        target = route.places[0]
        if _allowed(self._rules.may_write, place.user, target.user, place.topic, target.topic):
            return None
        return RelayFault(error="Not authorized to message this peer", target_id=target.client_id)

    async def _send(self, route: Route) -> None:
        for target in route.places:
            target.link.send(route.text)
        if choked := [target for target in route.places if target.link.choked]:
            await self._wait_for(choked)

    async def _wait_for(self, targets: list[RelayClient]) -> None:
        """Wait until none of the clients is choked; those that still are after `stall_s` are closed."""
        try:
            async with asyncio.timeout(self._settings.stall_s):
                for target in targets:
                    await target.link.drained()
        except TimeoutError:
            for target in targets:
                if target.link.choked:
                    logger.warning("closed %s, which has read too little for %g s", target.client_id, self._settings.stall_s)
                    target.link.close(TRY_AGAIN, "this client reads too slowly")

    def _say(self, place: RelayClient, message: msgspec.Struct) -> None:
        place.link.send(encode(message))


def _name(user: object) -> str:
    if not isinstance(user, str):
        raise TypeError(f"RelayRules.admit has returned {user!r}, which is not the name of a user")
    return user


def _allowed(rule: Callable[..., bool], *names: str) -> bool:
    """Ask a rule; one that fails allows nothing."""
    try:
        return rule(*names)
    except Exception:
        logger.exception("a message was refused, because RelayRules.%s raised", getattr(rule, "__name__", "?"))
        return False


def _query(scope: Scope) -> dict[str, str]:
    """Return the fields of a URL; of one with too many of them, none."""
    try:
        return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), max_num_fields=VISITOR_FIELDS_MAX))
    except ValueError:
        return {}


def _topic(scope: Scope) -> str:
    root: str = scope.get("root_path", "")
    return str(scope["path"]).removeprefix(root).strip("/") or NO_TOPIC


async def _refuse_http(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError(f"a relay has no {scope['type']}")  # a server without a lifespan goes on
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"upgrade", b"websocket")]
    await send({"type": "http.response.start", "status": HTTPStatus.UPGRADE_REQUIRED, "headers": headers})
    await send({"type": "http.response.body", "body": b"Peers connect here by WebSocket.\n"})
