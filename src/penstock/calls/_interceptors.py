"""Interceptors: what a program puts around its calls, and the one way to go inside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from penstock.calls._context import CallInfo
from penstock.errors import DeadlineExceeded, StatusError

#: Around a whole call, on either side: entered before the call starts, left with its outcome. Raising a `StatusError` before
#: the `yield` refuses the call; an error raised instead of the outcome replaces it.
Interceptor = Callable[[CallInfo], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def intercepted(
    interceptors: Sequence[Interceptor],
    call: CallInfo,
    *,
    swallowed: StatusError | None = None,
    deadline: float | None = None,
) -> AsyncIterator[None]:
    """Run the body, which is the call, inside `interceptors`, the first one outermost; each sees how the body ends.

    An interceptor may replace an error by another one, but not hide it: when an interceptor swallows the error of the body, or
    of an interceptor inside of it, `swallowed` is raised, or the error itself without one. `deadline`, in seconds of the
    loop's clock, bounds interceptors and body together and ends as `DeadlineExceeded`. Cancelling it leaves every interceptor.
    """
    outcome: BaseException | None = None
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit, AsyncExitStack() as stack:
            try:
                await _enter_all(stack, interceptors, call)
                yield
            except BaseException as error:
                outcome = error
                raise
        if outcome is not None:  # an interceptor swallowed it: that of the body, or of an interceptor inside of its own
            raise _too_late(call) if limit.expired() else swallowed or outcome
    except TimeoutError:
        if limit.expired():
            raise _too_late(call) from None
        raise
    finally:
        outcome = None  # an error holds this frame, which must not hold the error


async def _enter_all(stack: AsyncExitStack, interceptors: Sequence[Interceptor], call: CallInfo) -> None:
    for interceptor in interceptors:
        await stack.enter_async_context(interceptor(call))


def _too_late(call: CallInfo) -> DeadlineExceeded:
    return DeadlineExceeded(f"{call.target}: the deadline passed before the call was over")
