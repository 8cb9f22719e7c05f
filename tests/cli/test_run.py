"""Exit codes, the one line of an error, and the two signals."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from penstock import errors
from penstock.cli import _run as running


def test_every_status_has_an_exit_code_of_its_own():
    codes = {running.exit_code(kind()) for kind in vars(errors).values() if _is_status(kind)}
    assert codes == set(range(65, 81))


def _is_status(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.StatusError) and kind is not errors.StatusError


def test_what_is_no_status_fails():
    assert running.exit_code(errors.ProtocolError("1.1", "odd")) == running.FAILED


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.NotFound("no such file"), "NotFound: no such file"),
        (errors.IdleTimeout("quiet"), "IdleTimeout: quiet; give it more time with --idle-timeout"),
        (errors.DeadlineExceeded("late"), "DeadlineExceeded: late; give it more time with --timeout"),
        (errors.Aborted(), "Aborted: no reason was given"),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(error, line, monkeypatch):
    monkeypatch.setattr(running.click, "style", lambda text, **_style: text)
    assert running.explain(error) == line


def test_details_are_shown_except_for_a_cause_which_the_message_has_in_words():
    lost = errors.Unavailable("nothing listens", {"port": 7}, cause=errors.Cause.NOTHING_LISTENS)
    assert running.explain(lost).endswith(": nothing listens {'port': 7}")
    assert "{'cause': 'of mine'}" in running.explain(errors.NotFound("no", {"cause": "of mine"}))


def test_text_of_a_peer_neither_breaks_the_line_nor_steers_the_terminal():
    assert running.one_line("a\nb\x1b[2Jc\u202ed\u0085é→") == "a\\nb\\x1b[2Jc\\u202ed\\x85é→"


def test_the_first_signal_asks_and_the_second_quits(monkeypatch):
    asked, quit_with = [], []
    monkeypatch.setattr(os, "_exit", quit_with.append)
    interrupt = running.Interrupt(lambda: asked.append(1))
    interrupt.take(signal.SIGINT)
    assert (asked, quit_with, interrupt.number) == ([1], [], signal.SIGINT)
    interrupt.take(signal.SIGTERM)
    assert quit_with == [143]


def test_a_signal_cancels_the_work_and_its_clean_up_runs():
    cleaned = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)
        return 0

    assert running.run(work()) == 143
    assert cleaned


def test_a_signal_may_only_ask():
    stopping = asyncio.Event()

    async def work() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        await stopping.wait()
        return 0

    assert running.run(work(), on_signal=stopping.set) == 0


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(errors.NotFound("gone"), 69, "gone"), (BrokenPipeError(), 141, ""), (errors.ProtocolError("1.1", "odd"), 1, "odd")],
)
def test_an_error_becomes_an_exit_code(error, code, told, capsys):
    async def work() -> int:
        raise error

    assert running.run(work()) == code
    assert told in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden():
    async def work() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        running.run(work())


def test_a_stop_that_takes_long_is_noted(monkeypatch, capsys):
    """FAULTS F8: `penstock server` drained without a word."""
    monkeypatch.setattr(running, "SLOW_STOP_S", 0.0)

    async def stop(seconds_s: float) -> None:
        with running.noting_a_slow_stop() as begin:
            await asyncio.sleep(0)
            assert capsys.readouterr().err == ""
            begin()
            await asyncio.sleep(seconds_s)

    asyncio.run(stop(0.01))
    assert capsys.readouterr().err == f"penstock: {running.STILL_STOPPING}\n"
    monkeypatch.setattr(running, "SLOW_STOP_S", 60.0)
    asyncio.run(stop(0.0))
    assert capsys.readouterr().err == ""
