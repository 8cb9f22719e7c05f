"""The meaning of an exception of the program: the answer, the failure, the text or the log record that stands for it.

Penstock runs code of the program in many places: handlers, hooks, interceptors, iterables, converters of types. Any exception
of that code ends one call, and every waiter is told. A `KeyboardInterrupt` alone goes on to the event loop (`ends_the_loop`).
"""

from __future__ import annotations

import logging
import secrets
from asyncio import CancelledError
from collections.abc import Callable
from logging import LogRecord
from traceback import format_exception
from typing import Any, Final

from penstock._texts import peer_text
from penstock.errors import Aborted, Cancelled, ConnectionLost, EndOfStream, Internal, PenstockError, StatusError, Unavailable

_log = logging.getLogger("penstock.calls")

#: Characters of an error's text that travel with `expose_errors=True`.
EXPOSED_MAX: Final = 1024


def as_answer(error: BaseException, by: str = "the handler") -> StatusError | None:
    """Return the error with which the handler `by` answers its caller when it raised `error`; None for another one.

    A `StatusError` is an answer, and so is a group that holds one class of them (`sole_error`). One that came from another side
    is about that side and its own caller: ``details["upstream"]`` names it. `ConnectionLost` becomes `Unavailable`, because the
    caller's connection is alive.
    """
    answer = sole_error(error)
    if not isinstance(answer, StatusError):
        return None
    if not answer.origin:
        return Unavailable(answer.message, answer.details) if isinstance(answer, ConnectionLost) else answer
    details = {**answer.details, "upstream": answer.origin}
    if isinstance(answer, Unavailable):
        return Unavailable(f"{by} called {answer.origin}, which is not available: {answer.message}", details)
    passed = answer.fresh_copy()
    passed.details, passed.started, passed.origin = details, True, ""
    return passed


def sole_error(error: BaseException) -> BaseException:
    """Return the first error of a group that holds Penstock's errors of one class, also in groups inside; else `error` itself.

    A task group raises a group even for the one error of its one task.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    first, *others = map(sole_error, error.exceptions)
    alike = isinstance(first, PenstockError) and all(type(other) is type(first) for other in others)
    return first if alike else error


def as_failure(error: BaseException, of: str = "the producer") -> Exception:
    """Return the error with which a stream fails when its producer ended with `error`. No producer ends in silence.

    `of` names the producer. An `Exception` is the failure itself, but for the `EndOfStream` of another stream: a producer that
    stops because a stream that it reads has ended did not end its own stream normally. For any other one see `as_exception`.
    """
    if not isinstance(error, EndOfStream):
        return as_exception(error, of)
    failure = Aborted(f"{of} stopped because another stream, which it reads, had ended")
    failure.__cause__ = error
    return failure


def as_exception(error: BaseException, of: str) -> Exception:
    """Return `error` itself when it is an `Exception`, else how the work `of` has ended that was stopped by it.

    A ``sys.exit`` ends one call, and not the program: it is a `RuntimeError`. For any other one see `stopped_by`.
    """
    if isinstance(error, Exception):
        return error
    if not isinstance(error, SystemExit):
        return stopped_by(error, of)
    failure = RuntimeError(f"SystemExit: {error.code}; sys.exit() ends its call only, not the program")
    failure.__cause__ = error
    return failure


def stopped_by(error: BaseException, of: str) -> StatusError:
    """Return how the work `of` has ended that was stopped by an `error` that is not an `Exception`.

    A cancellation in its own work, or a `GeneratorExit`, is `Cancelled`; anything else is `Aborted`.
    """
    cls = Cancelled if isinstance(error, CancelledError | GeneratorExit) else Aborted
    return cls(f"{of} was stopped by {type(error).__name__} before its end")


def ends_the_loop(error: BaseException) -> bool:
    """Whether `error` is to go on to the event loop, once every waiter was told of it: an interrupt from the keyboard."""
    return isinstance(error, KeyboardInterrupt)


# ── texts and the log ────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(error: BaseException) -> str:
    """Return the text of an exception; the name of its class when it has none, or when its `__str__` raises."""
    text, _failure = _made(str, error)
    return text or type(error).__name__


def named(error: BaseException) -> str:
    """Return the class and the text of an exception: "ValueError: bad"."""
    name, text = type(error).__name__, text_of(error)
    return f"{name}: {text}" if text != name else name


def shown(value: object, by: Callable[[object], str] = repr) -> str:
    """Return the text that `by` makes of a value of the program, or its class where that raises."""
    text, _failure = _made(by, value)
    return f"<{type(value).__name__} without a {by.__name__}>" if text is None else text


def formatted(message: object, args: tuple[object, ...]) -> str:
    """Return the text of a log message as `logging` makes it; the message and the class of the error where that raises."""
    text, failure = _made(LogRecord.getMessage, LogRecord("", 0, "", 0, message, args, None))
    if text is not None:
        return text
    return f"{message if type(message) is str else type(message).__qualname__} (not formatted: {failure})"


def _made(by: Callable[[Any], str], value: object) -> tuple[str | None, str]:
    """Return ``by(value)``, which runs code of the program. Where that raises, return None and the class of the error."""
    try:
        return by(value), ""
    except BaseException as raised:
        if ends_the_loop(raised):
            raise
        return None, type(raised).__name__


def as_internal(error: BaseException, where: str, *, exposed: bool, error_id: str = "") -> Internal:
    """Return an unexpected error as the caller in another process gets it: `Internal`, with the id under which the log has it.

    where: the target, for the log and the message.
    exposed: whether the caller gets the text of the error, too.
    error_id: the id under which the log has the error already, as that of a crash; empty for an error that is logged here.
    """
    text = peer_text(named(error))  # it may quote an argument
    if not error_id:
        error_id = new_error_id()
        log_error(_log, error, "error %s in %s: %s", error_id, where, text)
    message = text[:EXPOSED_MAX] if exposed else f"{where} raised; its log has the text under {error_id}"
    return Internal(message, {"error_id": error_id})


def new_error_id() -> str:
    """Return an id for a record of the log. The caller in another process gets it in the place of the error."""
    return secrets.token_hex(4)


def log_error(log: logging.Logger, error: BaseException, message: str, *args: object) -> None:
    """Log `message` with the traceback of `error`, as ``log.error(message, *args, exc_info=error)`` does.

    The handlers see ``exc_info``. A record that is kept has the traceback as a text alone: the exception itself would keep its
    frames for as long as the record is kept, and all that they hold.
    """
    if log.isEnabledFor(logging.ERROR):
        file, line, function, _stack = log.findCaller(stacklevel=2)
        raised = (type(error), error, error.__traceback__)
        record = log.makeRecord(log.name, logging.ERROR, file, line, message, args, raised, function)
        record.exc_text = "".join(format_exception(error)).rstrip()
        try:
            log.handle(record)
        finally:
            record.exc_info = None
