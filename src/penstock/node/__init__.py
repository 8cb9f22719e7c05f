"""A process that hosts actors: manifests, control, listeners and a history, wired together.

`Node`, the control service and the manifests are imported when they are first asked for: they bring a database, which a
command that only talks to a node does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from penstock.node._actor_control import ActorControl
from penstock.node._types import (
    Activity,
    EventQuery,
    HistoryView,
    Inspection,
    NodeView,
    PreparedMessage,
    Snapshot,
)
from penstock.node.loading import Search, Unloadable, error_text, load, user_traceback

if TYPE_CHECKING:
    from penstock.node._history_control import HistoryControl
    from penstock.node._manifest import Manifest, read_manifest
    from penstock.node._node import Node

__all__ = [
    "Activity",
    "ActorControl",
    "EventQuery",
    "HistoryControl",
    "HistoryView",
    "Inspection",
    "Manifest",
    "Node",
    "NodeView",
    "PreparedMessage",
    "Search",
    "Snapshot",
    "Unloadable",
    "error_text",
    "load",
    "read_manifest",
    "user_traceback",
]

_IMPORTED_LATER: Final = {
    "HistoryControl": "_history_control",
    "Manifest": "_manifest",
    "Node": "_node",
    "read_manifest": "_manifest",
}


def __getattr__(name: str) -> Any:
    """Import the names that bring the history with them."""
    module = _IMPORTED_LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, also those that are imported at their first use."""
    return __all__
