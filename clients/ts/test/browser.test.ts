/** The cases in Chromium, against a real server in Python. */
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { after, before, test } from "node:test";
import type { Browser, CDPSession, Page } from "playwright-core";
import WebSocket from "ws";
import { connect } from "../src/node.ts";
import type { WebSocketClass } from "../src/transports/websocket.ts";
import { actors } from "./cases/actors.ts";
import { calls } from "./cases/calls.ts";
import { follow } from "./cases/follow.ts";
import { refs } from "./cases/refs.ts";
import { resume } from "./cases/resume.ts";
import { serving } from "./cases/serving.ts";
import { slow } from "./cases/slow.ts";
import { inChromium, launch, servePage } from "./chromium.ts";
import { PenstockServer, Proxy } from "./server.ts";

/** What test/page.ts gives to the tests. */
interface Given {
  runCase(url: string, name: string): Promise<string>;
  readOn(url: string, name: string): Promise<number[]>;
  takeSlowly(url: string, size: number, bufferSize: number, seconds: number): Promise<void>;
}

/** The short form; the whole minute of it is PENSTOCK_SLOW_SECONDS=60. */
const SLOW_SECONDS = Number(process.env.PENSTOCK_SLOW_SECONDS ?? 3);
const ITEM_CHARACTERS = 50_000;
const ITEMS_AHEAD = 16;
const FLAT_BYTES = ITEM_CHARACTERS * ITEMS_AHEAD;

/** What the page of a browser holds after a collection of garbage. */
async function heapBytes(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.collectGarbage");
  const usage = (await session.send("Runtime.getHeapUsage")) as { usedSize: number; backingStorageSize?: number };
  return usage.usedSize + (usage.backingStorageSize ?? 0);
}

async function giveProxies(page: Page, port: number, proxies: Proxy[]): Promise<void> {
  await page.exposeFunction("openProxy", async () => {
    const proxy = await Proxy.to(port);
    return [proxies.push(proxy) - 1, `ws://127.0.0.1:${proxy.port}`];
  });
  await page.exposeFunction("moveProxy", (id: number, what: string) => {
    const proxy = proxies[id] as Proxy;
    if (what === "cut") proxy.cut();
    if (what === "accept" || what === "refuse") proxy.accepts = what === "accept";
    return proxy.connections;
  });
}

inChromium("the cases", () => {
  let server: PenstockServer;
  let pages: Server;
  let browser: Browser;
  let page: Page;
  const proxies: Proxy[] = [];

  before(async () => {
    server = await PenstockServer.start("ws://127.0.0.1:0");
    browser = await launch();
    page = await browser.newPage();
    const [serving, url] = await servePage("test/page.ts");
    pages = serving;
    await giveProxies(page, server.port, proxies);
    await page.goto(url);
    await page.waitForFunction("window.runCase");
  });
  after(async () => {
    await browser?.close();
    pages?.close();
    for (const proxy of proxies) proxy.close();
    await server?.stop();
  });

  test("a reload in mid-stream goes on at the next item", async () => {
    const name = "reloaded";
    const caller = await connect(server.url, { WebSocket: WebSocket as unknown as WebSocketClass });
    const numbers = Array.from({ length: 400 }, (_, index) => index);
    await caller.call("Runs/append", [name, numbers.slice(0, 200)]);
    const readOn = () =>
      page.evaluate(([url, run]) => (window as never as Given).readOn(url, run), [server.url, name] as const);
    const cutOff = assert.rejects(readOn());
    await page.waitForFunction((run) => JSON.parse(sessionStorage.getItem(run) ?? "[]").length > 50, name);
    await page.reload();
    await cutOff;
    await page.waitForFunction("window.readOn");
    const before = await page.evaluate((run) => JSON.parse(sessionStorage.getItem(run) ?? "[]").length, name);
    assert(before > 50 && before <= 200, `${before} items before the reload`);
    await caller.call("Runs/append", [name, numbers.slice(200)]);
    await caller.call("Runs/end", [name]);
    assert.deepEqual(await readOn(), numbers);
    await caller.close();
  });

  test(`one item a second for ${SLOW_SECONDS} s: its producer is bufferSize ahead, and the memory of the tab is flat`, async () => {
    const asker = await connect(server.url, { WebSocket: WebSocket as unknown as WebSocketClass });
    const session = await page.context().newCDPSession(page);
    const taking = page.evaluate(
      ([url, size, ahead, seconds]) => (window as never as Given).takeSlowly(url, size, ahead, seconds),
      [server.url, ITEM_CHARACTERS, ITEMS_AHEAD, SLOW_SECONDS] as const,
    );
    const heaps: number[] = [];
    for (let taken = 1; taken <= SLOW_SECONDS; taken++) {
      await page.waitForFunction((count) => (window as never as { taken: number }).taken === count, taken);
      heaps.push(await heapBytes(session));
      const made = (await asker.call<[number, number]>("Market/progress"))[0];
      assert(made <= taken + 1 + ITEMS_AHEAD, `${made} items made, where ${taken} were taken`);
    }
    await taking;
    await asker.close();
    const grown = Math.max(...heaps) - Math.min(...heaps);
    if (SLOW_SECONDS > 3) console.error(`the heap of the tab: ${Math.min(...heaps)} to ${Math.max(...heaps)} bytes`);
    assert(grown <= FLAT_BYTES, `the tab holds ${heaps}`);
  });

  for (const name of Object.keys({ ...actors, ...calls, ...follow, ...refs, ...resume, ...serving, ...slow }))
    test(name, async () => {
      const run = page.evaluate(
        ([url, each]) => (window as never as Record<string, Function>).runCase?.(url, each),
        [server.url, name],
      );
      assert.equal(await run, "");
    });
});
