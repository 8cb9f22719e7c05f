"""The lab: a virtual clock, a simulated network and a source verifier, for our tests and for yours.

=====================  ==============================================================================================
`run`                  run a coroutine on a clock that jumps instead of waiting; `Deadlock` when it would wait for ever
`VirtualClockLoop`     the same as an event loop, for pytest-asyncio and friends
`SimulatedNetwork`     hosts under ``sim://``, with seeded delays, cuts, partitions, half-open connections
`memory_pair`          connects two receivers of bytes directly
`verify_source`        checks the rules of a stream on any source: `SourceCase`, `RuleBroken`, `Verified`
=====================  ==============================================================================================
"""

from __future__ import annotations

from penstock.testing._clock import Deadlock, VirtualClockLoop, run
from penstock.testing._network import SimulatedNetwork
from penstock.testing._rules import RuleBroken, SourceCase
from penstock.testing._verify import Verified, verify_source
from penstock.transports import memory_links as memory_pair

__all__ = [
    "Deadlock",
    "RuleBroken",
    "SimulatedNetwork",
    "SourceCase",
    "Verified",
    "VirtualClockLoop",
    "memory_pair",
    "run",
    "verify_source",
]
