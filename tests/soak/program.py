"""Programs: what a seed does to a small world, as a list of actions that can be taken one by one.

All choices are made here, when the program is made. So an action that is left out changes no other one, and a program that
fails can be shrunk (`shrink.py`) and taken again from its text.
"""

from __future__ import annotations

import random
from typing import Any, Final, NamedTuple

#: What a client may do, by how often.
FLOWS: Final = {
    "unary": 2,
    "watch": 3,
    "record": 3,
    "trade": 3,
    "back": 2,
    "asks": 2,
    "tells": 2,
    "actor stream": 2,
    "actor requests": 2,
    "channel": 3,
    "port": 2,
    "source": 2,
    "sink": 2,
    "relay": 1,
    "crowd": 1,
    "unclaimed": 1,
    "retained": 3,
}
#: Faults through which everything goes on: of these programs nothing is excused.
CUTS: Final = {"cut": 6, "cut byte": 6, "bad line": 12, "silence": 2, "partition": 2, "hold": 2, "stall": 1, "weather": 2}
#: Faults that may end some flows, with a typed outcome and a true beginning.
LOSSES: Final = {
    "outage": 2,
    "restart": 2,
    "drain": 2,
    "clock jump": 1,
    "leave": 1,
    "two resumes": 2,
    "bad token": 2,
    "crash": 2,
    "storm": 2,
    "newer peer": 2,
    "vandal": 1,
}
CLIENTS: Final = ("ann", "bob", "cyd")
#: No fault is later than this, in virtual seconds.
SPAN_S: Final = 6.0


class Action(NamedTuple):
    """One thing that happens, at a time. The words of `given` depend on its name."""

    name: str
    at_s: float
    given: dict[str, Any]

    def __repr__(self) -> str:
        return f"({self.name!r}, {self.at_s}, {self.given})"


class Program(NamedTuple):
    """sky: the network (`SimulatedNetwork`). limits: `Settings` of both sides."""

    seed: int
    sky: dict[str, Any]
    limits: dict[str, Any]
    actions: tuple[Action, ...]

    def text(self) -> str:
        """Return the program as text, a line for each action."""
        lines = [f"  {action!r}," for action in self.actions]
        return "\n".join([f"seed {self.seed}", f"sky {self.sky}", f"limits {self.limits}", "actions [", *lines, "]"])


def program(seed: int) -> Program:
    """Make the program of a seed. Those of even seeds have cuts alone, so nothing in them may fail."""
    chance = random.Random(seed)
    cuts_alone = seed % 2 == 0
    clients = CLIENTS[: chance.choice([1, 1, 2, 3])]
    actions = [_flow(chance, clients, number, cuts_alone=cuts_alone) for number in range(chance.randint(2, 7))]
    kinds = CUTS if cuts_alone else {**CUTS, **LOSSES}
    actions += [_fault(chance, clients, kinds) for _ in range(chance.randint(1, 6))]
    return Program(seed, _sky(chance), _limits(chance), tuple(sorted(actions, key=lambda action: action.at_s)))


def _pick(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices([*weights], [*weights.values()])[0]


def _moment(chance: random.Random) -> float:
    return round(chance.choice([0.0, chance.uniform(0, 0.5), chance.uniform(0, SPAN_S)]), 4)


def _flow(chance: random.Random, clients: tuple[str, ...], number: int, *, cuts_alone: bool) -> Action:
    kind = _pick(chance, FLOWS)
    count = chance.choice([0, 1, 2, 5, 10, 20, 40])
    ending = "whole" if chance.random() < (0.8 if cuts_alone else 0.5) else chance.choice(_endings(kind))
    given = {
        "number": number,
        "kind": kind,
        "client": chance.choice(clients),
        "count": count,
        "size": chance.choice([1, 8, 8, 64, 1000, 20_000]),
        "pause_s": chance.choice([0.0, 0.0, 0.01, 0.2]),
        "slow_s": chance.choice([0.0, 0.0, 0.0, 0.05, 0.3]),
        "buffer": chance.choice([None, None, 1, 2, 5, 100]),
        "ending": ending,
        "at": chance.randint(0, max(count, 1)),
        "to": chance.choice(clients),
    }
    return Action("flow", _moment(chance), given)


def _endings(kind: str) -> list[str]:
    endings = ["cancel", "both"] if kind == "retained" else ["cancel", "deadline", "both"]
    if kind in {"unary", "watch", "record", "trade", "back", "retained"}:
        endings.append("refused")
    if kind in {"watch", "trade", "actor stream", "source", "port", "relay", "retained"}:
        endings += ["leave", "break"]
    if kind in {"watch", "record", "actor stream", "actor requests", "source", "retained"}:
        endings += ["fail", "crash", "bad"]
    return endings


def _fault(chance: random.Random, clients: tuple[str, ...], kinds: dict[str, int]) -> Action:
    given = {
        "client": chance.choice(clients),
        "down": chance.random() < 0.5,
        "bytes": chance.choice([chance.randint(0, 60), chance.randint(1, 600), chance.randint(1, 40_000)]),
        "for_s": round(chance.choice([chance.uniform(0.01, 1), chance.uniform(1, 4)]), 3),
        "times": chance.randint(1, 30),
        "seed": chance.randint(0, 2**32),
    }
    return Action(_pick(chance, kinds), _moment(chance), given)


def _sky(chance: random.Random) -> dict[str, Any]:
    return {
        "latency_s": chance.choice([(0.0, 0.0), (0.001, 0.001), (0.01, 0.03), (0.1, 0.3)]),
        "split": chance.choice([0.0, 0.0, 0.3, 1.0]),
        "coalesce": chance.choice([0.0, 0.0, 0.4]),
        "bandwidth_bytes_s": chance.choice([None, None, 125_000, 1_250_000]),
        "loss": chance.choice([0.0, 0.0, 0.05]),
    }


def _limits(chance: random.Random) -> dict[str, Any]:
    return {
        "keepalive_s": chance.choice([1.0, 2.0, 4.0]),
        "window_items": chance.choice([1, 2, 256]),
        "window_bytes": chance.choice([1, 1000, 256 * 1024]),
        "max_frame_bytes": chance.choice([16 * 1024, 256 * 1024]),
        "compression": chance.choice(["none", "none", "none", "deflate"]),
    }
