"""Writers that number their batches, so that a batch that was sent twice is kept once. Pure: no clock, no stream.

A producer has an epoch, which it raises when it begins anew, and counts its batches from 0 in each epoch. So the stream tells a
batch that came again (`Again`), one of a run that was replaced (`Stale`), and one whose predecessor is missing (`Gap`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Producers whose places are kept for each stream, those that wrote last. One that was forgotten is taken as a new one: it was
#: silent while so many others wrote.
PRODUCERS_MAX: Final = 1_024
#: The largest epoch and number: those that JavaScript counts exactly.
NUMBER_MAX: Final = 2**53 - 1


class Numbered(NamedTuple):
    """The numbers of a batch: which producer sent it, in which epoch, as which of its batches."""

    producer: str
    epoch: int
    seq: int


class Again(NamedTuple):
    """The batch was kept before. seq: the number of the last one that was."""

    seq: int


class Stale(NamedTuple):
    """The producer has begun a later epoch elsewhere."""

    epoch: int


class Gap(NamedTuple):
    """A batch before this one has not come. expected: its number."""

    expected: int


class BadStart(NamedTuple):
    """An epoch begins with another number than 0."""


#: The epoch and the number of the last batch that is kept of each producer, by its id; those that wrote last at the end.
Producers = dict[str, tuple[int, int]]
Verdict = Again | Stale | Gap | BadStart


def verdict_on(producers: Producers, batch: Numbered) -> Verdict | None:
    """Return why a batch is not to be kept; None for one that is."""
    known = producers.get(batch.producer)
    if known is None:
        return Gap(0) if batch.seq else None
    epoch, seq = known
    if batch.epoch < epoch:
        return Stale(epoch)
    if batch.epoch > epoch:
        return BadStart() if batch.seq else None
    if batch.seq <= seq:
        return Again(seq)
    return None if batch.seq == seq + 1 else Gap(seq + 1)


def note(producers: Producers, batch: Numbered) -> None:
    """Note that a batch is kept. Of too many producers, the one that was silent for longest is forgotten."""
    producers.pop(batch.producer, None)
    producers[batch.producer] = (batch.epoch, batch.seq)
    if len(producers) > PRODUCERS_MAX:
        del producers[next(iter(producers))]
