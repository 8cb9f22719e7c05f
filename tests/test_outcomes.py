"""What an exception of the program leaves in the log."""

from __future__ import annotations

import logging

import pytest

from penstock._outcomes import log_error


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
