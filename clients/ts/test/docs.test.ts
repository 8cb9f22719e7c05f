/** The program of docs/howto/typescript.md prints what the page says; the package that `npm run build` makes can be imported. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { build } from "esbuild";
import { PenstockServer, python, ROOT } from "./server.ts";

const page = readFileSync(`${ROOT}/docs/howto/typescript.md`, "utf8");

const block = (title: string): string => {
  const found = new RegExp(`^\`\`\`\\w+ title="${title}"\\n(.*?)^\`\`\`$`, "ms").exec(page)?.[1];
  assert(found, `the page has no ${title}`);
  return found;
};

test("the program of the page prints what the page says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "penstock-"));
  writeFileSync(join(folder, "shares.py"), block("shares.py"));
  const env = { ...process.env, PYTHONPATH: `${ROOT}/src` };
  const types = spawnSync(python, ["-m", "penstock", "typescript", "shares.py:Prices"], { cwd: folder, env });
  assert.equal(types.status, 0, types.stderr.toString());
  writeFileSync(join(folder, "prices.ts"), types.stdout);
  const server = await PenstockServer.serve("ws://127.0.0.1:0", join(folder, "shares.py:Prices"));
  try {
    writeFileSync(join(folder, "watch.ts"), block("watch.ts").replace("7700", `${server.port}`));
    const outfile = join(folder, "watch.mjs");
    const alias = { "@penstock/client": `${process.cwd()}/src/index.ts` };
    await build({ entryPoints: [join(folder, "watch.ts")], bundle: true, platform: "node", format: "esm", outfile, alias });
    const ran = spawnSync(process.execPath, ["--experimental-websocket", outfile], { timeout: 20_000 });
    const expected = /^```text\n(.*?)^```$/ms.exec(page)?.[1];
    assert.equal(ran.stdout.toString(), expected, ran.stderr.toString());
  } finally {
    await server.stop();
  }
});

test("the package that is built can be imported in Node, and its bundle", () => {
  const built = spawnSync(process.execPath, ["tools/build.mjs", "build/dist"]);
  assert.equal(built.status, 0, built.stderr.toString());
  const program = `
    import { connect, service, Stream } from "./build/dist/node.js";
    import * as bundle from "./build/dist/penstock.min.js";
    if (!connect || !service || !Stream || !bundle.connect) throw new Error("a name is missing");`;
  const ran = spawnSync(process.execPath, ["--input-type=module", "--eval", program]);
  assert.equal(ran.status, 0, ran.stderr.toString());
});
