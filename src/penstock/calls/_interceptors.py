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

    An interceptor may replace the outcome by another error, but not hide one: when an interceptor swallows what the body
    raised, `swallowed` is raised, or the body's own error if there is none to raise in its place. `deadline`, in seconds of the
    loop's clock, bounds interceptors and body together and ends as `DeadlineExceeded`. Cancelling it leaves every interceptor.
    """
    outcome: BaseException | None = None
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit, AsyncExitStack() as stack:
            for interceptor in interceptors:
                await stack.enter_async_context(interceptor(call))
            try:
                yield
            except BaseException as error:
                outcome = error
                raise
        if outcome is not None:
            raise swallowed or outcome
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded(f"{call.target}: the deadline passed before the call was over") from None
        raise
    finally:
        outcome = None  # an error holds this frame, which must not hold the error
