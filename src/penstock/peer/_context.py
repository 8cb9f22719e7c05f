"""`CallInfo` and `context` of `penstock.calls`, as a program sees them: for a type checker, their peer is a `Peer`.

`penstock.calls` cannot name that class, which stands above it. At run time nothing is added: the objects are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    from penstock.calls import CallInfo as AnyCallInfo
    from penstock.calls import context as any_context
    from penstock.peer._peer import Peer

    CallInfo: TypeAlias = AnyCallInfo[Peer]

    def context() -> CallInfo:
        """Return the `CallInfo` of the call that the running handler handles. Raises `FailedPrecondition` outside one."""
        return any_context()
else:
    from penstock.calls import CallInfo, context

__all__ = ["CallInfo", "context"]
