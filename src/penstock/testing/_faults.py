"""The faults of a simulated network: random delays and pieces, drawn from a seed, and partitions between hosts."""

from __future__ import annotations

import asyncio
import itertools
import random

#: Into how many pieces one write is split at most.
PIECES_MAX = 8
#: On a line of little bandwidth bytes arrive while others still wait: a large write arrives in pieces of this size, at most.
SEGMENT_BYTES_MAX = 16 * 1024
#: How long TCP waits, at least, before it sends a lost segment again; each further loss of the segment doubles it (RFC 6298,
#: with the least time of Linux).
RETRANSMIT_S = 0.2
#: A packet that is drawn as lost so often in a row arrives all the same.
LOSSES_MAX = 6


class Packet:
    """Bytes that arrive together, at a time of the loop's clock. No bytes mean the end of the connection."""

    __slots__ = ("arrives_at", "data")

    def __init__(self, data: memoryview, arrives_at: float) -> None:
        self.data = data
        self.arrives_at = arrives_at


class Faults:
    """Delays, pieces and partitions, drawn from one seed. For the parameters see `SimulatedNetwork`."""

    def __init__(
        self,
        seed: int,
        *,
        latency_s: tuple[float, float],
        bandwidth_bytes_s: float | None,
        split: float,
        coalesce: float,
        loss: float,
    ) -> None:
        if not 0 <= latency_s[0] <= latency_s[1]:
            raise ValueError(f"latency_s is {latency_s}; it is the least and the most latency, in seconds")
        self.random = random.Random(seed)
        self.latency_s = latency_s
        self._bandwidth_bytes_s = bandwidth_bytes_s
        self._split = split
        self._coalesce = coalesce
        self._loss = loss
        self._partitioned: set[frozenset[str]] = set()
        self._all_partitioned = False
        self._healed = asyncio.Event()

    def __repr__(self) -> str:
        parted = "all" if self._all_partitioned else sorted("|".join(sorted(two)) for two in self._partitioned) or "none"
        return f"latency_s={self.latency_s} parted={parted}"

    def packets(self, data: memoryview, after: float) -> list[Packet]:
        """Split `data` at random, and give each piece a time of arrival that is not before `after` or the piece before it."""
        packets = []
        now = asyncio.get_running_loop().time()
        for piece in self._pieces(data):
            after = max(after, now + self._latency()) + self._transfer_s(len(piece))
            if self._coalesce and self.random.random() < self._coalesce:
                after += self.random.uniform(0.0, self.latency_s[1])
            if self._loss:
                after += self._repair_s()
            packets.append(Packet(piece, after))
        return packets

    def partition(self, hosts: frozenset[str] | None) -> None:
        """Let no packet pass between the two hosts, or with None between any hosts."""
        if hosts is None:
            self._all_partitioned = True
        else:
            self._partitioned.add(hosts)
        self._healed.clear()

    def heal(self) -> None:
        """End every partition."""
        self._all_partitioned = False
        self._partitioned.clear()
        self._healed.set()

    def is_partitioned(self, source: str, target: str) -> bool:
        """Return whether no packet passes between the two hosts now."""
        return self._all_partitioned or frozenset((source, target)) in self._partitioned

    async def travel(self, source: str, target: str) -> None:
        """Wait for as long as one packet takes from `source` to `target`, partitions included."""
        await asyncio.sleep(self._latency())
        while self.is_partitioned(source, target):
            await self._healed.wait()

    def _pieces(self, data: memoryview) -> list[memoryview]:
        if self._bandwidth_bytes_s and len(data) > SEGMENT_BYTES_MAX:
            return [data[at : at + SEGMENT_BYTES_MAX] for at in range(0, len(data), SEGMENT_BYTES_MAX)]
        if len(data) <= 1 or not self._split or self.random.random() >= self._split:
            return [data]
        count = min(self.random.randint(1, PIECES_MAX - 1), len(data) - 1)
        places = [0, *sorted(self.random.sample(range(1, len(data)), count)), len(data)]
        return [data[start:end] for start, end in itertools.pairwise(places)]

    def _latency(self) -> float:
        return self.random.uniform(*self.latency_s)

    def _repair_s(self) -> float:
        """Return how long the losses of one packet hold it up, and those behind it."""
        losses = 0
        while losses < LOSSES_MAX and self.random.random() < self._loss:
            losses += 1
        return RETRANSMIT_S * (2.0**losses - 1)

    def _transfer_s(self, size: int) -> float:
        return size / self._bandwidth_bytes_s if self._bandwidth_bytes_s else 0.0
