"""One connection with the default settings makes a victim hold no more than its limits say, and none of it afterwards."""

from __future__ import annotations

import pytest

from tests.attack.hoards import ALL, Hoard, hold

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: What takes longer is left to `make attack`.
QUICK = [hoard for hoard in ALL if hoard.quick]


@pytest.mark.parametrize("hoard", QUICK, ids=[hoard.attack.__name__ for hoard in QUICK])
async def test_what_a_peer_makes_a_victim_hold_is_bounded_and_is_let_go(hoard: Hoard):
    """FAULTS H3, H4, H5."""
    held = await hold(hoard)
    assert held.during_mib < hoard.mib
    assert held.cpu_s < hoard.cpu_s
    assert held.left == {}
