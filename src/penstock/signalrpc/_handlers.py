"""The handlers of a peer: `Handlers` calls them for requests and notifications, and makes the answers."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from penstock._outcomes import as_answer, as_internal, ends_the_loop, log_error
from penstock.errors import ResourceExhausted, StatusError, Unavailable
from penstock.signalrpc._messages import FLOW, Answer, RpcRequest, encode, fault_of, raw, value_of

logger = logging.getLogger("penstock.signalrpc")

#: Requests that are being handled at the same time, at most; one more is refused.
HANDLED_MAX: Final = 1024

#: The client whose request the running handler handles: the one that a stream of this handler is for.
requester: Final[contextvars.ContextVar[str | None]] = contextvars.ContextVar("signalrpc_requester", default=None)

#: A handler: from the data and the sender's address to the data of the answer, or None for no answer.
Handler = Callable[[Any, "str | None"], Any]


class Line(Protocol):
    """The connection to which answers go. choked: it holds more than it wants to."""

    choked: bool

    def send_now(self, message: bytes) -> None:
        """Send a message."""

    async def writable(self) -> None:
        """Wait until it takes messages. Raises `Unavailable` when it will not."""


class Handlers:
    """Handlers by what they are for. request_type and response_type: of the data that this peer is asked and answered."""

    def __init__(self, request_type: Any, response_type: Any, line: Line) -> None:
        self._types = (request_type, response_type)
        self._line = line
        self._for: tuple[list[Handler], list[Handler]] = ([], [])
        self._running: set[asyncio.Task[None]] = set()
        self.identity: Callable[[], tuple[str | None, str]] = lambda: (None, "")

    def add(self, handler: Handler, *, notifications: bool = False) -> Callable[[], None]:
        """Add a handler; return the function that removes it."""
        handlers = self._for[notifications]
        handlers.append(handler)
        return lambda: handlers.remove(handler) if handler in handlers else None

    def handle(self, request: RpcRequest) -> None:
        """Call the handlers of a request, or else, where its data is that of an answer, those of notifications.

        Data of neither type is logged. A request gets an answer that says so; a notification never gets one. Where any data is
        that of an answer, there are only notifications for which there is a handler.
        """
        problem: StatusError | None = None
        for notifications, expected in enumerate(self._types):
            if notifications and expected is Any and not self._for[1] and problem is not None:
                break
            try:
                data = value_of(request.data, expected)
            except StatusError as error:
                problem = problem or error
                continue
            for handler in tuple(self._for[notifications]):
                self._start(handler, data, request, answered=not notifications)
            return
        logger.warning("ignored a request of %s: %s", request.from_, problem)
        if self._for[0]:
            self._refuse(request, problem)

    async def aclose(self) -> None:
        """Cancel the handlers that run, and wait for them."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self, handler: Handler, data: Any, request: RpcRequest, *, answered: bool) -> None:
        if len(self._running) >= HANDLED_MAX:
            self._refuse(request, ResourceExhausted(f"{HANDLED_MAX} requests are being handled here"))
            return
        context = contextvars.copy_context()
        context.run(requester.set, request.from_)
        work = self._run(handler, data, request, answered=answered)
        task = asyncio.create_task(work, name="signalrpc handler", context=context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, handler: Handler, data: Any, request: RpcRequest, *, answered: bool) -> None:
        try:
            result = handler(data, request.from_)
            if inspect.isawaitable(result):
                result = await result
            if answered and result is not None:
                await self._answer_with(request, result)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # every waiter is told; an interrupt alone goes on
            if answered:
                await self._answer_with(request, as_answer(error) or as_internal(error, "a signalrpc handler", exposed=False))
            else:
                log_error(logger, error, "a handler of notifications raised %r", error)
            if ends_the_loop(error):
                raise

    async def _answer_with(self, request: RpcRequest, result: Any) -> None:
        """Answer a request when the connection takes it: so answers that are not read are as many as requests are handled."""
        answer = self._answer(request, result)
        with suppress(Unavailable):
            await self._line.writable()
            self._line.send_now(answer)

    def _refuse(self, request: RpcRequest, why: StatusError | None) -> None:
        """Refuse a request. A relay that reads nothing is told nothing more."""
        if not self._line.choked:
            self._line.send_now(self._answer(request, why))

    def _answer(self, request: RpcRequest, result: Any) -> bytes:
        fault = fault_of(result) if isinstance(result, StatusError) else None
        data = raw({"error": fault.message}) if fault is not None else raw(result)
        client_id, name = self.identity()
        answer = Answer(
            request_id=request.request_id,
            from_=client_id,
            from_name=name,
            to=request.from_,
            to_name=request.from_name,
            flow=FLOW,
            fault=fault,
            data=data,
        )
        return encode(answer)
