"""Each fault of the library that the model is there for is found when it is put in on purpose."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from penstock.protocol import Connection
from penstock.protocol._outbox import Outbox
from penstock.protocol._sequence import Sequence
from penstock.retention import RemoteFollower
from penstock.session import LastingSession
from tests.soak.play import play
from tests.soak.program import program
from tests.soak.shrink import kind_of

#: Programs that are played until one of them finds the fault.
PROGRAMS = 60


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def found(first: int = 0) -> set[str]:
    """Return the kinds of faults that the first program with a fault has met, from a seed on that is known to be near one."""
    for seed in range(first, first + PROGRAMS):
        wrongs = play(program(seed)).wrongs
        if wrongs:
            return {kind_of([wrong]) for wrong in wrongs}
    return set()


def changed(monkeypatch: pytest.MonkeyPatch, cls: type[Any], name: str, change: Callable[..., Any]) -> None:
    """Replace a method by `change`, whose first argument is the method as it was."""
    before = getattr(cls, name)
    monkeypatch.setattr(cls, name, lambda self, *args, **kwargs: change(before, self, *args, **kwargs))


def test_frames_that_are_not_sent_again_are_lost(monkeypatch):
    changed(monkeypatch, Sequence, "repeat", lambda before, self, position: before(self, position)[1:])
    assert found()


def test_frames_that_are_sent_twice_after_a_cut_are_found(monkeypatch):
    changed(monkeypatch, Sequence, "repeat", lambda before, self, position: 2 * before(self, position))
    assert found()


def test_credit_that_is_not_given_is_found_as_a_flow_that_hangs(monkeypatch):
    monkeypatch.setattr(Outbox, "owe_credit", lambda self, stream: None)
    assert found() & {"hung", "outcome"}


def test_a_sender_that_ignores_its_credit_is_found(monkeypatch):
    changed(monkeypatch, Connection, "consume", lambda before, self, wire, items, size: before(self, wire, 2 * items, size))
    assert found() & {"bound", "credit", "outcome", "raised"}


def test_a_server_that_takes_no_session_up_again_is_found(monkeypatch):
    monkeypatch.setattr(LastingSession, "resume", lambda self, hello: (9, "on purpose"))
    assert "outcome" in found()


def test_a_session_that_is_never_let_go_is_found(monkeypatch):
    kept = []
    changed(monkeypatch, LastingSession, "_detach", lambda before, self: (kept.append(self), before(self)))
    assert "left" in found()


def test_a_follower_that_begins_anew_an_item_too_late_is_found(monkeypatch):
    def late(before, self):
        if self._id is not None:
            self._next += 1
        return before(self)

    changed(monkeypatch, RemoteFollower, "_begin_call", late)
    assert found() & {"lost", "outcome"}


def test_a_follower_that_does_not_go_on_at_the_next_session_is_found(monkeypatch):
    monkeypatch.setattr(RemoteFollower, "_goes_on", lambda self, stream, error: False)
    assert "outcome" in found()


def test_a_follower_that_keeps_its_call_after_its_loop_is_found(monkeypatch):
    monkeypatch.setattr(RemoteFollower, "_on_loop_left", lambda self: None)
    assert "left" in found()


def test_a_session_that_does_not_notice_that_it_goes_on_is_found(monkeypatch):
    monkeypatch.setattr(LastingSession, "_go_on", lambda self: None)
    assert found(40)
