"""From a coroutine to an exit code: the event loop, Ctrl-C and SIGTERM, and the text of an error."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, cast

import click

from penstock._loop import loop_factory
from penstock._texts import one_line, peer_text
from penstock.errors import (
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    IdleTimeout,
    PenstockError,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
)

OK: Final = 0
#: Any failure without a code of its own.
FAILED: Final = 1
#: The command line is wrong.
USAGE: Final = 2
#: A comparison failed: of a history with its hashes, or of a replay with the recorded outcomes.
DIFFERS: Final = 3
#: A replay could not compare every message, and found no difference in the others.
INCOMPLETE: Final = 4
#: A replay compared no message at all.
NOTHING: Final = 5
#: A call that ended with a status: 64 + its code, so 65 (cancelled) to 80 (unauthenticated).
STATUS: Final = 64
#: Ended by a signal: 128 + its number, as in every shell. 130 is Ctrl-C, 141 a closed pipe, 143 SIGTERM.
SIGNAL: Final = 128
INTERRUPTED: Final = SIGNAL + 2
BROKEN_PIPE: Final = SIGNAL + 13

#: How long a program may stop without a word.
SLOW_STOP_S: Final = 1.0
#: Writing to an output that the shell closed (`>&-`).
CLOSED_OUTPUT: Final = "standard output is closed; >/dev/null throws the output away"
STILL_STOPPING: Final = "still stopping; a second signal stops at once"

#: Advice for errors whose message does not give any. The first entry that fits counts.
_ADVICE: Final[tuple[tuple[type[StatusError], str], ...]] = (
    (ConnectionLost, "the printed output is valid but incomplete"),
    (IdleTimeout, "give it more time with --idle-timeout"),
    (DeadlineExceeded, "give it more time with --timeout"),
    (Cancelled, "the other side cancelled it; its log may say why"),
    (ResourceExhausted, "ask for less at a time, or try again later"),
    (Unauthenticated, "show credentials by `penstock --token-file PATH …`, by -m key=value, or by --cert and --key"),
)


class Unusable(click.ClickException):
    """An argument or option cannot be used; the message says why, and names an alternative."""

    exit_code = USAGE


class Interrupt:
    """SIGINT and SIGTERM: the first one calls `on_first`, the second one exits at once."""

    def __init__(self, on_first: Callable[[], object]) -> None:
        self.number: int | None = None
        self._on_first = on_first

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle both signals; where the loop cannot, Ctrl-C raises `KeyboardInterrupt`."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self.take, number)
            except NotImplementedError:
                return

    def take(self, number: int) -> None:
        """Handle a signal."""
        if self.number is not None:
            os._exit(SIGNAL + number)
        self.number = number
        self._on_first()


def run(work: Coroutine[Any, Any, int], *, on_signal: Callable[[], object] | None = None) -> int:
    """Run `work` and return its exit code, or that of the error, signal or broken pipe that ended it.

    An error is printed to stderr. `on_signal` is called at the first signal; the default cancels `work`.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_until_signal(work, on_signal))
    except PenstockError as error:
        print_notice(explain(error))
        return exit_code(error)
    except OSError as error:
        return output_error(error)


def output_error(error: OSError) -> int:
    """Return the exit code of an `OSError`, and print it: a broken pipe needs no word, a full disk and a closed output do."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    print_notice(CLOSED_OUTPUT if error.errno == errno.EBADF else one_line(str(error)))
    return FAILED


def fill_standard_descriptors() -> None:
    """Open the descriptors that the shell closed (`<&-`); otherwise the first socket would become standard input.

    An input is empty then. Writing to an output fails, because what a command prints must not be lost in silence.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest free number


async def _until_signal(work: Coroutine[Any, Any, int], on_signal: Callable[[], object] | None) -> int:
    """Run `work`; a cancellation that a signal caused becomes the exit code of the signal."""
    task = this_task()
    interrupt = Interrupt(on_signal or task.cancel)
    interrupt.watch(asyncio.get_running_loop())
    try:
        return await work
    except asyncio.CancelledError:
        if interrupt.number is None:
            raise
        return SIGNAL + interrupt.number


def this_task() -> asyncio.Task[Any]:
    """Return the current task."""
    return cast("asyncio.Task[Any]", asyncio.current_task())


def exit_code(error: Exception) -> int:
    """Return the exit code of an error that ended a command."""
    return STATUS + error.code if isinstance(error, StatusError) else FAILED


def explain(error: Exception) -> str:
    """Return one line with the error and advice."""
    name = click.style(type(error).__name__, fg="red", bold=True)
    message = one_line(str(error)) or "no reason was given"
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    if isinstance(error, StatusError) and error.details.keys() == {"error_id"}:
        message += f" (the log of the server has the details, as error {one_line(str(error.details['error_id']))})"
    elif isinstance(error, StatusError) and (details := _details_of(error)):
        message += f" {peer_text(str(details))}"
    return "; ".join([f"{name}: {message}", *getattr(error, "__notes__", [advice] if advice else [])])


def _details_of(error: StatusError) -> dict[str, Any]:
    """Return the details that the message does not say in words; the cause it does."""
    words = {"cause"} if isinstance(error, Unavailable) and error.cause is not None else set()
    return {name: value for name, value in error.details.items() if name not in words}


def harmless_json(text: str) -> str:
    """Return JSON that cannot steer a terminal: all control characters are escaped, not only those below U+0020."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def print_traceback(error: StatusError) -> None:
    """Print the traceback of the user's own code to stderr, when the error carries one, and remove it from the details."""
    lines = str(error.details.pop("traceback", "")).splitlines()
    print(*map(one_line, lines), sep="\n", end="\n" if lines else "", file=sys.stderr)


@contextmanager
def noting_a_slow_stop() -> Iterator[Callable[[], None]]:
    """Yield a function to call when the program begins to stop: a stop that takes longer than `SLOW_STOP_S` is noted."""
    with ExitStack() as stack:

        def begin() -> None:
            loop = asyncio.get_running_loop()
            stack.callback(loop.call_later(SLOW_STOP_S, print_notice, STILL_STOPPING).cancel)

        yield begin


def print_notice(text: str) -> None:
    """Print a line to stderr, in colour only on a terminal."""
    click.echo(f"penstock: {text}", file=sys.stderr)
