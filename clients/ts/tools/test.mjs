// Bundle test/*.test.ts into build/test and run them with Node's own runner. Arguments name files: `npm test -- vectors`.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { build } from "esbuild";

const names = process.argv.slice(2);
const files = readdirSync("test", { recursive: true })
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => names.length === 0 || names.some((part) => name.includes(part)));
if (files.length === 0) throw new Error(`no file of tests has one of these in its name: ${names}`);
rmSync("build/test", { recursive: true, force: true });
await build({
  entryPoints: files.map((name) => `test/${name}`),
  outdir: "build/test",
  outbase: "test",
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  alias: { "@penstock/client": process.cwd() + "/src/index.ts" },
  sourcemap: "inline",
  logLevel: "warning",
});
const built = files.map((name) => `build/test/${name.replace(/\.ts$/, ".js")}`);
const reporter = process.stdout.isTTY ? "spec" : "dot";
// Most files wait for a server or a browser, so two share a processor; by itself Node leaves one of two unused.
const args = [
  "--enable-source-maps",
  "--test",
  `--test-concurrency=${process.env.JOBS ?? Math.max(3, availableParallelism())}`,
  `--test-reporter=${process.env.REPORTER ?? reporter}`,
  "--test-timeout=180000",
  ...built,
];
process.exit(spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1);
