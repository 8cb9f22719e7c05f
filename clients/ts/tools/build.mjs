// Build the package: modules with their types by tsc, and for pages without a bundler penstock.min.js,
// and penstock-all.min.js, which has the modules `serve` and `refs`, too.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { build } from "esbuild";

const outdir = process.argv[2] ?? "dist";
rmSync(outdir, { recursive: true, force: true });
const tsc = ["node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json", "--outDir", outdir];
const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
const bundle = { bundle: true, minify: true, format: "esm", target: "es2022" };
await build({ ...bundle, entryPoints: ["src/index.ts"], outfile: `${outdir}/penstock.min.js` });
const all = ["index", "serve", "refs"].map((name) => `export * from "./${name}.ts";`).join("\n");
await build({ ...bundle, stdin: { contents: all, resolveDir: "src" }, outfile: `${outdir}/penstock-all.min.js` });
