"""`Penstock.Watch`: the tables of a console, a part at a time. While no console asks, it does nothing and holds no row."""

from __future__ import annotations

from collections import Counter
from typing import Any

from penstock.calls import context
from penstock.errors import FailedPrecondition
from penstock.node._base import NodeBase
from penstock.node._control import Control, history_view
from penstock.node._types import ALL_ACTORS
from penstock.node.watch._actors import actors_table, unfolded
from penstock.node.watch._flows import Connections
from penstock.node.watch._kept import kept_table
from penstock.node.watch._table import in_slices
from penstock.node.watch._types import (
    ActorsPart,
    ChainCheck,
    ConnectionsPart,
    FlowsPart,
    KeptPart,
    MethodRow,
    Overview,
    TableWish,
)
from penstock.retention import streams_here
from penstock.service import Service
from penstock.session.views import view_of


class Watch:
    """The tables of one node. control: answers for the node. services: those that it serves beside its actors.

    The tables of connections, streams and retained streams are those of the whole event loop.
    """

    service_name = "Penstock.Watch"

    def __init__(self, node: NodeBase, control: Control, services: list[Service]) -> None:
        self._node = node
        self._control = control
        self._services = services
        self._actors = actors_table(node)
        self._connections = Connections(node)
        self._kept = kept_table()

    async def overview(self) -> Overview:
        """Return the figures of the node."""
        actors = messages = mailbox = streams = 0
        async for cell in in_slices(self._node._host.registry.matching(ALL_ACTORS)):
            actors += 1
            messages += cell.handled
            mailbox += len(cell.queue)
            streams += sum(not work.peer for work in cell.belongings.side_tasks)
        self._note_console()
        sessions = self._connections.sessions()
        views = [view_of(session) async for session in in_slices(sessions)]
        shelf = streams_here()
        return Overview(
            node=await self._control.status(),
            history=history_view(self._node.history),
            actors=actors,
            messages=messages,
            mailbox=mailbox,
            connections=len(views),
            detached=sum(view.state == "detached" for view in views),
            streams=streams + sum(view.streams for view in views if view.remote != self._connections.console),
            held_bytes=sum(view.held_bytes for view in views),
            kept=len(shelf.named),
            kept_bytes=shelf.size,
            methods=sum(len(service.methods) for service in self._services),
        )

    async def actors(self, wish: TableWish = TableWish()) -> ActorsPart:  # noqa: B008 - it is frozen
        """Return a part of the table of actors, in the order of their names. Raises `InvalidArgument` for another column."""
        folded = set(wish.folded) if not wish.text and not wish.sort else set()
        found = await self._actors.part(wish, lambda rows: unfolded(rows, folded) if folded else rows)
        return ActorsPart(found.all, found.matching, found.skip, found.rows)

    async def connections(self, wish: TableWish = TableWish()) -> ConnectionsPart:  # noqa: B008 - it is frozen
        """Return a part of the table of connections, the oldest first. Raises as `actors`."""
        self._note_console()
        found = await self._connections.connections.part(wish)
        return ConnectionsPart(found.all, found.matching, found.skip, found.rows)

    async def flows(self, wish: TableWish = TableWish()) -> FlowsPart:  # noqa: B008 - it is frozen
        """Return a part of the table of streams, those of the oldest connection first. Raises as `actors`."""
        self._note_console()
        number, waiting = wish.link, wish.waiting

        def chosen(rows: list[Any]) -> Any:
            return (row for row in rows if number in {0, row.link} and not (waiting and not row.waits))

        found = await self._connections.flows.part(wish, chosen if number or waiting else iter)
        return FlowsPart(found.all, found.matching, found.skip, found.rows)

    async def kept(self, wish: TableWish = TableWish()) -> KeptPart:  # noqa: B008 - it is frozen
        """Return a part of the table of retained streams, the oldest first. Raises as `actors`."""
        found = await self._kept.part(wish)
        return KeptPart(found.all, found.matching, found.skip, found.rows)

    async def methods(self) -> list[MethodRow]:
        """Return the methods of the services beside the actors, with the number of their open calls."""
        self._note_console()
        rows = await self._connections.flows.rows()
        calls = {(row.name, row.link, row.key.split("/")[1]) for row in rows if row.link}
        open_calls = Counter(name for name, _connection, _stream in calls)
        return [
            MethodRow(service.name, method.name, method.target, method.kind.label, method.doc, open_calls[method.target])
            for service in self._services
            for method in service.methods.values()
        ]

    async def verify(self) -> ChainCheck:
        """Check the chain of the history in its file, about a second for a million events. Cancelling it stops the check.

        Raises `FailedPrecondition` when the node records none.
        """
        if self._node.history is None:
            raise FailedPrecondition("this node records no history; start it with `penstock server --history PATH`")
        found = await self._node.history.verify()
        return ChainCheck(found.ok, found.events, found.offset, found.why, found.text, found.head)

    def forget(self) -> None:
        """Forget all rows: the node closes."""
        for table in (self._actors, self._connections.connections, self._connections.flows, self._kept):
            table.forget()

    def _note_console(self) -> None:
        """Note the connection over which this call has come: its own streams are not shown."""
        scope = context()._scope
        if scope is not None:
            self._connections.console = scope.remote
