"""`connect` with several URLs: the first that answers is the peer, and nothing is left of the others."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock import transports
from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.peer import _first
from penstock.session import Session
from penstock.testing import SimulatedNetwork
from tests.calls.kit import now, rest


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    async def who(self) -> str:
        return self.name


class Silent:
    """A listener whose links never say anything."""

    lost = 0

    def link_made(self, link) -> None:
        self.link = link

    def get_buffer(self, size_hint: int) -> memoryview:
        return memoryview(bytearray(4096))

    def buffer_updated(self, size: int) -> None:
        pass

    def link_lost(self, error: Exception | None) -> None:
        Silent.lost += 1

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


def sessions() -> int:
    gc.collect()
    return sum(isinstance(thing, Session) for thing in gc.get_objects())


async def test_a_client_takes_the_first_url_of_a_server():
    """FAULTS G5: `connect(*server.urls)` with two URLs was a TypeError."""
    async with (
        penstock.serve(Named("one"), listen=["memory://one", "memory://two"]) as server,
        penstock.connect(*server.urls) as peer,
    ):
        assert await peer.call("Named/who") == "one"
        await rest()
        assert len(server.peers) == 1


async def test_a_url_where_nothing_listens_is_passed_at_once():
    async with (
        penstock.serve(Named("two"), listen="memory://two"),
        penstock.connect("memory://nothing", "memory://nobody", "memory://two") as peer,
    ):
        assert await peer.call("Named/who") == "two"
        assert now() < 0.1


async def test_a_server_that_never_says_hello_delays_the_next_url_by_a_second():
    before = sessions()
    Silent.lost = 0
    silent = await transports.listen("memory://silent", Silent)
    async with penstock.serve(Named("two"), listen="memory://two"):
        begun = now()
        async with penstock.connect("memory://silent", "memory://two") as peer:
            assert await peer.call("Named/who") == "two"
            assert now() - begun == pytest.approx(_first.NEXT_URL_DELAY_S, abs=0.01)
            assert Silent.lost == 1  # the attempt that was given up is closed before the block begins
    await silent.aclose()
    del peer
    assert sessions() == before


async def test_a_slow_first_url_still_wins_when_it_answers_first():
    with SimulatedNetwork(1, latency_s=(0.6, 0.6)):
        async with penstock.serve(Named("far"), listen="sim://far"):
            silent = await transports.listen("memory://silent", Silent)
            async with penstock.connect("sim://here@far", "memory://silent") as peer:
                assert await peer.call("Named/who") == "far"
            await silent.aclose()


async def test_when_no_url_answers_all_reasons_are_told():
    with pytest.raises(Unavailable, match=r"none of 2 URLs answers: .*memory://one.*; .*memory://two") as caught:
        async with penstock.connect("memory://one", "memory://two"):
            pass
    assert caught.value.cause is Cause.NOTHING_LISTENS
    assert not caught.value.started


@pytest.mark.parametrize("urls", [("memory://one", "nonsense"), ("nonsense", "memory://one"), ("memory://one", 5)])
async def test_a_url_that_cannot_be_read_is_told_before_anything_is_dialled(urls):
    async with penstock.serve(Named("one"), listen="memory://one") as server:
        with pytest.raises(InvalidArgument, match=r"nonsense|not a URL"):
            async with penstock.connect(*urls):
                pass
        assert not server.peers


async def test_without_a_url_there_is_nothing_to_connect_to():
    with pytest.raises(TypeError, match="at least one URL"):
        async with penstock.connect():
            pass


@pytest.mark.parametrize("timeout", [True, "5", 0, -1, float("nan")])
async def test_a_time_out_of_a_wrong_type_is_refused(timeout):
    with pytest.raises(ValueError, match="timeout is"):
        async with penstock.connect("memory://one", timeout=timeout):
            pass


async def test_a_cancelled_connect_leaves_none_of_its_attempts():
    before = sessions()
    Silent.lost = 0
    silent = await transports.listen("memory://silent", Silent)

    async def connect():
        async with penstock.connect("memory://silent", "memory://silent"):
            pass

    connecting = asyncio.ensure_future(connect())
    await asyncio.sleep(1.5)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    await rest()
    assert Silent.lost == 2
    await silent.aclose()
    del connecting
    assert sessions() == before


async def test_two_urls_that_answer_in_the_same_moment_leave_one_peer(monkeypatch):
    monkeypatch.setattr(_first, "NEXT_URL_DELAY_S", 0.0)
    async with penstock.serve(Named("one"), listen=["memory://one", "memory://two"]) as server:
        async with penstock.connect(*server.urls) as peer:
            assert await peer.call("Named/who") == "one"
            await asyncio.sleep(1)
            assert len(server.peers) == 1
        await asyncio.sleep(1)
        assert not server.peers


async def test_tls_is_for_the_encrypted_urls_among_several(tmp_path):
    tls = penstock.TLS.development(tmp_path)
    async with (
        penstock.serve(Named("both"), listen=["memory://plain", "tls://127.0.0.1:0"], tls=tls) as server,
        penstock.connect(*reversed(server.urls), tls=tls) as peer,
    ):
        assert peer.remote.startswith("tls://")
        assert await peer.call("Named/who") == "both"
    with pytest.raises(InvalidArgument, match="not encrypted"):
        async with penstock.connect("memory://one", "tcp://127.0.0.1:1", tls=tls):
            pass
    with pytest.raises(InvalidArgument, match="needs tls="):
        async with penstock.connect("memory://one", "tls://127.0.0.1:1"):
            pass
