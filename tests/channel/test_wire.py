"""The events of one end of a channel, without a wire: the state that follows, and the observer."""

from __future__ import annotations

import pytest

from penstock.channel._wire import ChannelEvents, Opening
from penstock.errors import ActorStopped, ChannelClosed, ChannelRejected


def events_of(*, opener: bool, opened: bool = False) -> ChannelEvents:
    events = ChannelEvents(Opening("id", "producer", "consumer", None), opener=opener)
    if opened:
        events.opened("welcome")
    return events


@pytest.mark.parametrize(
    ("opener", "opened", "error", "state", "outcome"),
    [
        (True, True, ActorStopped("gone"), "lost", ActorStopped),
        (False, True, ActorStopped("gone"), "lost", ActorStopped),
        (True, True, ChannelRejected("another channel"), "lost", ChannelRejected),
        (True, False, ChannelRejected("busy"), "rejected", ChannelRejected),
        (True, False, ActorStopped("gone"), "lost", ActorStopped),
        (False, False, ActorStopped("gone"), "closed", ChannelClosed),
    ],
)
def test_a_failure_of_the_other_side_means_what_the_state_makes_of_it(opener, opened, error, state, outcome):
    events = events_of(opener=opener, opened=opened)
    events.failed(error)
    assert (events.life.state, type(events.life.refusal())) == (state, outcome)
    assert str(error) in events.life.reason


def test_both_directions_have_ended_when_the_second_one_has():
    events = events_of(opener=True, opened=True)
    assert not events.half_closed()
    events.life.end_sending()
    assert events.half_closed()
    events.completed()
    assert (events.life.state, events.life.reason) == ("closed", "")


def test_the_acceptance_is_kept_for_the_program():
    events = events_of(opener=True)
    assert (events.accepted, events.life.state) == (None, "opening")
    events.opened({"hello": "you"})
    assert (events.accepted, events.life.state) == ({"hello": "you"}, "open")


@pytest.mark.parametrize(("ending", "kind"), [("rejected", "channel_rejected"), ("closed", "channel_closed")])
def test_the_observer_is_told_of_the_first_ending_only(ending, kind):
    events, seen = events_of(opener=True), []
    events.observer = lambda *event: seen.append(event)
    assert events.ended(ending, "first", ChannelClosed("first"))
    assert not events.ended("lost", "second", ChannelClosed("second"))
    assert [(told, data["channel"], data["reason"]) for told, data in seen] == [(kind, "id", "first")]


def test_the_observer_is_told_of_each_message_with_its_direction():
    events, seen = events_of(opener=True), []
    events.passed("in", ["before there is an observer"])
    events.observer = lambda _kind, data: seen.append((data["direction"], data["message"]))
    events.passed("in", [1, 2])
    events.passed("out", [3])
    assert seen == [("in", 1), ("in", 2), ("out", 3)]
