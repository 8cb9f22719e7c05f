/** Rules of the source that a program can check. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const LINES_MAX = 400;
/** What a folder of the source may import, besides itself. Files that are in none may import all. */
const BELOW: Record<string, string[]> = {
  "src/core": [],
  "src/transports": ["src/core"],
  "src/session": ["src/core", "src/transports", "src"],
  "src/calls": ["src/core", "src/session", "src"],
  "src/refs": ["src/core", "src/session", "src/calls", "src"],
  "src/serving": ["src/core", "src/session", "src/calls", "src"],
  "src/actors": ["src/core", "src/session", "src/calls", "src"],
};
/** The one file of `src` that folders may import. */
const SHARED = "src/errors.ts";
/** What the pure core must not use: time, tasks, I/O, randomness. */
const IMPURE =
  /\b(setTimeout|setImmediate|queueMicrotask|Promise|async|await|performance|Date\.now|Math\.random|crypto|node:)\b/;

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join("src", name));
const text = (file: string): string => readFileSync(file, "utf8");
const folderOf = (file: string): string => Object.keys(BELOW).find((folder) => file.startsWith(`${folder}/`)) ?? "src";

for (const file of files) {
  test(`${file} begins with its job, and is short`, () => {
    assert.match(text(file), /^\/\*\*/);
    assert(text(file).split("\n").length <= LINES_MAX);
  });
  test(`${file} imports only what is below it`, () => {
    const folder = folderOf(file);
    if (folder === "src" && file !== SHARED) return;
    const targets = [...text(file).matchAll(/from "(\.[^"]+)"/g)].map((match) =>
      normalize(join(dirname(file), match[1] as string)),
    );
    for (const target of targets) {
      const allowed = [folder, ...(file === SHARED ? ["src/core"] : (BELOW[folder] ?? []))];
      assert(allowed.includes(folderOf(target)), `${file} imports ${target}`);
      if (folderOf(target) === "src" && folder !== "src") assert.equal(target, SHARED);
    }
  });
}

test("the core reads no clock, waits for nothing, and does no I/O", () => {
  for (const file of files.filter((each) => each.startsWith("src/core/"))) {
    const code = text(file).replace(/\/\*.*?\*\/|\/\/.*$/gms, "");
    assert.doesNotMatch(code, IMPURE, file);
  }
});

test("the package has no dependency, and its lock file names no host", () => {
  assert.equal(JSON.parse(text("package.json")).dependencies, undefined);
  assert.doesNotMatch(text("package-lock.json"), /https?:\/\/(?!\S*(funding|sponsors|opencollective))\S+\.tgz/);
});
