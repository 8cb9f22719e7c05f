"""The part of `Penstock.Control` that is about actors and the node, as a caller sees it: ``peer.service(ActorControl)``.

The methods have no bodies: `Control` implements them, and the type checkers compare the two.
"""

from __future__ import annotations

from typing import Any

from penstock.actors import ActorInfo
from penstock.node._types import ALL_ACTORS, Activity, FoundActor, Inspection, NodeView, PreparedMessage, Snapshot, StartedActor


class ActorControl:
    """Control of a node's actors. `actor` is a name, an id, or the beginning of an id.

    Every method raises `NotFound`, with a guess at the name that was meant, when no actor has it, and `InvalidArgument` when
    several ids begin with it.
    """

    service_name = "Penstock.Control"

    async def start(self, manifest: str) -> StartedActor:
        """Start the actor of a manifest, an absolute path on the node's machine.

        Raises `InvalidArgument` that names file, key and reason, `AlreadyExists` for a name in use, `FailedPrecondition` with
        ``details["traceback"]`` for an error in the actor's own code, and `Unavailable` while the node begins or stops.
        """
        raise NotImplementedError

    async def stop(self, actor: str) -> ActorInfo:
        """Stop an actor, its children first; return its last state."""
        raise NotImplementedError

    async def restart(self, actor: str) -> ActorInfo:
        """Restart an actor with a fresh state, and return that state; the messages in its mailbox stay."""
        raise NotImplementedError

    async def find(self, actor: str) -> FoundActor:
        """Return the address and id of an actor."""
        raise NotImplementedError

    async def prepare(self, actor: str, action: str | None, params: Any = None) -> PreparedMessage:
        """Return the message that calls the method `action` with `params`, checked against the types of its parameters.

        An actor with a ``receive`` also takes other actions, and plain messages: an `action` of None sends `params`. Pass the
        result to ``peer.tell`` or ``peer.ask``. Raises `InvalidArgument` for parameters that do not fit, `Unimplemented` for
        an action that the actor does not have, and `MailboxFull` when its mailbox would reject the message.
        """
        raise NotImplementedError

    async def prepare_stream(self, actor: str, name: str, params: Any = None) -> PreparedMessage:
        """Return the arguments that open the streaming method `name`, or, where there is none, the port of that name."""
        raise NotImplementedError

    async def list(self, pattern: str = ALL_ACTORS) -> list[ActorInfo]:
        """Return the actors whose names match: ``*`` is one part of a name, ``**`` any number of parts."""
        raise NotImplementedError

    async def state(self, actor: str) -> dict[str, Any]:
        """Return the attributes of an actor; a value that cannot travel is its repr."""
        raise NotImplementedError

    async def inspect(self, actor: str) -> Inspection:
        """Return everything about an actor."""
        raise NotImplementedError

    async def doing(self, actor: str) -> Activity | None:
        """Return the message that an actor is handling, None when it waits for messages."""
        raise NotImplementedError

    async def status(self) -> NodeView:
        """Return the state of the node."""
        raise NotImplementedError

    async def snapshot(self) -> Snapshot:
        """Return the state of the node, its actors, streams and history at one moment."""
        raise NotImplementedError
