// Build the page of examples/chat into its folder `dist`: `npm run chat`. With a folder as its argument, into that one.
import { copyFileSync, mkdirSync } from "node:fs";
import { build } from "esbuild";

const page = new URL("../../../examples/chat/page/", import.meta.url).pathname;
const outdir = process.argv[2] ?? `${page}dist`;
mkdirSync(outdir, { recursive: true });
for (const name of ["index.html", "chat.css"]) copyFileSync(page + name, `${outdir}/${name}`);
await build({
  entryPoints: [`${page}chat.ts`],
  outfile: `${outdir}/chat.js`,
  alias: { "@penstock/client": new URL("../src/index.ts", import.meta.url).pathname },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
});
