// The size of what a browser loads: the whole client, minified and gzipped. Fails when it is over its limit.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BYTES_MAX = 20_000;

const { outputFiles } = await build({
  entryPoints: ["src/index.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const code = outputFiles[0].contents;
const size = gzipSync(code, { level: 9 }).length;
console.log(`@penstock/client: ${code.length} bytes minified, ${size} gzipped, of at most ${BYTES_MAX}`);
process.exitCode = size <= BYTES_MAX ? 0 : 1;
