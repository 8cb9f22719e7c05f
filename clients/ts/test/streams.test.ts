/** Retained streams over HTTP in Chromium: a plain `EventSource`, and the client of the open Durable Streams protocol. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { inChromium, launch, servePage } from "./chromium.ts";
import { PenstockServer } from "./server.ts";

const COUNT = 300;
const BATCH = 5;

/** Append the numbers below `COUNT` and close the stream: each batch again, under its number, until it is acknowledged. */
async function write(url: string, wrote: (count: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < COUNT; first += BATCH) {
    const headers: Record<string, string> = {
      "content-type": "application/json",
      "producer-id": "writer",
      "producer-epoch": "0",
      "producer-seq": String(first / BATCH),
    };
    if (first + BATCH === COUNT) headers["stream-closed"] = "true";
    const body = JSON.stringify(Array.from({ length: BATCH }, (_, index) => first + index));
    for (;;) {
      const answer = await fetch(url, { method: "POST", headers, body }).catch(() => undefined);
      if (answer?.ok) break;
      assert.equal(answer, undefined, `${answer?.status}`);
      await sleep(20);
    }
    await wrote(first + BATCH);
  }
}

inChromium("retained streams over HTTP", () => {
  let browser: Browser;
  let page: Page;
  let pages: Server;

  before(async () => {
    browser = await launch();
    page = await browser.newPage();
    const [serving, url] = await servePage("test/streams_page.ts");
    pages = serving;
    await page.goto(url);
    await page.waitForFunction("window.produce");
  });
  after(async () => {
    await browser?.close();
    pages?.close();
  });

  const run = (name: string, ...args: unknown[]) =>
    page.evaluate(([call, given]) => (window as never as Record<string, Function>)[call]?.(...given), [name, args] as const);
  const reading = (name: string) =>
    page.evaluate(`readings[${JSON.stringify(name)}]`) as Promise<{ items: number[]; opened: number; isOver: boolean }>;
  const isOver = (name: string) => page.waitForFunction(`readings[${JSON.stringify(name)}].isOver`);

  test("EventSource and the client go on by themselves when the server is killed and started again", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "penstock-")), "kept.db");
    let server = await PenstockServer.start("http://127.0.0.1:0", "--kept", file);
    const url = `${server.url}/v1/stream/kept`;
    try {
      await run("bySource", "source", url);
      void run("byClient", "client", url, "sse");
      await write(url, async (count) => {
        if (count !== COUNT / 2) return;
        await page.waitForFunction("readings.source.items.length > 20 && readings.client.items.length > 20");
        await server.stop("SIGKILL");
        server = await PenstockServer.start(server.url, "--kept", file);
      });
      for (const name of ["source", "client"]) {
        await isOver(name);
        const { items, opened } = await reading(name);
        assert.deepEqual(
          items,
          Array.from({ length: COUNT }, (_, index) => index),
        );
        assert(opened > 1, `${opened} responses`);
      }
    } finally {
      await server.stop();
    }
  });

  test("the client of the protocol produces a stream, and follows it by events and by long polls", async () => {
    const server = await PenstockServer.start("http://127.0.0.1:0");
    const url = `${server.url}/v1/stream/made`;
    try {
      await run("produce", url, COUNT);
      for (const live of ["sse", "long-poll"]) {
        await run("byClient", live, url, live);
        assert.deepEqual(
          (await reading(live)).items,
          Array.from({ length: COUNT }, (_, index) => index),
        );
      }
    } finally {
      await server.stop();
    }
  });
});
