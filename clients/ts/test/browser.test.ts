/** The cases in Chromium, against a real server in Python. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import WebSocket from "ws";
import { connect } from "../src/node.ts";
import type { WebSocketClass } from "../src/transports/websocket.ts";
import { actors } from "./cases/actors.ts";
import { calls } from "./cases/calls.ts";
import { follow } from "./cases/follow.ts";
import { resume } from "./cases/resume.ts";
import { slow } from "./cases/slow.ts";
import { inChromium, launch } from "./chromium.ts";
import { PenstockServer, Proxy } from "./server.ts";

/** What test/page.ts gives to the tests. */
interface Given {
  runCase(url: string, name: string): Promise<string>;
  readOn(url: string, name: string): Promise<number[]>;
}

async function pageServer(): Promise<[Server, string]> {
  const { outputFiles } = await build({
    entryPoints: ["test/page.ts"],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  const script = outputFiles[0]?.text ?? "";
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><title>cases</title><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return [server, `http://127.0.0.1:${(server.address() as { port: number }).port}/`];
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
    const [serving, url] = await pageServer();
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
    await caller.call("Runs/start", [name, 400, 1]);
    const readOn = () =>
      page.evaluate(([url, run]) => (window as never as Given).readOn(url, run), [server.url, name] as const);
    const cutOff = assert.rejects(readOn());
    await page.waitForFunction((run) => JSON.parse(sessionStorage.getItem(run) ?? "[]").length > 50, name);
    await page.reload();
    await cutOff;
    await page.waitForFunction("window.readOn");
    const before = await page.evaluate((run) => JSON.parse(sessionStorage.getItem(run) ?? "[]").length, name);
    assert(before > 50 && before < 400, `${before} items before the reload`);
    assert.deepEqual(
      await readOn(),
      Array.from({ length: 400 }, (_, index) => index),
    );
    await caller.close();
  });

  for (const name of Object.keys({ ...actors, ...calls, ...follow, ...resume, ...slow }))
    test(name, async () => {
      const run = page.evaluate(
        ([url, each]) => (window as never as Record<string, Function>).runCase?.(url, each),
        [server.url, name],
      );
      assert.equal(await run, "");
    });
});
