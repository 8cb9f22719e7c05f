"""Completion in an editor or a REPL shows the API alone: these names, and no others, are promised."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import penstock

SOURCE = ["aclose", "batches", "receive", "receive_nowait", "statistics"]
STREAM = sorted([*SOURCE, "cancel", "draining", "of"])
SINK = ["aclose", "close", "fail", "send", "send_many", "send_nowait", "statistics"]
ROUTER = ["ask", "open_channel", "ref", "stream", "stream_ask", "subscribe", "tell"]

SHOWN = {
    penstock.ActorSystem: [
        *(*ROUTER, "actor", "bridge", "spawn", "streams"),
        *("aclose", "dead_letters", "id", "info", "list", "restart", "state", "stop"),
    ],
    penstock.Call: [*STREAM, "close_and_receive", "close_send", "send", "sink", "target"],
    penstock.CallInfo: [
        *("deadline", "draining", "kind", "metadata", "outcome", "peer", "principal", "priority"),
        *("side", "sink", "target", "time_remaining", "wait_draining"),
    ],
    penstock.CancelToken: ["cancel", "cancelled", "check", "reason"],
    penstock.Peer: [
        *(*ROUTER, "actor", "call", "follow", "open", "service"),
        *("aclose", "draining", "instance", "name", "principal", "remote", "state", "states"),
        *("wait_closed", "wait_connected", "wait_draining"),
    ],
    penstock.Server: ["aclose", "begin_drain", "busy", "listen", "urls", "wait_closed"],
    penstock.SinkRef: [*SINK, "claim", "complete", "put"],
    penstock.SourceRef: [*SOURCE, "claim"],
    penstock.Stream: STREAM,
}


class Clock:
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


def _shown(value: object) -> list[str]:
    return sorted(name for name in dir(value) if not name.startswith("_"))


@pytest.mark.parametrize("cls", SHOWN, ids=lambda cls: cls.__name__)
def test_a_class_shows_its_api_alone(cls):
    assert _shown(cls) == sorted(SHOWN[cls])


async def test_an_object_across_a_connection_shows_its_api_alone():
    async with (
        penstock.serve(Clock(), listen="memory://completion") as server,
        penstock.connect("memory://completion") as peer,
        penstock.Stream.of(peer.service(Clock).ticks()) as stream,
        peer.open("Clock/ticks") as call,
    ):
        assert _shown(stream) == sorted([*STREAM, "target"])
        assert _shown(call) == sorted(SHOWN[penstock.Call])
        assert _shown(peer) == sorted(SHOWN[penstock.Peer])
        assert _shown(server) == sorted([*SHOWN[penstock.Server], "peers"])
