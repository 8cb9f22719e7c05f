"""Rows of group H that are mended in other rooms, from outside: each test names its row of FAULTS."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.attack.kit import PATIENCE_S, Line, commit, connect_and_reset, dialled, send, victim
from tests.attack.violations import OTHERS, H
from tests.attack.wire import ITEMS, LAST, STATUS, Frame, hello, items, open_, pack, read_frames, source_ref

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: Codes of a `STATUS`: a peer has its share of offered ends; the process of a ref cannot be reached.
EXHAUSTED, UNAVAILABLE = 8, 14
#: Descriptors of a victim, and the connections that use them up.
FILES, DIALS = 60, 100
#: More ends than one connection may have on offer.
MANY = 1100


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_clients_that_connect_and_reset_at_once_leave_nothing_and_say_nothing(loop, tmp_path):
    """FAULTS H2: 3,000 of them by `make attack`."""
    async with victim(ATTACK_LOOP=loop, log=tmp_path / "log") as server:
        await connect_and_reset(server, 300)
        assert (await server.figures()).left == {}
        await commit(OTHERS[0], server)
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


async def test_a_server_without_descriptors_says_it_once_a_second_and_goes_on(tmp_path):
    """FAULTS H10: asyncio wrote 3,000 lines a second."""
    async with victim(ATTACK_FILES=str(FILES), log=tmp_path / "log") as server:
        async with contextlib.AsyncExitStack() as lines:
            for _ in range(DIALS):
                await lines.enter_async_context(dialled(server))
            await asyncio.sleep(2)
        await commit(OTHERS[0], server)
    said = (tmp_path / "log").read_text(encoding="utf-8").count("out of system resource")
    assert 1 <= said <= 4


async def test_a_handler_that_exits_ends_its_call_and_not_the_server():
    """FAULTS H11."""
    async with victim() as server:
        reply = await send(server, b"", H + open_(1, "Desk/leave"), ends=False)
        assert reply.state == "open"
        assert len(reply.statuses) == 1
        await commit(OTHERS[0], server)


async def test_a_peer_that_says_the_instance_of_another_process_learns_no_token():
    """FAULTS H13: such a peer got the claims of 6 of 10 refs."""
    instance, token = b"i" * 16, b"t" * 16
    async with victim() as server, dialled(server) as thief, dialled(server) as holder:
        await thief.write(hello(instance=instance))
        await thief.settle()
        await holder.write(H + open_(1, "Desk/use", argument=pack([source_ref(instance, token)])))
        assert await thief.read_until(b"Penstock/prove")
        await thief.write(items(2, 0, [b"P" * 256, b"s" * 16, b"a" * 32], flags=LAST))
        said = (await _answers(holder, 1))[0]
        assert (said.kind, said.body[1]) == (STATUS, UNAVAILABLE)
        assert token not in thief.got


async def test_ten_connections_that_claim_nothing_leave_room_for_an_honest_one():
    """FAULTS H14: their ends filled the table of offers."""
    async with victim() as server, contextlib.AsyncExitStack() as lines:
        for _ in range(10):
            line = await lines.enter_async_context(dialled(server))
            await line.write(H + b"".join(open_(number, "Desk/lend") for number in range(1, 2 * MANY, 2)))
            refused = [said for said in await _answers(line, MANY) if said.kind == STATUS]
            assert {said.body[1] for said in refused} == {EXHAUSTED}
        honest = await lines.enter_async_context(dialled(server))
        await honest.write(H + open_(1, "Desk/lend"))
        assert [said.kind for said in await _answers(honest, 1)] == [ITEMS]


async def _answers(line: Line, count: int) -> list[Frame]:
    """Return the first `count` answers of calls, results and errors."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frames, _rest = read_frames(line.got)
            answers = [said for said in frames if said.kind in (ITEMS, STATUS)]
            if len(answers) >= count:
                return answers[:count]
            line.got += await line.reader.read(1 << 20)
