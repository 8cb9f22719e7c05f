"""The browser of the tests of the console's page."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.web.console.kit import CHROMIUM, Browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium on this machine, which continuous integration needs")
        pytest.skip("there is no Chromium on this machine")
    browser = Browser()
    yield browser
    browser.close()
