"""What is known about a call while it runs: `CallInfo`, and which one runs here. This module never makes a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal

from penstock.errors import FailedPrecondition
from penstock.streams import Sink

if TYPE_CHECKING:
    from penstock.peer import Peer


class CallInfo:
    """One call, on one side: for handlers through `penstock.context()`, and for interceptors.

    target: "Service/method". kind: unary, client_streaming, server_streaming or bidirectional.
    side: "caller" or "callee". metadata: what travels with the call; an interceptor of the caller may add to it.
    deadline: when the call must be over, in seconds of the event loop's clock; None for never.
    peer: the other side, None in one process; a handler can call it back.
    principal: who the caller is, None while nobody has proved it.
    sink: where the items of a streaming handler go; its statistics tell how the consumer stands.
    """

    __slots__ = ("deadline", "kind", "metadata", "peer", "principal", "side", "sink", "target")

    def __init__(
        self,
        target: str,
        kind: str,
        side: Literal["caller", "callee"],
        *,
        metadata: dict[str, str],
        deadline: float | None,
        peer: Peer | None,
    ) -> None:
        self.target = target
        self.kind = kind
        self.side = side
        self.metadata = metadata
        self.deadline = deadline
        self.peer = peer
        self.sink: Sink[Any] | None = None
        self.principal: Any = None if peer is None else peer.principal

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline, never below zero; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    @property
    def draining(self) -> bool:
        """Whether this side or the other has begun to shut down: a long stream does well to end soon."""
        return self.peer is not None and self.peer.draining

    async def wait_draining(self) -> None:
        """Wait until `draining`. Safe to cancel."""
        if self.peer is not None:
            await self.peer.wait_draining()
        else:
            await asyncio.get_running_loop().create_future()  # a call in one process has no connection to drain

    def __repr__(self) -> str:
        remaining = self.time_remaining()
        left = "no deadline" if remaining is None else f"{remaining:.3g} s left"
        return f"<CallInfo {self.side} {self.target} {self.kind}, {left}>"


#: Around a whole call, on either side: entered before it starts, left with its outcome. Raising a `StatusError` before the
#: `yield` refuses the call; one that is raised instead of the outcome replaces it.
Interceptor = Callable[[CallInfo], AbstractAsyncContextManager[None]]

current_call: ContextVar[CallInfo | None] = ContextVar("penstock_call", default=None)


#: How to describe a call that nothing was said about: an actor's message from its own process. `ActorSystem.context` sets it.
unannounced_call: ContextVar[Callable[[], CallInfo | None]] = ContextVar("penstock_unannounced_call", default=lambda: None)


def context() -> CallInfo:
    """Return the call that is being handled here. Raises `FailedPrecondition` outside a handler."""
    call = current_call.get() or unannounced_call.get()()
    if call is None:
        raise FailedPrecondition("no call is being handled here; penstock.context() works inside a handler")
    return call


#: A time-out of thirty years is none, and neither is an infinite one.
NO_DEADLINE_S: Final = 1e9


def inherited_deadline(timeout_s: float | None, now_s: float) -> float | None:
    """Return the deadline of a new call: its own time-out or what is left to the call being handled, whichever is sooner."""
    own = None if timeout_s is None or timeout_s > NO_DEADLINE_S else now_s + timeout_s
    call = current_call.get()
    if call is None or call.deadline is None:
        return own
    return call.deadline if own is None else min(own, call.deadline)


async def enter_all(stack: AsyncExitStack, interceptors: Sequence[Interceptor], call: CallInfo) -> None:
    """Enter the interceptors, the first one outermost."""
    for interceptor in interceptors:
        await stack.enter_async_context(interceptor(call))
