/** A real browser: Chromium, that of the system or the one that `PENSTOCK_CHROMIUM` names. Continuous integration must have one. */
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { delimiter, join } from "node:path";
import { describe, test } from "node:test";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";

/** As in tests/web/console/kit.py. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FOLDERS = (process.env.PATH ?? "").split(delimiter);
const executablePath =
  process.env.PENSTOCK_CHROMIUM || NAMES.flatMap((name) => FOLDERS.map((folder) => join(folder, name))).find(existsSync);

/** Describe tests that need a browser. A machine of your own may have none, and says so. */
export function inChromium(title: string, tests: () => void): void {
  if (executablePath !== undefined) return void describe(`${title}, in Chromium`, tests);
  const missing = "there is no Chromium: install it, or name one by PENSTOCK_CHROMIUM";
  if (process.env.CI === "true") return void test(title, () => Promise.reject(new Error(missing)));
  console.error(`NOT TESTED IN A BROWSER: ${title}: ${missing}`);
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath as string, args: ["--no-sandbox"] });
}

/** Serve a page that runs a script of the tests. */
export async function servePage(entry: string): Promise<[Server, string]> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    target: "es2022",
    alias: { "@penstock/client": `${process.cwd()}/src/index.ts` },
    define: { "process.nextTick": "queueMicrotask" }, // a dependency of the Durable Streams client counts on its bundler
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
