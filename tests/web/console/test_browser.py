"""The page of the live console in Chromium: what it draws of a node, what it does with it, and what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

import penstock

URL = "http://127.0.0.1:0"
EVIL = "<img src=x onerror=document.title='hacked'>"
VIEWS = ["actors", "connections", "streams", "kept", "services", "history", "call", "channel"]

pytestmark = pytest.mark.processes


class Room(penstock.Actor):
    """A room."""

    def __init__(self) -> None:
        self.lines = [EVIL]

    async def say(self, text: str, *, loud: bool = False) -> str:
        """Say something."""
        return text.upper() if loud else text

    async def ticks(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def crash(self) -> None:
        raise ValueError(EVIL)

    async def huge(self, size: int) -> str:
        return "x" * size

    async def on_channel_open(self, channel: penstock.Channel) -> None:
        await channel.accept({"welcome": self.address})

    async def on_channel_message(self, channel: penstock.Channel, message: object) -> None:
        await channel.send({"heard": message})


class Prices:
    async def watch(self, symbol: str) -> AsyncIterator[float]:
        """Prices as they change."""
        while True:
            yield 4.2

    async def wait(self) -> None:
        await asyncio.Event().wait()


async def test_only_the_actors_in_sight_are_in_the_page_and_they_are_found_by_scrolling_filtering_and_sorting(chromium):
    async with penstock.Node(console=URL, name="many") as node:
        for number in range(1000):
            await node.spawn(Room, name=f"rooms/{number:03}")
        for _ in range(7):
            await node.ask("rooms/500", "say", {"text": "x"})
        async with chromium.page(node.console) as page:
            await page.see("#actors .rows tr", "rooms/000", "Room", "running")
            assert await page.count("#actors .rows tr") < 80
            await page.eval_on_selector("#actors .scroll", "all => { all.scrollTop = all.scrollHeight }")
            await page.see("#actors .rows tr", "rooms/999")
            assert await page.count("#actors .rows tr") < 80
            await page.click("#actors th button:has-text('Handled')")
            await page.see("#actors .rows tr:first-child", "rooms/500", "7")
            await page.fill("#actors input[type=search]", "ROOMS/12")
            await page.see("#actors .table > .note", "1–10 of 10, chosen from 1,000")
            assert await page.count("#actors .rows tr") == 10


async def test_an_actor_shows_its_state_and_leads_to_its_methods_and_is_stopped(chromium):
    async with penstock.Node(console=URL) as node:
        await node.spawn(Room, name="room")
        async with chromium.page(node.console) as page:
            await page.click("#actors .rows tr")
            await page.see("#actors aside", "room", "State", EVIL)
            await page.click("#actors aside button:has-text('Call a method')")
            await page.see("#call .arguments", "text: string")
            await page.click("#tab-actors")
            await page.click("#actors aside button:has-text('Stop')")
            await page.see("#actors .empty", "No actor runs")
        assert node.list() == []


async def test_a_connection_and_its_streams_show_which_side_waits(chromium):
    node = penstock.Node(console=URL, listen="tcp://127.0.0.1:0", services=[Prices()])
    async with node, penstock.connect(*node.urls) as peer, chromium.page(node.console) as page:
        stalled = peer.stream("Prices/watch", "ACME", options=penstock.CallOptions(buffer_size=8))
        await stalled.receive()
        call = asyncio.create_task(peer.call("Prices/wait"))
        await page.click("#tab-connections")
        await page.see("#connections .rows tr", "127.0.0.1:", "this console")
        await page.click("#connections .rows tr:has-text('within this process'):not(:has-text('this console'))")
        held = "#connections .below .rows tr"
        await page.see(held, "Prices/watch", "waits", "8 / 8")
        await page.see(held, "Prices/wait", "call")
        await page.click("#tab-streams")
        await page.see("#streams .is-held", "Prices/watch", "waits 1 s")
        await page.see("#streams .waits", "this process", "waits")
        await page.click("#tab-services")
        await page.see("#services li", "watch", "1 open")
        call.cancel()
        stalled.cancel()


async def test_a_session_that_waits_for_its_client_to_come_back_is_detached(chromium):
    late = penstock.Reconnect(first_s=1e6, max_s=1e6)
    node = penstock.Node(console=URL, listen="tcp://127.0.0.1:0", services=[Prices()])
    async with node, penstock.connect(*node.urls, reconnect=late) as peer, chromium.page(node.console) as page:
        stream = peer.stream("Prices/watch", "ACME")
        await stream.receive()
        peer._scope.session.link.abort()
        await page.see("#facts", "detached sessions")
        await page.click("#tab-connections")
        await page.see("#connections .rows tr", "detached", "within this process")
        stream.cancel()


async def test_a_retained_stream_is_drawn_with_its_readers(chromium):
    log = penstock.retained(EVIL)
    await log.send_many(range(50))
    async with penstock.Node(console=URL) as node:
        behind, beside = log.follow(10), log.follow("now")
        async with chromium.page(node.console) as page:
            await page.click("#tab-kept")
            await page.see("#kept .rows tr", EVIL, "50", "40")
            assert await page.count("#kept .range b") == 2
            await page.click("#kept .rows tr")
            await page.see("#kept aside", "2 readers", "at 10, 40 behind", "has everything")
        del behind, beside


async def test_the_history_is_followed_searched_checked_and_replayed(chromium, tmp_path):
    async with penstock.Node(console=URL, history=tmp_path / "h.db") as node:
        await node.spawn(Room, name="room")
        async with chromium.page(node.console) as page:
            await page.click("#tab-history")
            await page.see("#history .events li", "spawned")
            await node.ask("room", "say", {"text": "needle"})
            await page.see("#history .events li", "reply", "needle")
            await page.fill("#history [name=search]", "needle")
            await page.press("Enter")
            await page.wait_for_selector("#history .events li:has-text('spawned')", state="detached")
            await page.click("#history [name=verify]")
            await page.see("#history .verdict.good", "The chain is whole.")
            await page.click("#history [name=replay]")
            await page.see("#history .verdict.bad", "Name one actor")
            await page.fill("#history [name=actor]", "room")
            await page.click("#history [name=replay]")
            await page.see("#history .verdict.good", "It went the same way.")


async def test_a_method_is_called_from_a_form_and_its_stream_is_shown_until_it_is_stopped(chromium):
    async with penstock.Node(console=URL, services=[Prices()]) as node:
        await node.spawn(Room, name="room")
        async with chromium.page(node.console) as page:
            await page.click("#tab-call")
            await page.fill("#call [name=target]", "room")
            await page.press("Enter")
            await page.select_option("#call [name=method]", "say")
            await page.fill("#call .arguments [name=text]", EVIL)
            await page.check("#call .arguments [name=loud]")
            await page.click("#call .arguments button")
            await page.see("#call .result", EVIL.upper())
            await page.select_option("#call [name=method]", "crash")
            await page.click("#call .arguments button")
            await page.see("#call .result.wrong", "ValueError")
            await page.fill("#call [name=target]", "Prices")
            await page.press("Enter")
            await page.fill("#call .arguments [name=symbol]", "ACME")
            await page.click("#call .arguments button")
            await page.see("#call .arguments button", "Stop", "items")
            await page.click("#call .arguments button")
            await page.see("#call .result", "— stopped —")
            assert 0 < len((await page.inner_text("#call .result")).splitlines()) < 1300


async def test_of_a_huge_answer_the_beginning_is_shown(chromium):
    async with penstock.Node(console=URL) as node:
        await node.spawn(Room, name="room")
        async with chromium.page(node.console) as page:
            await page.click("#tab-call")
            await page.fill("#call [name=target]", "room")
            await page.press("Enter")
            await page.select_option("#call [name=method]", "huge")
            await page.fill("#call .arguments [name=size]", "8000000")
            await page.click("#call .arguments button")
            await page.see("#call .result", "… 7.6 MiB in all; the rest is not shown")
            assert len(await page.inner_text("#call .result")) < 30_000


async def test_a_channel_is_opened_spoken_over_and_closed(chromium):
    async with penstock.Node(console=URL) as node:
        await node.spawn(Room, name="room")
        async with chromium.page(node.console) as page:
            await page.click("#tab-channel")
            await page.fill("#channel [name=actor]", "room")
            await page.click("#channel [name=open]")
            await page.see("#channel .said", "has accepted the channel with", '"welcome": "room"')
            await page.fill("#channel [name=text]", EVIL)
            await page.press("Enter")
            await page.see("#channel .mine", EVIL)
            await page.see("#channel .theirs", "heard", EVIL)
            await page.click("#channel [name=close]")
            await page.see("#channel .said", "closed from the console")
            assert not await page.is_visible("#channel .talk")


async def test_without_the_right_token_the_page_shows_nothing_and_asks_for_it(chromium):
    async with penstock.Node(console=URL, name="locked") as node:
        await node.spawn(Room, name="secret")
        address, _, token = node.console.partition("#")
        async with chromium.page(f"{address}#wrong") as page:
            await page.see("#lock", "needs the token")
            assert "secret" not in await page.inner_text("body")
            await page.fill("#lock input", node.console)
            await page.press("Enter")
            await page.see("#actors .rows tr", "secret")
            assert token not in await page.evaluate("location.href")
            await page.reload()
            await page.see("#actors .rows tr", "secret")


async def test_a_node_that_stops_while_the_page_looks_leaves_the_last_figures_and_a_word(chromium):
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(penstock.Node(console=URL))
        await node.spawn(Room, name="room")
        async with chromium.page(node.console) as page:
            await page.see("#actors .rows tr", "room")
            await stack.aclose()
            await page.see("#trouble", "The node does not answer since")
            await page.see("body[data-state=lost] #actors .rows tr", "room")


async def test_an_actor_that_crashes_again_and_again_and_markup_everywhere_do_no_harm(chromium):
    rules = penstock.Supervision(max_restarts=1_000_000, backoff=0.01, backoff_max=0.02)
    async with penstock.Node(console=URL, name=EVIL) as node:
        await node.spawn(Room, name="room", supervision=rules)

        async def crash() -> None:
            while True:
                with pytest.raises(penstock.errors.PenstockError):
                    await node.ask("room", "crash")

        crashing = asyncio.create_task(crash())
        async with chromium.page(node.console) as page:
            await page.see("#node", EVIL)
            await page.see("#actors .rows tr", "room", EVIL)
            restarts = await page.texts("#actors .rows td.failed")
            await page.click("#actors .rows tr")
            await page.see("#actors aside .failed", EVIL)
            assert restarts
            assert await page.count("img") == 0
            assert "Penstock" in await page.title()
        crashing.cancel()


async def test_the_page_is_used_by_keyboard_alone(chromium):
    async with penstock.Node(console=URL) as node:
        for name in ("rooms", "rooms/a", "rooms/b", "zoo"):
            await node.spawn(Room, name=name)
        async with chromium.page(node.console) as page:
            await page.see("#actors .rows tr", "zoo")
            await page.focus("#actors .rows tr")
            await page.press("ArrowLeft")
            await page.see("#actors .rows tr[aria-expanded=false]", "2 below")
            assert await page.count("#actors .rows tr") == 2
            await page.press("ArrowRight")
            await page.see("#actors .rows tr[aria-expanded=true]", "rooms")
            await page.press("End")
            await page.press("Enter")
            await page.see("#actors aside h2", "zoo")
            await page.press("/")
            assert await page.evaluate("document.activeElement.type") == "search"
            await page.focus("#tab-actors")
            for view in VIEWS[1:4]:
                await page.press("ArrowRight")
                await page.see(f"#tab-{view}[aria-selected=true]")
                assert await page.is_visible(f"#{view}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_fits_a_phone_in_both_schemes(chromium, scheme, tmp_path):
    log = penstock.retained("a-stream-with-a-rather-long-name", [1, 2, 3])
    async with penstock.Node(console=URL, services=[Prices()], history=tmp_path / "h.db", name="phone") as node:
        await node.spawn(Room, name="a/name/that/has/many/parts/and/is/longer/than/a/phone/is/wide")
        async with chromium.page(node.console, width=360, height=700, scheme=scheme) as page:
            await page.see("#node", "phone")
            await page.see("#tab-services")
            for view in VIEWS:
                await page.click(f"#tab-{view}")
                await page.see(f"#{view}")
                wide = await page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
                assert wide == [360, 360], view
            dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (dark == "rgb(255, 255, 255)") == (scheme == "light")
    assert log.name
