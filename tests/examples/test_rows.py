"""A query is read as far as its consumer asks."""

from __future__ import annotations

import re

import pytest

from tests.examples._programs import run

TABLE_MB = 40  # what 300,000 rows take in the file
MEMORY_MB_MAX = TABLE_MB / 4


@pytest.mark.processes
def test_all_rows_pass_in_flat_memory_and_ten_rows_read_no_more_than_the_buffer_ahead():
    printed = run("rows.py", "300000")
    assert "all: 300,000 rows received" in printed
    assert float(re.search(r"memory grew by ([\d.]+) MB", printed)[1]) <= MEMORY_MB_MAX
    read = [int(number.replace(",", "")) for number in re.findall(r"read up to row ([\d,]+)", printed)]
    assert read[0] == 300_000
    assert 10 <= read[1] <= 10 + 16
