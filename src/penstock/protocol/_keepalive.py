"""When a silent peer is sent `PING`, and when it is lost (PROTOCOL.md §7). It never reads a clock: times are arguments.

A peer that was silent for `keepalive_s` is sent `PING`; one that was silent for twice that is lost. Each `PONG` measures a
round trip. All times are seconds on one steady clock.
"""

from __future__ import annotations

from typing import Final, Literal

#: The round trip that is assumed before the first measurement: a local network.
ASSUMED_ROUND_TRIP_S: Final = 0.001
#: The shortest round trip counts, because queues on the way only make one longer. It grows by this factor with each
#: measurement; otherwise a path that has become longer would never be noticed.
DECAY: Final = 1.1
#: Round trips that are measured when a connection is new; the first of them has the handshake in it. The others are measured
#: beside what is written anyway: a server to which a thousand clients come back writes a `PING` to each, and not four.
PROBES: Final = 4


class KeepAlive:
    """The clockwork of one connection: call `check` at `next_timeout`, and tell it of each arrival.

    `ready` says that the handshake is over; `round_trip_s` is the shortest recent round trip; `probes` says that a `PING` is to
    leave with the next write of something else.
    """

    __slots__ = (
        "_deadline_s",
        "_handshake_s",
        "_heard_at_s",
        "_interval_s",
        "_measured",
        "_number",
        "_pinged_at_s",
        "probes",
        "ready",
        "round_trip_s",
    )

    def __init__(self, now_s: float, *, handshake_timeout_s: float, keepalive_s: float) -> None:
        self._interval_s = keepalive_s
        self._handshake_s = handshake_timeout_s
        self._number = 0
        self.round_trip_s = ASSUMED_ROUND_TRIP_S
        self.begin(now_s)

    def begin(self, now_s: float) -> None:
        """Watch a new link, from its handshake on."""
        self._deadline_s = now_s + self._handshake_s
        self._heard_at_s = now_s
        self._pinged_at_s: float | None = None
        self._measured = 0
        self.ready = self.probes = False

    @property
    def patience_s(self) -> float:
        """How long the peer may be silent, in seconds."""
        return 2 * self._interval_s if self.ready else self._handshake_s

    @property
    def measured_s(self) -> float | None:
        """The shortest recent round trip, in seconds; None before the first one is measured on this link."""
        return self.round_trip_s if self._measured else None

    def silent_s(self, now_s: float) -> float:
        """Return for how long the peer has been silent, in seconds."""
        return max(0.0, now_s - self._heard_at_s)

    def handshake_done(self, now_s: float) -> None:
        """Begin to watch for silence: the peer's `HELLO` has arrived."""
        self.ready = True
        self._heard_at_s = now_s

    def heard(self, now_s: float) -> None:
        """Note that bytes of the peer arrived: it is alive."""
        self._heard_at_s = now_s

    def next_ping(self, now_s: float) -> int:
        """Return the number for a `PING` that leaves now."""
        self.probes = False
        self._number += 1
        self._pinged_at_s = now_s
        return self._number

    def pong_arrived(self, number: int, now_s: float) -> None:
        """Measure the round trip of a `PONG`. An unknown number is ignored."""
        if self._pinged_at_s is None or number != self._number:
            return
        measured, self._pinged_at_s = max(now_s - self._pinged_at_s, 1e-6), None
        self._measured += 1
        self.round_trip_s = measured if self._measured == 1 else min(measured, self.round_trip_s * DECAY)
        self.probes = self._measured < PROBES

    def next_timeout(self) -> float:
        """Return the time at which `check` is to be called next."""
        if not self.ready:
            return self._deadline_s
        pinged_at_s = self._unanswered_since()
        return (self._heard_at_s if pinged_at_s is None else pinged_at_s) + self._interval_s

    def check(self, now_s: float) -> Literal["fine", "ping", "lost"]:
        """Return the step that is due: none ("fine"), a `PING`, or the end of the connection.

        A peer is never lost without a `PING`: this side may have been suspended, and the peer's bytes may still be unread.
        """
        if not self.ready:
            return "lost" if now_s >= self._deadline_s else "fine"
        pinged_at_s = self._unanswered_since()
        if pinged_at_s is not None:
            return "lost" if now_s >= pinged_at_s + self._interval_s else "fine"
        return "ping" if now_s >= self._heard_at_s + self._interval_s else "fine"

    def _unanswered_since(self) -> float | None:
        """Return the time of the last `PING` when no byte has arrived since, else None."""
        pinged_at_s = self._pinged_at_s
        return pinged_at_s if pinged_at_s is not None and pinged_at_s > self._heard_at_s else None
