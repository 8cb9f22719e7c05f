"""The browser of the tests of the console's page. Continuous integration must have one; nothing here downloads it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.web.console.kit import CHROMIUM, Browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        missing = "there is no Chromium: install it, or name one by PENSTOCK_CHROMIUM"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    browser = Browser()
    yield browser
    browser.close()
