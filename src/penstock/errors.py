"""Every error that Penstock raises, one tree. This module stands at the bottom of Penstock.

::

    PenstockError
    ├── StatusError                    a call that failed, with one of the sixteen gRPC codes
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
    ├── StreamClosed                   this program closed its own end, and used it again
    ├── WrongThread                    used from another thread than that of its event loop
    ├── Busy                           a second task used an end that has one user at a time
    ├── EndOfStream                    ``receive()`` met the normal end
    └── WouldBlock                     a ``*_nowait`` call would have to wait

A handler that raises a `StatusError` sends its code, message and details to the caller. A group of one class of them, as
a task group raises it, is that error: the first of them. Any other exception reaches the caller as `Internal` with an error id
only; the text stays in the log of the side where it happened.

To handle an error, catch its class; read `code`, `started`, `details` or `Unavailable.cause`. Messages are for people and may
change with any release.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Callable

from penstock._texts import peer_text

#: The codes of an error: those of gRPC without 0, which is the code of success.
CODES: Final = range(1, 17)


class PenstockError(Exception):
    """The root of the tree: catch it to catch every error that Penstock raises on purpose."""


class StatusError(PenstockError):
    """A call that failed. Raise it, or a subclass, in a handler to answer with its code, message and details.

    message: one sentence for people.
    details: a map of values that msgpack can encode, for programs. If one cannot be encoded, all arrive as their `ascii()`.
        Those of a peer are decoded when they are first read, and are empty if they cannot be.
    started: False only when it is certain that no handler was started; then the call can be made again without harm.
    origin: the address of the side that this error has come from, or that could not be reached; empty for one raised here.

    A subclass of your own has a `code` (1 to 16) and a `reason`. The caller gets the class of Penstock with that code, because
    only the classes of this module are known everywhere.
    """

    code: ClassVar[int] = 2
    reason: ClassVar[str] = "unknown"
    origin: str = ""

    def __init_subclass__(cls) -> None:
        """Refuse a code that peers do not know, and 0, which is the code of success."""
        super().__init_subclass__()
        if cls.code not in CODES:
            raise TypeError(f"{cls.__name__}.code is {cls.code!r}; it is one of the sixteen codes of gRPC, 1 to 16")

    def __init__(self, message: object = "", details: Mapping[str, Any] | None = None, *, started: bool = True) -> None:
        super().__init__(message)
        self.message = str(message)
        self._details: dict[str, Any] = dict(details or {})
        self._decode_details: Callable[[], dict[str, Any]] | None = None
        self.started = started

    @property
    def details(self) -> dict[str, Any]:
        """The map of values for programs; empty without any."""
        if self._decode_details is not None:
            self._details, self._decode_details = self._decode_details(), None
        return self._details

    @details.setter
    def details(self, details: dict[str, Any]) -> None:
        self._details, self._decode_details = details, None

    def fresh_copy(self) -> StatusError:
        """Return an equal error without a traceback, to be raised in one more place.

        An error that is raised again keeps the frames of every place where it was raised.
        """
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        return twin

    def came_from(self, side: str) -> StatusError:
        """Note the address of the side that this error has come from, and return the error itself. Penstock calls it."""
        self.origin = side
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


class Cancelled(StatusError):
    """The call was cancelled.

    By the caller, or at the callee, where the handler's own work was cancelled; or this side closed the connection.
    """

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
    """The stream brought no item for `idle_timeout` seconds.

    Set by `idle_timeout` at the consumer; the stream is cancelled.
    """

    reason = "idle_timeout"


class NotFound(StatusError):
    """The thing that was asked for does not exist.

    The message names it: an actor's address, a port, an event; and suggests a similar name.
    """

    code, reason = 5, "not_found"


class AlreadyExists(StatusError):
    """The thing that was to be created exists already."""

    code, reason = 6, "already_exists"


class PermissionDenied(StatusError):
    """The caller is known and may not do this."""

    code, reason = 7, "permission_denied"


class ResourceExhausted(StatusError):
    """A limit was reached; the message names the limit and the setting that moves it."""

    code, reason = 8, "resource_exhausted"


class MailboxFull(ResourceExhausted):
    """The actor's mailbox is full and its policy is to reject.

    With any other policy the sender waits for room, or the oldest message is dropped (`Mailbox`).
    """

    reason = "mailbox_full"


class FailedPrecondition(StatusError):
    """The system is not in the state that the call needs."""

    code, reason = 9, "failed_precondition"


class ChannelRejected(FailedPrecondition):
    """The other side refused the channel; the message is its reason."""

    reason = "channel_rejected"


class ReentrancyError(FailedPrecondition):
    """The call would wait for itself: it asks an actor that waits for this very message.

    Tell that actor instead of asking it, or ask after the handler has returned.
    """

    reason = "reentrancy"


class Aborted(StatusError):
    """The call was given up because of a conflict; trying again at a higher level may help."""

    code, reason = 10, "aborted"


class OutOfRange(StatusError):
    """The call went past a valid range."""

    code, reason = 11, "out_of_range"


class Unimplemented(StatusError):
    """No such service or method at the peer; the message suggests a name that is known there."""

    code, reason = 12, "unimplemented"


class Internal(StatusError):
    """The handler raised; the error id in the message finds the text in the peer's log."""

    code, reason = 13, "internal"


