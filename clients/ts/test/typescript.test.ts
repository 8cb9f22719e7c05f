/** The modules that `penstock typescript` writes: tsc reads them, and a program that uses them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { ROOT, python } from "./server.ts";

const FOLDER = "build/types";

const MARKET_PROGRAM = `
import { connect } from "@penstock/client";
import { Market, type Price } from "./market.ts";

const peer = await connect("ws://127.0.0.1:1");
const market = peer.service(Market);
const quote: number = await market.quote("ACME", 2, { deadlineMs: 100 });
for await (const price of market.prices(3, { bufferSize: 16 })) price.venue satisfies Price["venue"] as string;
const total: number = await market.total([1, 2]);
const reader: ReadableStreamDefaultReader<number> = market.double(new Set([quote, total])).readable().getReader();
// @ts-expect-error the symbol is a string
void market.quote(5);
// @ts-expect-error items are numbers
void market.total(["a"]);
void reader;
`;

const SCREEN_PROGRAM = `
import { connect } from "@penstock/client";
import { offer, type Implementation } from "@penstock/client/serve";
import { Screen } from "./screen.ts";

const screen: Implementation<Screen> = {
  show: (text, times = 1, { signal } = {}) => (signal?.aborted ? "" : text.repeat(times)),
  keys: async function* (n) { yield n; },
  total: async (numbers, start = 0) => { for await (const number of numbers) start += number; return start; },
  double: (numbers) => numbers,
  some: async (numbers, wanted) => [wanted, (await numbers.next()).value ?? 0],
  echo: (value) => value,
  fail: () => {},
  told: async () => ({}),
  forever: () => new Promise(() => {}),
};
void connect("ws://127.0.0.1:1", { services: [offer(Screen, screen)] });
// @ts-expect-error the text that is shown is a string
void offer(Screen, { ...screen, show: () => 5 });
// @ts-expect-error items are numbers
void offer(Screen, { ...screen, keys: () => ["a"] });
// @ts-expect-error the requests are numbers
void offer(Screen, { ...screen, some: async (texts: AsyncIterable<string>) => [] });
`;

const ODD_PROGRAM = `
import { connect } from "@penstock/client";
import { Oddities } from "./oddities.ts";

const odd = (await connect("ws://127.0.0.1:1")).service(Oddities);
const trade = await odd.trade(1, undefined, "red");
if (trade.type === "Sold") trade.y[0]?.when?.getTime();
else trade.x.toFixed();
const bytes: Uint8Array = await odd.echo(new Uint8Array(1), [1], [[1]]);
const done: void = await odd.nothing();
void [bytes, done, (await odd.late(undefined, "x"))["with-dash"]];
`;

function write(name: string, spec: string, program: string): void {
  const made = spawnSync(python, ["-m", "penstock", "typescript", spec], {
    cwd: ROOT,
    env: { ...process.env, PYTHONPATH: `${ROOT}/src:${ROOT}` },
  });
  assert.equal(made.status, 0, made.stderr.toString());
  writeFileSync(`${FOLDER}/${name}.ts`, made.stdout);
  writeFileSync(`${FOLDER}/use_${name}.ts`, program);
}

test("tsc reads what `penstock typescript` writes, and knows the types of each method", () => {
  mkdirSync(FOLDER, { recursive: true });
  write("market", "tests.clients.market:Market", MARKET_PROGRAM);
  write("screen", "tests.clients.screen:Screen", SCREEN_PROGRAM);
  assert.equal(readFileSync("test/cases/screen.ts", "utf8"), readFileSync(`${FOLDER}/screen.ts`, "utf8"));
  write("oddities", "tests.clients.oddities:Oddities", ODD_PROGRAM);
  const compilerOptions = {
    paths: { "@penstock/client": ["../../src/index.ts"], "@penstock/client/serve": ["../../src/serve.ts"] },
  };
  writeFileSync(
    `${FOLDER}/tsconfig.json`,
    JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"] }),
  );
  const checked = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "--project", FOLDER]);
  assert.equal(checked.stdout.toString(), "");
  assert.equal(checked.status, 0);
});
