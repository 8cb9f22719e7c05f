"""The rooms above `session/` hold one handle for each stream: they touch no connection, no write and no number of the wire."""

from __future__ import annotations

from collections import Counter

from tests.house._sessions import flushes, into_connection, into_wire, written_ledgers

# The answers of a lane: a handler that ends puts its answer in line, and the last one of a turn has all of them written.
FLUSHES = {"src/penstock/remote/_answers.py": 2}
# A call asks at its end, on the path of every unary call, whether its stream is over; the answers of a lane are a sink of their
# own class.
WIRES = {
    "src/penstock/calls/_server_call.py": 1,
    "src/penstock/remote/_answers.py": 1,
}


def _over(places: list[str], allowed: dict[str, int]) -> list[str]:
    """Return the places in files with more of them than allowed, and the files that need fewer."""
    counts = Counter(map(_file, places))
    over = [place for place in places if counts[_file(place)] > allowed.get(_file(place), 0)]
    return over + [f"{name}: {counts[name]} now, lower the number" for name in allowed if counts[name] < allowed[name]]


def _file(place: str) -> str:
    return place.rpartition(":")[0]


def test_the_connection_of_a_session_is_its_own():
    assert not into_connection()


def test_a_handle_has_its_frames_written_itself():
    assert not _over(flushes(), FLUSHES)


def test_few_files_take_the_wire_stream_out_of_its_handle():
    assert not _over(into_wire(), WIRES)


def test_the_numbers_of_a_stream_are_written_by_the_protocol_alone():
    assert not written_ledgers()
