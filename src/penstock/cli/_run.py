"""From a coroutine to an exit code: the event loop, Ctrl-C and SIGTERM, and what an error looks like. It knows no command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import click

from penstock.cli._loop import loop_factory
from penstock.errors import (
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    IdleTimeout,
    PenstockError,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
)

OK: Final = 0
#: What is none of the below.
FAILED: Final = 1
#: The command cannot be run as it was given.
USAGE: Final = 2
#: What was compared is not the same: a history and its hashes, a replay and what was recorded.
DIFFERS: Final = 3
#: A replay could not compare everything, and what it compared is the same.
INCOMPLETE: Final = 4
#: A call that ended with a status: 64 + its code, so 65 (cancelled) to 80 (unauthenticated).
STATUS: Final = 64
#: Ended by a signal: 128 + its number, as in every shell. 130 is Ctrl-C, 141 a closed pipe, 143 SIGTERM.
SIGNAL: Final = 128
INTERRUPTED: Final = SIGNAL + 2
BROKEN_PIPE: Final = SIGNAL + 13

#: What to do about an outcome whose message does not say it. The first one that fits counts.
_ADVICE: Final[tuple[tuple[type[StatusError], str], ...]] = (
    (ConnectionLost, "what was printed is valid, the end was not reached"),
    (IdleTimeout, "give it more time with --idle-timeout"),
    (DeadlineExceeded, "give it more time with --timeout"),
    (Cancelled, "the other side gave it up; its log may say why"),
    (ResourceExhausted, "ask for less at a time, or try again later"),
    (Unauthenticated, "pass what proves who you are with -m key=value, or --cert and --key"),
)


class Unusable(click.ClickException):
    """What was given cannot be used; the message says why and what can."""

    exit_code = USAGE


class Interrupt:
    """SIGINT and SIGTERM: the first one asks, the second one quits at once."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self.number: int | None = None
        self._ask = ask

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take both signals; where loops cannot, Ctrl-C stays what Python makes of it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self.take, number)
            except NotImplementedError:
                return

    def take(self, number: int) -> None:
        """A signal arrived."""
        if self.number is not None:
            os._exit(SIGNAL + number)
        self.number = number
        self._ask()


def run(work: Coroutine[Any, Any, int], *, ask: Callable[[], object] | None = None) -> int:
    """Run `work` and return its exit code, or that of the error, signal or broken pipe that ended it, told on stderr.

    `ask` is called at the first signal; by default `work` is cancelled.
    """
    _fill_standard_descriptors()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_until_signal(work, ask))
    except BrokenPipeError:
        return BROKEN_PIPE
    except PenstockError as error:
        tell(explain(error))
        return exit_code(error)
    except OSError as error:  # what is written to may be full
        tell(one_line(str(error)))
        return FAILED


def _fill_standard_descriptors() -> None:
    """Open what the shell closed (`<&-`), or the first socket would become standard input."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


async def _until_signal(work: Coroutine[Any, Any, int], ask: Callable[[], object] | None) -> int:
    task = this_task()
    interrupt = Interrupt(ask or task.cancel)
    interrupt.watch(asyncio.get_running_loop())
    try:
        return await work
    except asyncio.CancelledError:
        if interrupt.number is None:
            raise
        return SIGNAL + interrupt.number


def this_task() -> asyncio.Task[Any]:
    """Return the task that runs here."""
    return cast("asyncio.Task[Any]", asyncio.current_task())


def exit_code(error: Exception) -> int:
    """Return the exit code of an error that ended a command."""
    return STATUS + error.code if isinstance(error, StatusError) else FAILED


def explain(error: Exception) -> str:
    """Say in one line what happened and what to do."""
    name = click.style(type(error).__name__, fg="red", bold=True)
    message = one_line(str(error)) or "no reason was given"
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    if isinstance(error, StatusError) and error.details.keys() == {"error_id"}:
        message += f" (the log over there has all of it, as error {one_line(str(error.details['error_id']))})"
    elif isinstance(error, StatusError) and (details := {k: v for k, v in error.details.items() if k != "cause"}):
        message += f" {one_line(str(details))}"
    return "; ".join([f"{name}: {message}", *getattr(error, "__notes__", [advice] if advice else [])])


def one_line(text: str) -> str:
    """Return text that a peer wrote so that it can neither break the line nor steer the terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def harmless_json(text: str) -> str:
    """Return JSON in which nothing steers a terminal: JSON itself escapes only what is below U+0020."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def tell(text: str) -> None:
    """Write a line to stderr, in colour only where a person reads it."""
    click.echo(f"penstock: {text}", file=sys.stderr)
