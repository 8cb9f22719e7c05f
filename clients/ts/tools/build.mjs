// Build the package: modules with their types by tsc, and for pages without a bundler penstock.min.js,
// and penstock-serve.min.js, which has `offer`, too.
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
const both = { contents: 'export * from "./index.ts"; export * from "./serve.ts";', resolveDir: "src" };
await build({ ...bundle, stdin: both, outfile: `${outdir}/penstock-serve.min.js` });
