"""Every error that Penstock raises, one tree. This module imports nothing of Penstock.

::

    PenstockError
    ├── StatusError                    how a call can end, the sixteen gRPC codes
    │   ├── Cancelled (1)              ├── StreamCancelled      the other end of a stream left
    │   ├── Unknown (2)
    │   ├── InvalidArgument (3)
    │   ├── DeadlineExceeded (4)       ├── IdleTimeout          no item for idle_timeout seconds
    │   ├── NotFound (5)
    │   ├── AlreadyExists (6)
    │   ├── PermissionDenied (7)
    │   ├── ResourceExhausted (8)      ├── MailboxFull
    │   ├── FailedPrecondition (9)     ├── ChannelRejected, ReentrancyError
    │   ├── Aborted (10)
    │   ├── OutOfRange (11)
    │   ├── Unimplemented (12)
    │   ├── Internal (13)
    │   ├── Unavailable (14)           ├── ConnectionLost, ActorStopped
    │   ├── DataLoss (15)
    │   └── Unauthenticated (16)
    ├── ProtocolError                  a peer broke a numbered rule of PROTOCOL.md
    ├── ChannelClosed                  the channel is closed; nothing more can be sent
    ├── StreamClosed                   you closed this end yourself, and used it again
    ├── Busy                           a second task used an end that has one user
    ├── EndOfStream                    ``receive()`` met the normal end
    └── WouldBlock                     a ``*_nowait`` call would have to wait

A handler that raises a `StatusError` sends its code, message and details to the caller. Any other exception reaches the
caller as `Internal` with an error id only; the text stays in the log of the side where it happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class PenstockError(Exception):
    """The root of the tree."""


class StatusError(PenstockError):
    """How a call ended, when it did not end well.

    `message` is for people. `details` is a map of msgpack values for programs. `started` is False only when the handler was
    surely never started: such a call can be made again without harm.
    """

    code: ClassVar[int] = 2
    reason: ClassVar[str] = "unknown"

    def __init_subclass__(cls) -> None:
        """Refuse a code that no peer would know, and 0, which is no error."""
        super().__init_subclass__()
        if cls.code not in range(1, 17):
            raise TypeError(f"{cls.__name__}.code is {cls.code!r}; it is one of the sixteen codes of gRPC, 1 to 16")

    def __init__(self, message: object = "", details: Mapping[str, Any] | None = None, *, started: bool = True) -> None:
        super().__init__(message)
        self.message = str(message)
        self.details: dict[str, Any] = dict(details or {})
        self.started = started

    def again(self) -> StatusError:
        """Return an equal error, for one more place to be raised at: a raised error keeps its traceback, and with it frames."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


class Cancelled(StatusError):
    """The call was cancelled."""

    code, reason = 1, "cancelled"


class StreamCancelled(Cancelled):
    """The other end of the stream left before its end: it cancelled, closed, or left its loop."""

    reason = "stream_cancelled"


class Unknown(StatusError):
    """The peer ended the call with a code that this side does not know."""

    code, reason = 2, "unknown"


class InvalidArgument(StatusError):
    """An argument or item does not fit its declared type; the message names the field."""

    code, reason = 3, "invalid_argument"


class DeadlineExceeded(StatusError):
    """The deadline of the call passed before it ended."""

    code, reason = 4, "deadline_exceeded"


class IdleTimeout(DeadlineExceeded):
    """The stream brought no item for `idle_timeout` seconds."""

    reason = "idle_timeout"


class NotFound(StatusError):
    """What was asked for does not exist."""

    code, reason = 5, "not_found"


class AlreadyExists(StatusError):
    """What was to be created exists."""

    code, reason = 6, "already_exists"


class PermissionDenied(StatusError):
    """The caller is known and may not do this."""

    code, reason = 7, "permission_denied"


class ResourceExhausted(StatusError):
    """A limit was reached; the message names the limit and the setting that moves it."""

    code, reason = 8, "resource_exhausted"


class MailboxFull(ResourceExhausted):
    """The actor's mailbox is full and its policy is to reject."""

    reason = "mailbox_full"


class FailedPrecondition(StatusError):
    """The system is not in the state that the call needs."""

    code, reason = 9, "failed_precondition"


class ChannelRejected(FailedPrecondition):
    """The other side refused the channel; the message is its reason."""

    reason = "channel_rejected"


class ReentrancyError(FailedPrecondition):
    """The call would wait for itself: it asks an actor that waits for this very message."""

    reason = "reentrancy"


class Aborted(StatusError):
    """The call was given up because of a conflict; trying again at a higher level may help."""

    code, reason = 10, "aborted"


class OutOfRange(StatusError):
    """The call went past a valid range."""

    code, reason = 11, "out_of_range"


class Unimplemented(StatusError):
    """No such service or method at the peer; the message says what it may have been meant to be."""

    code, reason = 12, "unimplemented"


class Internal(StatusError):
    """The handler raised; the error id in the message finds the text in the peer's log."""

    code, reason = 13, "internal"


class Unavailable(StatusError):
    """The peer cannot be reached or takes no new calls."""

    code, reason = 14, "unavailable"


class ConnectionLost(Unavailable):
    """The connection went away before the call ended. What was received is valid; the end was not reached."""

    reason = "connection_lost"


class ActorStopped(Unavailable):
    """The actor stopped before it answered."""

    reason = "actor_stopped"


class DataLoss(StatusError):
    """What arrived cannot be read as what was declared."""

    code, reason = 15, "data_loss"


class Unauthenticated(StatusError):
    """The caller is not known."""

    code, reason = 16, "unauthenticated"


class ProtocolError(PenstockError):
    """A rule of PROTOCOL.md was broken.

    `rule` is its number, `remote` is True when the peer broke it and False when this program did.
    """

    def __init__(self, rule: str, message: str, *, remote: bool = True) -> None:
        super().__init__(f"{message} (PROTOCOL.md rule {rule})")
        self.message = message
        self.rule = rule
        self.remote = remote


class ChannelClosed(PenstockError):
    """The channel is closed; nothing more can be sent or received on it."""


class StreamClosed(PenstockError):
    """This end was closed by this program and used again."""


class Busy(PenstockError):
    """A second task used an end of a stream that has one user at a time."""


class EndOfStream(PenstockError):
    """The stream ended normally and nothing is left in it."""


class WouldBlock(PenstockError):
    """The call would have to wait: the buffer is full, or empty."""


def _tree(root: type[StatusError]) -> list[type[StatusError]]:
    return [root] + [leaf for branch in root.__subclasses__() for leaf in _tree(branch)]


_BY_REASON: dict[str, type[StatusError]] = {error.reason: error for error in reversed(_tree(StatusError)[1:])}
_BY_CODE: dict[int, type[StatusError]] = {error.code: error for error in reversed(_tree(StatusError)[1:])}


def status_error(code: int, reason: str, message: str, details: Mapping[str, Any], *, started: bool = True) -> StatusError:
    """Make the error that a peer's status stands for: by its reason, else by its code, else `Unknown`."""
    kind = _BY_REASON.get(reason)
    if kind is None or kind.code != code:
        kind = _BY_CODE.get(code, Unknown)
    return kind(message, details, started=started)
