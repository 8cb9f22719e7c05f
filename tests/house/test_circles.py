"""Files import each other in one direction. A circle counts with the imports for type checkers: a reader follows those, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.house._graph import circles, file_graph
from tests.house._source import PACKAGE, short

# A ratchet. Two files that cannot do without each other are one subject in two files; more than two are a knot.
CIRCLES_MAX = 1
FILES_IN_A_CIRCLE_MAX = 2


def _listed(found: list[list[Path]]) -> list[list[str]]:
    return [[short(path) for path in circle] for circle in found]


def _between_rooms(graph: Mapping[Path, frozenset[Path]]) -> dict[Path, frozenset[Path]]:
    """Return the same graph with a room in the place of its files."""
    room = {path: PACKAGE / path.relative_to(PACKAGE).parts[0] for path in graph}
    return {
        one: frozenset(room[target] for path in graph if room[path] == one for target in graph[path]) - {one}
        for one in room.values()
    }


def test_few_files_import_each_other():
    found = circles(file_graph())
    assert len(found) <= CIRCLES_MAX, _listed(found)


def test_a_circle_is_small():
    found = circles(file_graph())
    assert not [names for names in _listed(found) if len(names) > FILES_IN_A_CIRCLE_MAX]


def test_the_limits_of_circles_are_those_of_today():
    found = circles(file_graph())
    assert (len(found), max(map(len, found), default=0)) == (CIRCLES_MAX, FILES_IN_A_CIRCLE_MAX), "lower the limits"


def test_no_circle_leads_through_two_rooms():
    assert not _listed(circles(_between_rooms(file_graph())))
