"""Bad inputs of the list that no other test has: what leads elsewhere, what would write to a log, what another schema sends."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

import penstock
from penstock._texts import TEXT_MAX
from penstock.codec import JSON, MSGPACK
from penstock.errors import InvalidArgument, NotFound, Unimplemented
from penstock.node import read_manifest
from penstock.transports import dial
from tests.attack.wire import GOAWAY, OPEN
from tests.attack.wire import frame as raw_frame
from tests.protocol.kit import frame, hello, open_frame
from tests.transports.kit import Recorder

URL = "memory://bad"
#: Names that a program might put into a path, a log or a terminal.
LEADING_ELSEWHERE = ["../../etc/passwd", "..", "a/../../b", "a\x00b", "a\r\nb", "\x1b[31mred", "C:\\x", "%2e%2e/x", "a\u2028b"]


class Point(penstock.Struct):
    x: int
    y: int


class Desk:
    async def place(self, point: Point, name: str) -> str:
        return f"{name} {point.x}"


class Clerk(penstock.Actor):
    async def ask(self) -> int:
        return 1


@pytest.mark.parametrize("name", LEADING_ELSEWHERE)
async def test_a_name_that_leads_elsewhere_is_no_actor_and_is_told_in_one_line(name: str):
    async with penstock.ActorSystem() as system, penstock.serve(system, listen=URL), penstock.connect(URL) as peer:
        await system.spawn(Clerk, name="clerk")
        for work in (
            lambda: peer.ref(name).ask("ask"),
            lambda: peer.call(f"/{name}/ask"),
            lambda: system.ref(name).ask("ask"),
            lambda: system.spawn(Clerk, name=name),
        ):
            with pytest.raises((NotFound, InvalidArgument, Unimplemented, ValueError)) as refused:
                await work()
            assert str(refused.value).isprintable(), refused.value
        assert await peer.ref("clerk").ask("ask") == 1


@pytest.mark.parametrize("name", LEADING_ELSEWHERE)
def test_a_manifest_whose_name_leads_elsewhere_is_refused(name: str, tmp_path):
    path = tmp_path / "clerk.toml"
    (tmp_path / "clerk.py").write_text("import penstock\nclass Clerk(penstock.Actor): ...\n")
    path.write_text(f"name = {msgspec.json.encode(name).decode()}\nactor = 'clerk.py:Clerk'\n", encoding="utf-8")
    with pytest.raises(InvalidArgument) as refused:
        read_manifest(path)
    assert refused.value.message.isprintable()


async def test_an_argument_of_another_schema_is_refused_by_its_path():
    async with penstock.serve(Desk(), listen=URL), penstock.connect(URL) as peer:
        for point in ({"x": 1}, {"x": "1", "y": 2}, [1, 2], 7, None, {"x": 1, "y": 2.5}):
            with pytest.raises(InvalidArgument) as refused:
                await peer.call("Desk/place", point, "here")
            assert "point" in refused.value.message or "$" in refused.value.message, refused.value
        assert await peer.call("Desk/place", {"x": 1, "y": 2, "z": 3}, "here") == "here 1"


def test_of_a_key_that_is_there_twice_the_last_one_counts_in_both_codecs():
    twice = b"\x83\xa1x\x01\xa1y\x02\xa1x\x03"
    assert MSGPACK.decode_for(Point).value(twice) == Point(3, 2)
    assert JSON.decode_for(Point).value(b'{"x": 1, "y": 2, "x": 3}') == Point(3, 2)


async def test_the_log_of_a_server_has_one_line_for_each_bad_peer(caplog):
    """Names, texts and targets of a peer that are meant for a log: each is escaped, and cut."""
    nasty = "\r\nERROR all is lost\x1b[2J" + "x" * 9000
    inputs = [
        hello(agent=nasty[:1000]) + raw_frame(GOAWAY, [0, 13, nasty]),
        hello() + open_frame(1, 0, target=nasty[:500]),
        hello() + raw_frame(OPEN, [nasty, 7], stream=1),
        hello() + frame(77, nasty.encode()),
        b"GET /" + nasty.encode() + b" HTTP/1.1",
    ]
    caplog.set_level(logging.DEBUG, "penstock")
    async with penstock.serve(Desk(), listen=URL):
        for data in inputs:
            receiver = Recorder()
            link = await dial(URL, receiver)
            link.write([data])
            await asyncio.sleep(0.01)
            link.abort()
            await asyncio.sleep(0.01)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("penstock")]
    assert len(messages) >= 3
    assert [message for message in messages if not message.isprintable() or len(message) > TEXT_MAX + 100] == []
