"""What a connection holds, counted from the objects themselves: the sum that its ledgers must have charged."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.protocol import Connection, ReceiveHalf, WireStream
from penstock.protocol._budget import BATCH_COST_BYTES, FRAME_COST_BYTES, UNFINISHED_COST_BYTES
from penstock.protocol._decoder import READ_BYTES
from penstock.protocol._outbox import DIRECT_BYTES, FRAMES_PER_CHARGE
from penstock.protocol._send import SendHalf
from penstock.protocol._sequence import UNCHARGED_BYTES_MAX


def weighed(connection: Connection, halves: Iterable[ReceiveHalf], handled: Iterable[WireStream] = ()) -> int:
    """Return the bytes that a connection holds.

    halves: the receiving halves that may have items, also those of streams that are over. None of their batches is taken in
    part. handled: the streams that are over and whose handlers are not.
    """
    state = connection._state
    streams = {*connection.streams.all(), *handled}
    outbox = state.outbox
    uncharged = sum(len(frame) + FRAME_COST_BYTES for frame in outbox._control) - outbox._charged_bytes
    assert 0 <= uncharged <= FRAMES_PER_CHARGE * (2 * DIRECT_BYTES)
    if state.sequence is not None:
        assert 0 <= sum(map(len, state.sequence._kept)) - state.sequence._charged_bytes <= UNCHARGED_BYTES_MAX
    return (
        sum(_waiting(half) for half in {id(half): half for half in halves}.values())
        + sum(stream.held_bytes for stream in streams)
        + sum(
            len(part) + UNFINISHED_COST_BYTES for ledger in (state.openings, state.batches) for _, part in ledger.parts.values()
        )
        + sum(_unsent(stream.send) for stream in streams if stream.send is not None)
        + outbox._charged_bytes
        + (0 if state.sequence is None else state.sequence._charged_bytes)
        + (state.outbox.standstill.bytes or 0)
        + max(0, len(state.decoder._memory) - READ_BYTES)
    )


def _waiting(half: ReceiveHalf) -> int:
    held = sum(batch.size + BATCH_COST_BYTES for batch in half.queue)
    assert half.held_bytes == held or (half.held_bytes == 0 and len(half.queue) == 1)  # the answer of a unary call
    return half.held_bytes


def _unsent(half: SendHalf) -> int:
    return sum(batch.size for batch in half.unsent) + half._uncut
