/** examples/chat: pages of Chromium and a terminal in one room, over connections that are cut and a server that dies. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { inChromium, launch } from "./chromium.ts";
import { Proxy, python, ROOT } from "./server.ts";

const CHAT = `${ROOT}/examples/chat`;
const EACH = 20;
const env = {
  ...process.env,
  PYTHONPATH: `${ROOT}/src`,
  PYTHONUNBUFFERED: "1",
  XDG_STATE_HOME: mkdtempSync(join(tmpdir(), "penstock-")),
};

/** A program of the example, and the lines that it prints. */
class Program {
  /** Its exit code. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string, ...args: string[]) {
    this.#child = spawn(python, [`${CHAT}/${name}`, ...args], { env, stdio: ["pipe", "pipe", "inherit"] });
    process.on("exit", () => this.#child.kill("SIGKILL"));
    this.ended = once(this.#child, "exit").then(([code]) => code as number | null);
    const lines: Interface = createInterface(this.#child.stdout as NonNullable<ChildProcess["stdout"]>);
    this.#lines = lines[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    assert(!done, "the program has ended");
    return value as string;
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(signal);
    await this.ended;
  }
}

async function serve(...more: string[]): Promise<{ server: Program; tls: string; port: number }> {
  const server = new Program("server.py", "tls://127.0.0.1:0", "--web", "http://127.0.0.1:0", ...more);
  const tls = (await server.line()).split(" ").at(-1) as string;
  return { server, tls, port: Number(new URL((await server.line()).split(" ").at(-1) as string).port) };
}

const texts = (page: Page, user = ""): Promise<string[]> =>
  page
    .locator(".said")
    .evaluateAll(
      (items, by) =>
        (items as HTMLElement[])
          .filter((item) => (item.dataset.by ?? "").startsWith(by))
          .map((item) => item.querySelector(".text")?.textContent ?? ""),
      user,
    );

/** By its keyboard alone, as everything here. */
async function joined(browser: Browser, url: string, name: string, size = { width: 1000, height: 700 }): Promise<Page> {
  const page = await browser.newPage({ viewport: size });
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  await page.keyboard.type(name);
  await page.keyboard.press("Enter");
  await page.locator(".member", { hasText: name }).waitFor({ state: "attached" });
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.keyboard.insertText(text);
  await page.keyboard.press("Enter");
}

const members = (page: Page): Promise<(string | null)[]> =>
  page.locator(".member").evaluateAll((items) => items.map((item) => item.getAttribute("aria-label")));

inChromium("the chat", () => {
  let browser: Browser;
  let server: Program;
  let tls: string;
  let port: number;
  const undo: (() => Promise<void> | void)[] = [];

  before(async () => {
    assert.equal(spawnSync(process.execPath, ["tools/chat.mjs"], { stdio: "inherit" }).status, 0);
    ({ server, tls, port } = await serve());
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    for (const each of undo) await each();
    await server?.stop();
  });

  async function proxied(to = port): Promise<[Proxy, string]> {
    const proxy = await Proxy.to(to);
    undo.push(() => proxy.close());
    return [proxy, `http://127.0.0.1:${proxy.port}/`];
  }

  /** Let two pages and a terminal say `EACH` messages, while the connections of the pages are cut. */
  async function conversation(at: { tls: string; port: number }): Promise<{ ann: Page; events: string[] }> {
    const [[near, annsUrl], [far, bensUrl]] = [await proxied(at.port), await proxied(at.port)];
    const terminal = new Program("chat_client.py", "carla", "--url", at.tls);
    undo.push(() => terminal.stop());
    assert.equal(await terminal.line(), "* here: carla");
    const [ann, ben] = [await joined(browser, annsUrl, "ann"), await joined(browser, bensUrl, "ben")];
    const atFirst = Math.max(near.connections, far.connections);
    for (let count = 0; count < EACH; count++) {
      await say(ann, `ann ${count}`);
      if (count % 6 === 3) near.cut();
      terminal.type(`carla ${count}`);
      await say(ben, `ben ${count}`);
      if (count % 6 === 5) far.cut();
    }
    for (const page of [ann, ben]) {
      await page.waitForFunction((all) => document.querySelectorAll(".said").length >= all, 3 * EACH);
      await page.waitForFunction((own) => document.querySelectorAll('[data-state="delivered"]').length === own, EACH);
      await page.getByText("connected", { exact: true }).waitFor();
    }
    const heard = await texts(ann);
    assert.equal(heard.length, 3 * EACH);
    for (const user of ["ann", "ben", "carla"])
      assert.deepEqual(
        await texts(ben, user),
        Array.from({ length: EACH }, (_, count) => `${user} ${count}`),
      );
    assert.deepEqual(await texts(ben), heard);
    const [printed, events]: [string[], string[]] = [[], []];
    while (printed.length < heard.length) {
      const line = await terminal.line();
      const said = /^\[general\] \w+: (.*)$/.exec(line)?.[1];
      if (said === undefined) events.push(line);
      else printed.push(said);
    }
    assert.deepEqual(printed, heard);
    assert(near.connections > atFirst && far.connections > atFirst, `${near.connections} and ${far.connections} connections`);
    await terminal.stop();
    return { ann, events };
  }

  test("two pages and a terminal hear the same in the same order, over connections that are cut", async () => {
    const { ann, events } = await conversation({ tls, port });
    assert.deepEqual(
      await members(ann),
      ["ann", "ben", "carla"].map((name) => `${name}, ${EACH} messages`),
    );
    assert.deepEqual(events, ["* ann joined", "* ben joined"]);
  });

  test("they do so when the server gives up each session whose connection is cut", async () => {
    const forgetful = await serve("--away", "0.001");
    undo.push(() => forgetful.server.stop());
    const { events } = await conversation(forgetful);
    for (const lost of ["* ann left", "* ben left"]) assert(events.includes(lost), `${lost} is not among ${events}`);
  });

  test("a message that is refused says why, and the conversation goes on", async () => {
    const [, url] = await proxied();
    const page = await joined(browser, `${url}#refused`, "ann");
    await say(page, "x".repeat(2001));
    await page.getByRole("alert").filter({ hasText: "Not sent: a message has 1 to 2000 characters." }).waitFor();
    await say(page, "short");
    await page.locator('[data-state="delivered"]', { hasText: "short" }).waitFor();
    assert.deepEqual(await members(page), ["ann, 1 messages"]);
    assert.equal(await page.locator('[data-state="refused"]').count(), 1);
  });

  test("a name that is refused says why at the form", async () => {
    const [, url] = await proxied();
    const page = await browser.newPage();
    await page.goto(url);
    await page.keyboard.type("n".repeat(41));
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "the name of a user has 1 to 40 characters" }).waitFor();
    assert(await page.getByLabel("Your name").isVisible());
  });

