"""A call while it runs: `CallInfo`, and which call the running code belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Literal

from penstock.calls._scope import CallScope
from penstock.errors import FailedPrecondition
from penstock.service import NO_DEADLINE_S
from penstock.streams import Sink

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    P = TypeVar("P", default=Any)
else:
    from typing import TypeVar

    P = TypeVar("P")


class CallInfo(Generic[P]):
    """One call, on one side: for handlers through `penstock.context()`, and for interceptors.

    target: "Service/method". kind: unary, client_streaming, server_streaming or bidirectional.
    side: "caller" or "callee". metadata: strings that travel with the call; an interceptor of the caller may add to it.
    deadline: the time by which the call must be over, in seconds of the event loop's clock; None for no limit.
    peer: the other side, None in one process; a handler can call it back.
    principal: the proven identity of the caller, None without a proof.
    sink: the sink that the items of a streaming handler go to; its statistics tell how far the consumer is behind.
    """

    __slots__ = ("deadline", "kind", "metadata", "principal", "scope", "side", "sink", "target")

    def __init__(
        self,
        target: str,
        kind: str,
        side: Literal["caller", "callee"],
        *,
        metadata: dict[str, str],
        deadline: float | None,
        scope: CallScope | None,
    ) -> None:
        self.target = target
        self.kind = kind
        self.side = side
        self.metadata = metadata
        self.deadline = deadline
        self.scope = scope
        self.sink: Sink[Any] | None = None
        self.principal: Any = None if scope is None else scope.principal

    @property
    def peer(self) -> P | None:
        """The other side of the connection, a `Peer`; None for a call in one process."""
        return None if self.scope is None else self.scope.peer

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline, never below zero; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    @property
    def draining(self) -> bool:
        """Whether this side or the other has begun to shut down: a long stream should then end soon."""
        return self.scope is not None and self.scope.draining

    async def wait_draining(self) -> None:
        """Wait until `draining`. Safe to cancel."""
        if self.scope is not None:
            await self.scope.wait_draining()
        else:
            await asyncio.get_running_loop().create_future()  # a call in one process has no connection to drain

    def __repr__(self) -> str:
        remaining = self.time_remaining()
        left = "no deadline" if remaining is None else f"{remaining:.3g} s left"
        return f"<CallInfo {self.side} {self.target} {self.kind}, {left}>"


current_call: ContextVar[CallInfo | None] = ContextVar("penstock_call", default=None)
#: Describes the call of a message that came without a description: one from the actor's own process. `ActorSystem` sets it in
#: the context of its actors.
unannounced_call: ContextVar[Callable[[], CallInfo | None]] = ContextVar("penstock_unannounced_call", default=lambda: None)


def context() -> CallInfo:
    """Return the call that the running handler handles. Raises `FailedPrecondition` outside a handler."""
    call = current_call.get() or unannounced_call.get()()
    if call is None:
        raise FailedPrecondition("no call is being handled here; penstock.context() works inside a handler")
    return call


def inherited_deadline(timeout_s: float | None, now_s: float) -> float | None:
    """Return the deadline of a new call: its own time-out, or the rest of the running call's, whichever is sooner."""
    own = None if timeout_s is None or timeout_s > NO_DEADLINE_S else now_s + timeout_s
    call = current_call.get()
    if call is None or call.deadline is None:
        return own
    return call.deadline if own is None else min(own, call.deadline)
