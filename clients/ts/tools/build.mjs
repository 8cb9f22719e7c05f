// Build the package: modules with their types by tsc, and penstock.min.js for pages without a bundler.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { build } from "esbuild";

const outdir = process.argv[2] ?? "dist";
rmSync(outdir, { recursive: true, force: true });
const tsc = ["node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json", "--outDir", outdir];
const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
await build({
  entryPoints: ["src/index.ts"],
  outfile: `${outdir}/penstock.min.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
});
