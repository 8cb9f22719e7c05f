"""The price feed prints the two outputs of its guide, line for line."""

from __future__ import annotations

import pytest

from tests.examples._programs import run

pytestmark = pytest.mark.processes

OUTPUT = """\
── Pushing 5 prices into producer ──
── Consuming via async for (initial_demand=2) ──
  #1 AAPL: $142.50
  #2 AAPL: $143.10
  #3 AAPL: $141.80
  #4 AAPL: $144.20
  #5 AAPL: $145.00

── Stream complete: 5 prices received ──

── Early break: take 5 from 20 ──
  Took: [0, 1, 2, 3, 4]
  Stream cancelled — producer stopped via StreamCancel
"""


def test_the_price_feed_prints_what_its_guide_says():
    assert run("price_feed.py") == OUTPUT
