/** A real browser: Chromium, that of the system or the one that `PENSTOCK_CHROMIUM` names. Continuous integration must have one. */
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { type Browser, chromium } from "playwright-core";

const KNOWN = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.PENSTOCK_CHROMIUM ?? KNOWN.find(existsSync);

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