  test("a reload is back in its room with what was said, and one who leaves is missed", async () => {
    const [, url] = await proxied();
    const [ann, ben] = [await joined(browser, `${url}#again`, "ann"), await joined(browser, `${url}#again`, "ben")];
    await say(ann, "before");
    await ben.getByText("before").waitFor();
    await ben.reload();
    await ben.getByText("before").waitFor();
    await ben.locator(".member").nth(1).waitFor();
    await say(ben, "after");
    await ann.getByText("after").waitFor();
    assert.deepEqual(await texts(ann), ["before", "after"]);
    await ben.getByRole("button", { name: "Leave" }).press("Enter");
    await ann.locator(".event", { hasText: "ben has left" }).last().waitFor();
    await ann.waitForFunction(() => document.querySelectorAll(".member").length === 1);
    assert(await ben.getByLabel("Your name").isVisible());
  });

  test("history is shown since a moment, or not at all", async () => {
    const [, url] = await proxied();
    const ann = await joined(browser, `${url}#old`, "ann");
    await say(ann, "old");
    await ann.locator('[data-state="delivered"]').waitFor();
    const shown = async (choice: string) => {
      const page = await browser.newPage();
      await page.goto(`${url}#old`);
      await page.getByLabel("Show").selectOption({ label: choice });
      await page.getByLabel("Your name").fill("ben");
      await page.keyboard.press("Enter");
      await page.locator(".member").nth(1).waitFor();
      const found = await texts(page);
      await page.close();
      return found;
    };
    assert.deepEqual(await shown("the last hour"), ["old"]);
    assert.deepEqual(await shown("only what is new"), []);
  });

  test("what is said while the server is started anew is sent to the next one, once", async () => {
    const first = await serve();
    const [proxy, url] = await proxied(first.port);
    const page = await joined(browser, url, "ann");
    await say(page, "to the first");
    await page.locator('[data-state="delivered"]').waitFor();
    await first.server.stop();
    await page.getByText("reconnecting").waitFor();
    await say(page, "to the second");
    const second = await serve();
    undo.push(() => second.server.stop());
    proxy.leadTo(second.port);
    await page.locator('[data-state="delivered"]', { hasText: "to the second" }).waitFor();
    assert.deepEqual(await texts(page), ["to the first", "to the second"]);
    assert.deepEqual(await members(page), ["ann, 1 messages"]);
  });

  test("on a phone nothing is wider than the screen, and the members are one key away", async () => {
    const [, url] = await proxied();
    const page = await joined(browser, `${url}#${"r".repeat(40)}`, "ann", { width: 360, height: 640 });
    await say(page, "w".repeat(300));
    await page.locator('[data-state="delivered"]').waitFor();
    assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert(!(await page.locator(".member").isVisible()));
    await page.getByRole("button", { name: "1 here" }).press("Enter");
    assert(await page.locator(".member").isVisible());
    await page.keyboard.press("Escape");
    assert(!(await page.locator(".member").isVisible()));
  });

  test("the server ends well with pages that are open", async () => {
    const { server: leaving, port: at } = await serve();
    const page = await joined(browser, `http://127.0.0.1:${at}/`, "ann");
    const [code] = await Promise.all([leaving.ended, leaving.stop("SIGINT")]);
    assert.equal(code, 0);
    await page.getByText("reconnecting").waitFor();
  });

  test("its types are those of the service", () => {
    const run = spawnSync(python, ["-m", "penstock", "typescript", "service:Chat"], { cwd: CHAT, env });
    assert.equal(run.stdout.toString(), readFileSync(`${CHAT}/page/service.ts`, "utf8"), run.stderr.toString());
  });
});
