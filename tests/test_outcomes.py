"""The meaning of an exception of the program: what it becomes for its waiters, its text, and its record in the log."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from penstock._outcomes import as_exception, as_failure, ends_the_loop, log_error, named, shown, text_of
from penstock.errors import Aborted, Cancelled, EndOfStream, StreamCancelled


class Odd(BaseException):
    """Neither an `Exception` nor known to anybody."""


class Mute(Exception):
    """An exception whose text raises."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised

    def __str__(self) -> str:
        raise self.raised

    __repr__ = __str__


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SystemExit(3), RuntimeError),
        (asyncio.CancelledError(), Cancelled),
        (GeneratorExit(), Cancelled),
        (KeyboardInterrupt(), Aborted),
        (Odd(), Aborted),
        (BaseExceptionGroup("g", [Odd()]), Aborted),
    ],
)
def test_an_exception_that_is_none_of_a_program_s_errors_becomes_one(error, kind):
    assert type(as_exception(error, "the work")) is kind
    assert type(as_failure(error, "the work")) is kind
    assert ends_the_loop(error) == isinstance(error, KeyboardInterrupt)


@pytest.mark.parametrize("error", [ValueError("bad"), StreamCancelled("left"), ExceptionGroup("g", [KeyError()])])
def test_any_other_exception_is_the_failure_itself(error):
    assert as_exception(error, "the work") is error
    assert as_failure(error, "the work") is error


def test_the_end_of_another_stream_is_an_error_and_a_failure():
    end = EndOfStream()
    assert as_exception(end, "the work") is end
    assert isinstance(as_failure(end, "the work"), Aborted)


@pytest.mark.parametrize("raised", [AttributeError("text"), SystemExit(3), Odd()])
def test_a_text_that_raises_is_the_name_of_the_class(raised):
    error = Mute(raised)
    assert (text_of(error), named(error), shown(error)) == ("Mute", "Mute", "<Mute without a repr>")
    assert (text_of(ValueError()), named(ValueError()), named(ValueError("bad"))) == (
        "ValueError",
        "ValueError",
        "ValueError: bad",
    )


def test_an_interrupt_while_a_text_is_made_goes_on():
    with pytest.raises(KeyboardInterrupt):
        text_of(Mute(KeyboardInterrupt()))


def test_a_record_of_the_log_has_the_traceback_as_a_text_and_keeps_no_frame(caplog):
    class Large:
        """An argument of a handler."""

    def fail(_argument: object) -> None:
        raise ValueError("bad")

    large = Large()
    kept = weakref.ref(large)
    try:
        fail(large)
    except ValueError as error:
        log_error(logging.getLogger("penstock.test"), error, "%s failed", "it")
    del large
    gc.collect()
    assert kept() is None
    (record,) = caplog.records
    assert (record.getMessage(), record.levelname, record.filename) == ("it failed", "ERROR", "test_outcomes.py")
    assert record.exc_info is None
    assert record.exc_text is not None
    assert record.exc_text.startswith("Traceback")
    assert record.exc_text.endswith("ValueError: bad")
    assert "ValueError: bad" in logging.Formatter().format(record)


def test_the_traceback_of_an_exception_without_a_text_is_logged(caplog):
    log_error(logging.getLogger("penstock.test"), Mute(AttributeError("text")), "it failed")
    (record,) = caplog.records
    assert "Mute" in record.exc_text


def test_a_logger_that_is_off_logs_nothing(caplog):
    with caplog.at_level(logging.CRITICAL, "penstock.test"):
        log_error(logging.getLogger("penstock.test"), ValueError("bad"), "it failed")
    assert not caplog.records


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("penstock.test")


def test_a_handler_of_the_log_sees_the_exception_and_a_kept_record_has_its_text(log, caplog):
    seen: list[object] = []

    class Reporter(logging.Handler):
        """A handler as that of an error tracker, which looks at the exception."""

        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.exc_info[1])

    reporter, error = Reporter(), ValueError("bad")
    log.addHandler(reporter)
    try:
        log_error(log, error, "%s failed", "it")
    finally:
        log.removeHandler(reporter)
    assert seen == [error]
    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info, record.exc_text) == ("it failed", None, "ValueError: bad")
    assert record.filename == "test_outcomes.py"


def test_a_handler_that_raises_leaves_no_exception_in_the_record(log, caplog):
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the log is full")

    broken = Broken()
    log.addHandler(broken)
    try:
        with pytest.raises(RuntimeError, match="full"):
            log_error(log, ValueError("bad"), "it failed")
    finally:
        log.removeHandler(broken)
    assert [record.exc_info for record in caplog.records] in ([], [None])
