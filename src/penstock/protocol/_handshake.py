"""What two sides tell each other first, and what follows from it (PROTOCOL.md §2). It keeps no state."""

from __future__ import annotations

from penstock.errors import ProtocolError
from penstock.protocol._compression import available, compressor
from penstock.protocol._frames import MAGIC, VERSION, Hello
from penstock.protocol._send import LAYOUTS, Kept, SendRules
from penstock.protocol._settings import Settings


def hello_of(settings: Settings, agent: str, epoch: int, token: bytes, instance: bytes) -> Hello:
    """Make our `HELLO`: the limits that the peer must keep, the compressions that it may use, who we are."""
    return Hello(
        MAGIC,
        VERSION,
        settings.max_frame_bytes,
        settings.max_item_bytes,
        settings.max_header_bytes,
        settings.max_streams,
        available(),
        agent,
        epoch,
        token,
        instance,
    )


def check_hello(hello: Hello) -> None:
    """Raise `ProtocolError` (rule 2.2) for a peer that this side cannot talk to."""
    if hello.magic != MAGIC:
        raise ProtocolError("2.2", "the other side does not speak Penstock")
    if hello.version < VERSION:
        raise ProtocolError("2.2", f"the other side speaks version {hello.version}, this side {VERSION}")


def rules_for(settings: Settings, peer: Hello, codec: int, kept: Kept) -> SendRules:
    """Return how items are sent to this peer: within its limits, and within ours."""
    return SendRules(
        LAYOUTS[codec],
        min(settings.max_frame_bytes, peer.max_frame_bytes),
        peer.max_item_bytes,
        settings.max_unsent_bytes,
        compressor(settings, peer.compressions),
        kept,
    )
