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

/** Run a program of the page against the service of another, whose `described` class it knows by its types. */
async function ran(program: string, service: string, described: string, asFile: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-"));
  const [file, served] = service.split(":") as [string, string];
  writeFileSync(join(folder, file), block(file));
  const env = { ...process.env, PYTHONPATH: `${ROOT}/src` };
  const types = spawnSync(python, ["-m", "penstock", "typescript", `${file}:${described}`], { cwd: folder, env });
  assert.equal(types.status, 0, types.stderr.toString());
  writeFileSync(join(folder, asFile), types.stdout);
  const server = await PenstockServer.serve("ws://127.0.0.1:0", join(folder, `${file}:${served}`));
  try {
    writeFileSync(join(folder, program), block(program).replace("7700", `${server.port}`));
    const outfile = join(folder, "program.mjs");
    const alias = {
      "@penstock/client": `${process.cwd()}/src/index.ts`,
      "@penstock/client/serve": `${process.cwd()}/src/serve.ts`,
    };
    await build({ entryPoints: [join(folder, program)], bundle: true, platform: "node", format: "esm", outfile, alias });
    const run = spawnSync(process.execPath, ["--experimental-websocket", outfile], { timeout: 20_000 });
    assert.equal(run.status, 0, run.stderr.toString());
    return run.stdout.toString();
  } finally {
    await server.stop();
  }
}

test("the programs of the page print what the page says", async () => {
  const said = [...page.matchAll(/^```text\n(.*?)^```$/gms)].map((found) => found[1]);
  assert.deepEqual(
    [
      await ran("watch.ts", "shares.py:Prices", "Prices", "prices.ts"),
      await ran("screen_of_ann.ts", "greeter.py:Greeter", "Screen", "screen.ts"),
    ],
    said,
  );
});

test("the package that is built can be imported in Node, and its bundle", () => {
  const built = spawnSync(process.execPath, ["tools/build.mjs", "build/dist"]);
  assert.equal(built.status, 0, built.stderr.toString());
  const program = `
    import { connect, service, Stream } from "./build/dist/node.js";
    import { offer } from "./build/dist/serve.js";
    import * as bundle from "./build/dist/penstock.min.js";
    import { itemsOf } from "./build/dist/refs.js";
    import * as all from "./build/dist/penstock-all.min.js";
    if (!connect || !service || !Stream || !offer || !itemsOf || !bundle.connect || !all.connect || !all.offer || !all.itemsOf) throw new Error("a name is missing");`;
  const ran = spawnSync(process.execPath, ["--input-type=module", "--eval", program]);
  assert.equal(ran.status, 0, ran.stderr.toString());
});
