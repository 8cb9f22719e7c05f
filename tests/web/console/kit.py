"""Debian's Chromium, driven by Playwright in a thread of its own, so that the node under test has the loop of the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

R = TypeVar("R")

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("PENSTOCK_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
#: A machine with much other work draws late; pytest's own limit is above this one.
PATIENCE_MS = 40_000
#: What the browser says of a request that failed: the page says it, too, and a test may have meant it.
_OF_REQUESTS = "Failed to load resource"


class Page:
    """A page of Playwright, whose methods are awaited in the loop of the test. errors: what its scripts did wrong."""

    def __init__(self, page: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._page = page
        self._loop = loop
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)
        page.on("dialog", lambda dialog: loop.create_task(dialog.accept()))

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and _OF_REQUESTS not in message.text:
            self.errors.append(message.text)

    def __getattr__(self, name: str) -> Any:
        return self._into(getattr(self._page, name))

    def press(self, key: str) -> Any:
        """Press a key where the focus is."""
        return self._into(self._page.keyboard.press)(key)

    def _into(self, method: Any) -> Any:
        return lambda *args, **kwargs: _across(_answered(partial(method, *args, **kwargs)), self._loop)

    async def see(self, selector: str, *texts: str) -> None:
        """Wait until an element is there, in sight, with these texts."""
        having = "".join(f":has-text({_quoted(text)})" for text in texts)
        await self.wait_for_selector(f"{selector}{having} >> visible=true", timeout=PATIENCE_MS)

    async def count(self, selector: str) -> int:
        return len(await self.query_selector_all(selector))

    async def texts(self, selector: str) -> list[str]:
        return await self.eval_on_selector_all(selector, "all => all.map((one) => one.textContent)")


class Browser:
    """One Chromium for all tests of a process. It begins with the first page."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_pass_by)
        self._thread = threading.Thread(target=self._loop.run_forever, name="playwright", daemon=True)
        self._thread.start()
        self._stack: Any = None
        self._chromium: Any = None
        self._run(self._begin())

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(40)

    async def _begin(self) -> None:
        from playwright.async_api import async_playwright

        self._stack = async_playwright()
        playwright = await self._stack.__aenter__()
        self._chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

    @asynccontextmanager
    async def page(self, url: str, *, width: int = 1280, height: int = 760, scheme: str = "light") -> AsyncIterator[Page]:
        """Open a page of its own, with no storage of an earlier one. No script of it may have failed at its end."""
        size = {"width": width, "height": height}
        make = partial(self._chromium.new_context, viewport=size, color_scheme=scheme, reduced_motion="reduce")
        context = await _across(_answered(make), self._loop)
        try:
            page = Page(await _across(_answered(context.new_page), self._loop), self._loop)
            await page.goto(url)
            yield page
            assert not page.errors
        finally:
            await _across(_answered(context.close), self._loop)

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._chromium.close()
        await self._stack.__aexit__(None, None, None)


async def _answered(call: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Make a call of Playwright, once more when it raises the error of an earlier one, before it has sent anything.

    The answer to a call that was cancelled finds no call any more, and Playwright raises that in the next one.
    """
    from playwright.async_api import Error

    try:
        return await call()
    except Error as error:
        if "Cannot find command to respond" not in str(error):
            raise
        return await call()


def _pass_by(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Pass by what Playwright asks a page that is closed, and awaits nowhere; tell of any other error."""
    if type(context.get("exception")).__name__ != "TargetClosedError":
        loop.default_exception_handler(context)


def _across(work: Coroutine[Any, Any, R], loop: asyncio.AbstractEventLoop) -> asyncio.Future[R]:
    return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