class Cause(StrEnum):
    """Why a peer is unavailable, for programs: `Unavailable.cause`. The message says the same for people, with the address."""

    #: Nothing listens at the address: connection refused, no socket file, no such name on `memory://`.
    NOTHING_LISTENS = "nothing_listens"
    #: The host name cannot be resolved.
    UNKNOWN_HOST = "unknown_host"
    #: The address gave no answer in time.
    TIMED_OUT = "timed_out"
    #: The certificate of the server is not signed by a trusted authority, or is not the pinned one.
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    #: The server takes only clients with a certificate, and refused that of this side, or its lack of one.
    CERTIFICATE_REFUSED = "certificate_refused"
    #: The TLS handshake failed otherwise; most often one of the two sides speaks no TLS.
    TLS_FAILED = "tls_failed"
    #: The address cannot be reached for another reason, which the message quotes from the system.
    UNREACHABLE = "unreachable"
    #: Listening failed: a live server has the address.
    ADDRESS_TAKEN = "address_taken"
    #: Listening failed: the address does not exist here, or this user may not use it.
    ADDRESS_UNUSABLE = "address_unusable"
    #: The peer has announced that it takes no new calls.
    DRAINING = "draining"
    #: The connection was up, or its handshake had begun, and then it was lost.
    LOST = "lost"


class Unavailable(StatusError):
    """The peer cannot be reached or takes no new calls.

    Listening raises it, too, for an address that cannot be used. `cause` says why, where that is known; it travels in
    ``details["cause"]``.
    """

    code, reason = 14, "unavailable"

    def __init__(
        self,
        message: object = "",
        details: Mapping[str, Any] | None = None,
        *,
        started: bool = True,
        cause: Cause | None = None,
    ) -> None:
        super().__init__(message, details, started=started)
        if cause is not None:
            self.details["cause"] = cause.value

    @property
    def cause(self) -> Cause | None:
        """Why the peer is unavailable; None when that is not known, or this version does not know the cause.

        In the answer of a remote handler, the peer is one that the handler wanted to reach.
        """
        cause = self.details.get("cause")
        return Cause(cause) if isinstance(cause, str) and cause in _CAUSES else None


_CAUSES = frozenset(map(str, Cause))


class ConnectionLost(Unavailable):
    """The connection went away before the call ended. The items received are valid; the end was not reached.

    `offset`: of a stream, how many items the program has received; None for a call without items.
    """

    reason = "connection_lost"
    offset: int | None = None


class ActorStopped(Unavailable):
    """The actor stopped before it answered."""

    reason = "actor_stopped"


class DataLoss(StatusError):
    """The data that arrived do not fit the declared type.

    The two sides disagree about a type; the message names the method.
    """

    code, reason = 15, "data_loss"


class Unauthenticated(StatusError):
    """The caller is not known."""

    code, reason = 16, "unauthenticated"


class ProtocolError(PenstockError):
    """A numbered rule of PROTOCOL.md was broken.

    `rule` is its number, "3.4"; `remote` is True when the peer broke it, False when this program did.
    """

    def __init__(self, rule: str, message: str, *, remote: bool = True) -> None:
        super().__init__(f"{message} (PROTOCOL.md rule {rule})")
        self.message = message
        self.rule = rule
        self.remote = remote


class ChannelClosed(PenstockError):
    """The channel is closed; nothing more can be sent or received on it."""


class StreamClosed(PenstockError):
    """This program closed this end of a stream, and used it again."""


class WrongThread(PenstockError, RuntimeError):
    """An object was used from another thread than that of its event loop; `penstock.from_thread` leads back there."""


class Busy(PenstockError):
    """A second task used an end of a stream that has one user at a time. Give each consumer a stream of its own."""


class EndOfStream(PenstockError):
    """`receive()` met the normal end of the stream: no item is left. A loop ends there without it."""


class WouldBlock(PenstockError):
    """A `*_nowait` call would have to wait: the buffer is full, or empty. Use the awaitable form to wait."""


def _tree(root: type[StatusError]) -> list[type[StatusError]]:
    return [root] + [leaf for branch in root.__subclasses__() for leaf in _tree(branch)]


_BY_REASON: dict[str, type[StatusError]] = {error.reason: error for error in reversed(_tree(StatusError)[1:])}
_BY_CODE: dict[int, type[StatusError]] = {error.code: error for error in reversed(_tree(StatusError)[1:])}


def status_error(
    code: int, reason: str, message: str, details: Callable[[], dict[str, Any]] | None, *, started: bool = True
) -> StatusError:
    """Make the error of a peer's status: the class with its reason, else with its code, else `Unknown`.

    The control characters of its message are escaped, and it is cut to 4,096 characters. details: decodes them, when they are
    first read; None for none.
    """
    cls = _BY_REASON.get(reason)
    if cls is None or cls.code != code:
        cls = _BY_CODE.get(code, Unknown)
    error = cls(peer_text(message), started=started)
    error._decode_details = details
    return error
