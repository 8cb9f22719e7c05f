/** Calls to a real server in Python, over TCP. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CallFailed, Cancelled, Code, connect, ConnectionLost, type Peer, service, type Stream } from "../src/node.ts";
import { PenstockServer } from "./server.ts";

interface Market {
  quote(symbol: string, digits?: number, options?: object): Promise<number>;
  count(n: number, start?: number, options?: object): Stream<number>;
  total(numbers: AsyncIterable<number> | Iterable<number> | ReadableStream<number>, start?: number, options?: object): Promise<number>;
  double(numbers: AsyncIterable<number> | Iterable<number>, options?: object): Stream<number>;
}
const Market = service<Market>("Market", {
  quote: ["unary", "symbol", "digits"],
  count: ["server_streaming", "n", "start"],
  total: ["client_streaming", "start"],
  double: ["bidirectional"],
});

let server: PenstockServer;
let peer: Peer;
let market: Market;

before(async () => {
  server = await PenstockServer.start();
  peer = await connect(server.url);
  market = peer.service(Market);
});

after(async () => {
  peer?.close();
  await server?.stop();
});

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Ask until something is so; a test that waits for ever is ended by its time-out. */
async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await sleep(2);
}

const progress = () => peer.call<[made: number, left: number]>("Market/progress");

test("the four kinds of call, by a description of the service", async () => {
  assert.equal(await market.quote("ACME"), 101.51);
  assert.deepEqual(await collected(market.count(3)), [0, 1, 2]);
  assert.equal(await market.total([1, 2, 3]), 6);
  assert.deepEqual(await collected(market.double([1, 2, 3])), [2, 4, 6]);
});

test("the four kinds of call, by their targets", async () => {
  assert.equal(await peer.call("Market/quote", { symbol: "ACME", digits: 1 }), 101.5);
  assert.deepEqual(await collected(peer.stream("Market/count", [2, 5])), [5, 6]);
  assert.equal(await peer.call("Market/total", [], { requests: new Set([1, 2]) }), 3);
  assert.deepEqual(await collected(peer.stream("Market/double", [], { requests: [7] })), [14]);
});

test("an argument that is left out has its default, also before one that is given", async () => {
  const Late = service<{ count(n: number | undefined, start: number): Stream<number> }>("Market", {
    count: ["server_streaming", "n", "start"],
  });
  await assert.rejects(collected(peer.service(Late).count(undefined, 2)), (error: CallFailed) => {
    assert.match(error.message, /n/);
    return error.code === Code.INVALID_ARGUMENT;
  });
  assert.equal(await market.total([1], undefined, {}), 1);
});

test("values of all types go there and back", async () => {
  const value = {
    text: "Aä漢😀",
    long: "x".repeat(100_000),
    numbers: [0, -1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 31) - 1, 1.5, -0.1],
    huge: 2n ** 63n,
    bytes: Uint8Array.of(0, 255),
    nothing: null,
    yes: true,
    when: new Date("2026-01-02T03:04:05.678Z"),
    nested: { list: [[], {}, [{ a: 1 }]] },
    __proto__x: 1,
  };
  assert.deepEqual(await peer.call("Market/echo", [value]), value);
});

test("a large argument and a large item travel in fragments", async () => {
  const large = new Uint8Array(3_000_000).map((_, index) => index % 251);
  assert.deepEqual(await peer.call("Market/echo", [large]), large);
});

test("an error has its code, reason, message and details", async () => {
  await assert.rejects(market.quote("XXXX"), (error: CallFailed) => {
    assert(error instanceof CallFailed);
    assert.deepEqual(
      { ...error, message: error.message },
      { name: "CallFailed", code: Code.NOT_FOUND, reason: "not_found", message: "XXXX is gone", details: { symbol: "XXXX" }, started: true },
    );
    return true;
  });
});

test("a method that is unknown was never started", async () => {
  await assert.rejects(peer.call("Market/qote", ["ACME"]), { code: Code.UNIMPLEMENTED, started: false });
});

test("a stream that fails throws its error after the items before it", async () => {
  const items: unknown[] = [];
  await assert.rejects(
    async () => {
      for await (const item of peer.stream("Market/fails", [2])) items.push(item);
    },
    { code: Code.FAILED_PRECONDITION, message: "no more" },
  );
  assert.deepEqual(items, [0, 1]);
});

test("leaving the loop ends the producer", async () => {
  const [, before] = await progress();
  for await (const item of market.count(1e9)) if (item === 10) break;
  await until(async () => (await progress())[1] === before + 1);
});

test("the producer is never further ahead of the loop than bufferSize", async () => {
  let taken = 0;
  for await (const item of market.count(1e9, 0, { bufferSize: 16 })) {
    taken += 1;
    assert.equal(item, taken - 1);
    if (taken % 25 !== 0) continue;
    await until(async () => (await progress())[0] >= taken + 7); // credit comes after half a window
    const [made] = await progress();
    assert(made <= taken + 16 + 1, `${made} made, ${taken} taken`); // the producer makes one more, and waits
    if (taken === 100) break;
  }
});

