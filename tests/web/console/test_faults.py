"""The page of the live console against values, names and moments that are hard on it, in Chromium."""

from __future__ import annotations

from typing import Any

import pytest

import penstock

URL = "http://127.0.0.1:0"
LARGE = 2**63 + 1
TURNED = "\u202eevil\x9b"

pytestmark = pytest.mark.processes


class Taker(penstock.Actor):
    def __init__(self, taken: list[Any] | None = None) -> None:
        self.taken: list[Any] = [] if taken is None else taken
        self.large = LARGE
        self.turned = TURNED

    async def named(self, length: int, item: str = "x", *, note: str | None = None, sizes: dict[str, int] | None = None) -> int:
        self.taken.append((length, item, note, sizes))
        return length

    async def anything(self, value) -> None:
        self.taken.append(value)

    async def perhaps(self, value: int | None = 3) -> None:
        self.taken.append(value)


async def call(page: Any, method: str, *, actor: str = "taker", **given: str) -> None:
    """Call a method from its form, and wait until it is answered."""
    await page.click("#tab-call")
    await page.fill("#call [name=target]", actor)
    await page.dispatch_event("#call [name=target]", "change")
    await page.wait_for_selector(f"#call option[value={method}]", state="attached")
    await page.select_option("#call [name=method]", method)
    for name, text in given.items():
        await page.fill(f".arguments [name={name}]", text)
    await page.click(".arguments button")
    await page.see("#call .result .note", "— after")


async def test_a_form_gives_each_argument_as_it_was_typed(chromium):
    async with penstock.Node(console=URL) as node, chromium.page(node.console) as page:
        taken: list[Any] = []
        await node.spawn(Taker, taken, name="taker")
        await call(page, "named", length=str(LARGE), note="5", sizes=f'{{"a": {LARGE}}}')
        await page.see("#call .result", str(LARGE))
        await page.see(".arguments label", "note: string or null, optional")
        await call(page, "anything", value='{"value": 5}')
        for text in ("null", ""):
            await call(page, "perhaps", value=text)
        assert taken == [
            (LARGE, "x", "5", {"a": LARGE}),
            {"value": 5},
            *(None, 3),
        ]


async def test_values_show_their_large_integers_and_no_text_turns_what_stands_behind_it(chromium):
    async with penstock.Node(console=URL) as node, chromium.page(node.console) as page:
        await node.spawn(Taker, name="taker")
        await page.click("#actors .rows tr")
        await page.see("#actors aside pre", f'"large": {LARGE}', r'"turned": "\u202eevil\u009b"')


async def test_a_panel_tells_that_its_actor_or_stream_is_gone_and_gives_the_focus_back(chromium):
    async with penstock.Node(console=URL) as node, chromium.page(node.console) as page:
        actor = await node.spawn(Taker, name="taker")
        await page.click("#actors .rows tr")
        await page.see("#actors aside .doing")
        await penstock.ref(actor).stop()
        await page.see("#actors aside", "This actor has stopped.")
        assert await page.texts("#actors .doing button:enabled") == []
        await node.spawn(Taker, name="other")
        await page.click("#actors .rows tr:has-text('other')")
        await page.see("#actors aside h2", "other")
        await page.focus("#actors aside .title button")
        await page.press("Enter")
        assert await page.evaluate("document.activeElement.matches('#actors .rows tr')")


async def test_of_two_actors_that_are_chosen_at_once_the_last_one_is_shown(chromium):
    async with penstock.Node(console=URL) as node, chromium.page(node.console) as page:
        for name in ("first", "second"):
            await node.spawn(Taker, name=name)
        await page.see("#actors .rows tr", "second")
        await page.evaluate("""async () => {
            const real = fetch, kept = [];
            window.fetch = async (path, options) => {
                const answer = await real(path, options);
                if (path.includes("inspect") && !kept.length) await new Promise((go) => kept.push(go));
                return answer;
            };
            for (const row of document.querySelectorAll("#actors .rows tr")) row.click();
            const shown = () => document.querySelector("#actors aside h2")?.textContent;
            while (shown() !== "second") await new Promise(requestAnimationFrame);
            kept[0]();
            for (let frame = 0; frame < 10; frame++) await new Promise(requestAnimationFrame);
        }""")
        assert await page.texts("#actors aside h2") == ["second"]


async def test_the_events_of_a_history_are_one_stop_of_the_tab_key(chromium, tmp_path):
    async with penstock.Node(console=URL, history=tmp_path / "h.db") as node, chromium.page(node.console) as page:
        await node.spawn(Taker, name="taker")
        await node.ask("taker", "anything", 5)
        await page.click("#tab-history")
        await page.see("#history .events li", "reply")
        assert await page.count("#history .events [tabindex='0']") == 0
        await page.focus("#history .events")
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            await page.press(key)
        await page.see("#history li:nth-child(2) pre", '"args": [')
        shown = await page.count("#history .events li")
        await node.ask("taker", "anything", 6)
        await page.see("#history form .note", "Newer events wait")
        assert await page.count("#history .events li") == shown
        await page.press("Enter")
        await page.see("#history .events li:first-child", '{"n":2')
        assert await page.count("#history .events li") == shown + 2


async def test_a_history_that_is_cut_is_followed_again(chromium, tmp_path):
    async with penstock.Node(console=URL, history=tmp_path / "h.db") as node, chromium.page(node.console) as page:
        await node.spawn(Taker, name="taker")
        await page.route("**/Control/events", lambda route: route.abort(), times=1)
        await page.click("#tab-history")
        await page.see("#history .events li", "spawned")
        assert await page.text_content("#history form .note") == ""


async def test_nothing_behind_the_question_for_the_token_can_be_used(chromium):
    async with penstock.Node(console=URL) as node, chromium.page(node.console.partition("#")[0]) as page:
        await page.see("#lock input")
        for _ in range(8):
            await page.press("Tab")
            assert await page.evaluate(
                "document.activeElement === document.body || Boolean(document.activeElement.closest('#lock'))"
            )