test("the producer is never further ahead than bufferBytes", async () => {
  for await (const _ of market.count(1e9, 1000, { bufferBytes: 3_000 })) {
    const made = async () => (await progress())[0];
    let last = -1;
    await until(async () => last === (last = await made()) && last > 1);
    assert(last <= 1_002 + 3, `${last} made of three bytes each`);
    break;
  }
});

test("requests are asked for when credit allows to send them, and no sooner", async () => {
  let asked = 0;
  function* numbers() {
    for (;;) yield asked++;
  }
  const stream = peer.stream("Market/stuck", [], { requests: numbers(), bufferSize: 8 });
  const first = stream.next();
  await until(() => asked >= 8);
  await peer.call("Market/progress");
  assert.equal(asked, 8);
  stream.cancel();
  await assert.rejects(first, Cancelled);
});

test("a callee that has seen enough stops the requests, and their generator is closed", async () => {
  let isClosed = false;
  async function* numbers() {
    try {
      for (let number = 0; ; number++) yield number;
    } finally {
      isClosed = true;
    }
  }
  assert.deepEqual(await peer.call("Market/some", [3], { requests: numbers() }), [0, 1, 2]);
  await until(() => isClosed);
});

test("requests that fail give the call up, and the caller gets their error", async () => {
  async function* numbers() {
    yield 1;
    throw new RangeError("no more numbers");
  }
  await assert.rejects(peer.call("Market/total", [], { requests: numbers() }), RangeError);
});

test("requests come from a ReadableStream, and results go to one", async () => {
  const numbers = new ReadableStream<number>({
    start(controller) {
      for (const number of [1, 2, 3]) controller.enqueue(number);
      controller.close();
    },
  });
  assert.equal(await market.total(numbers), 6);
  const reader = market.count(2).readable().getReader();
  assert.deepEqual(await reader.read(), { value: 0, done: false });
  assert.deepEqual(await reader.read(), { value: 1, done: false });
  assert.deepEqual(await reader.read(), { value: undefined, done: true });
});

test("the reader of a ReadableStream sets the pace, and its cancel ends the producer", async () => {
  const [, before] = await progress();
  const reader = market.count(1e9, 0, { bufferSize: 4 }).readable().getReader();
  await reader.read();
  await until(async () => (await progress())[0] >= 4);
  assert((await progress())[0] <= 6);
  await reader.cancel();
  await until(async () => (await progress())[1] === before + 1);
});

test("a signal gives a call up: the caller gets Cancelled with its reason", async () => {
  const controller = new AbortController();
  const call = peer.call("Market/forever", [], { signal: controller.signal });
  setImmediate(() => controller.abort("enough"));
  await assert.rejects(call, (error: Cancelled) => error instanceof Cancelled && error.cause === "enough");
  await assert.rejects(peer.call("Market/forever", [], { signal: controller.signal }), Cancelled);
});

test("a signal gives a stream up, and its producer", async () => {
  const [, before] = await progress();
  const controller = new AbortController();
  await assert.rejects(async () => {
    for await (const item of market.count(1e9, 0, { signal: controller.signal })) if (item === 3) controller.abort();
  }, Cancelled);
  await until(async () => (await progress())[1] === before + 1);
});

test("a deadline that passes ends a call with its code", async () => {
  await assert.rejects(peer.call("Market/forever", [], { deadlineMs: 30 }), { code: Code.DEADLINE_EXCEEDED });
});

test("what cannot travel is an error of its call alone", async () => {
  await assert.rejects(peer.call("Market/echo", [() => 1]), TypeError);
  await assert.rejects(peer.call("Market/total", [], { requests: [Symbol() as unknown] }), TypeError);
  assert.equal(await market.quote("ACME"), 101.51);
});

test("a thousand calls and a stream at the same time", async () => {
  const calls = Array.from({ length: 1000 }, (_, number) => peer.call("Market/echo", [number]));
  const items = collected(market.count(20_000));
  assert.deepEqual(await Promise.all(calls), Array.from({ length: 1000 }, (_, number) => number));
  assert.equal((await items).length, 20_000);
});

test("without a server, connect rejects with ConnectionLost", async () => {
  await assert.rejects(connect("tcp://127.0.0.1:1"), ConnectionLost);
});

test("a closed peer ends its calls, and takes no more", async () => {
  const other = await connect(server.url);
  const call = other.call("Market/forever");
  other.close();
  await assert.rejects(call, Cancelled);
  await assert.rejects(other.call("Market/progress"), Cancelled);
  assert.equal(other.state, "closed");
});
