/** Properties of the core, for all inputs that fast-check finds. `FC_SEED` repeats a run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { accept } from "../src/core/callee.ts";
import { Connection } from "../src/core/connection.ts";
import { Decoder } from "../src/core/decoder.ts";
import type { Event } from "../src/core/events.ts";
import { PING, writeFrame } from "../src/core/frames.ts";
import { ReceiveLedger } from "../src/core/ledgers.ts";
import { decode, encode, Reader, Writer } from "../src/core/msgpack/index.ts";
import { Sequence } from "../src/core/sequence.ts";
import { DEFAULTS } from "../src/core/settings.ts";
import type { Stream } from "../src/core/stream.ts";
import { hex, load, unhex } from "./vectors.ts";

const seed = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };
const runs = (numRuns: number): object => ({ numRuns, ...seed });

const joined = (parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** Cut bytes at random places. */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((start, index) => bytes.subarray(start, sorted[index] ?? bytes.length));
}

const scalar = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.maxSafeInteger(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array(),
  fc.date({ noInvalidDate: true, min: new Date(-1e15), max: new Date(1e15) }),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, scalar, fc.array(tie("value")), fc.dictionary(fc.string(), tie("value"))),
}));

test("a value is the same after its journey in msgpack", () => {
  const property = fc.property(value, (given) => {
    assert.deepEqual(normal(decode(encode(given))), normal(given));
  });
  fc.assert(property, runs(500));
});

/** Objects that fast-check makes have no prototype. */
function normal(given: unknown): unknown {
  if (given instanceof Uint8Array) return [...given];
  if (Array.isArray(given)) return given.map(normal);
  if (typeof given !== "object" || given === null || given instanceof Date) return given;
  return Object.entries(given).map(([key, each]) => [key, normal(each)]);
}

test("skipping a value is as reading it, and reads no byte of the next", () => {
  const property = fc.property(value, value, (first, second) => {
    const writer = new Writer();
    writer.value(first);
    const length = writer.length;
    writer.value(second);
    const reader = new Reader(writer.take());
    reader.skip();
    assert.equal(reader.at, length);
  });
  fc.assert(property, runs(300));
});

test("bytes at random are a value, or BadBytes", () => {
  const property = fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    try {
      decode(bytes);
    } catch (error) {
      assert.equal((error as Error).name, "BadBytes");
    }
  });
  fc.assert(property, runs(1000));
});

type Written = { name: string; msgpack: string; json: string };
const { values, arguments: all } = load<{ values: Written[]; arguments: Written[] }>("values.json");
for (const { name, msgpack } of [...values, ...all])
  test(`values.json: ${name} is read, and written as it was`, () => {
    assert.equal(hex(encode(decode(unhex(msgpack)))), msgpack);
  });

test("frames are the same, however their bytes are cut (1.6)", () => {
  const property = fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 20 }), fc.array(fc.nat()), (numbers, places) => {
    const bytes = joined(numbers.map((number) => writeFrame(PING, 0, { number })));
    const decoder = new Decoder();
    const found: string[] = [];
    for (const part of cut(bytes, places)) {
      decoder.push(part);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) found.push(hex(frame.body));
    }
    assert.deepEqual(
      found,
      numbers.map((number) => hex(writeFrame(PING, 0, { number })).slice(28)),
    );
  });
  fc.assert(property, runs(300));
});

const move = fc.oneof(
  fc.record({ do: fc.constant("append" as const), size: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ do: fc.constant("write" as const) }),
  fc.record({ do: fc.constant("acknowledge" as const) }),
  fc.record({ do: fc.constant("cut" as const), lost: fc.nat(60) }),
);

test("over any cuts a sequence arrives whole, in order, and once (9.2)", () => {
  const property = fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
    const sequence = new Sequence();
    sequence.keeps = true;
    const sent: number[] = [];
    let arrived: number[] = [];
    let acknowledged = 0;
    for (const each of moves) {
      if (each.do === "append") {
        const bytes = Uint8Array.from({ length: each.size }, (_, index) => (sent.length + index) % 251);
        sent.push(...bytes);
        sequence.append(bytes);
      } else if (each.do === "write") arrived.push(...(sequence.next() ?? []));
      else if (each.do === "acknowledge") sequence.acknowledge((acknowledged = arrived.length));
      else {
        arrived = arrived.slice(0, Math.max(acknowledged, arrived.length - each.lost));
        sequence.rewind((acknowledged = arrived.length));
      }
    }
    for (let bytes = sequence.next(); bytes !== undefined; bytes = sequence.next()) arrived.push(...bytes);
    assert.deepEqual(arrived, sent);
    sequence.acknowledge(arrived.length);
    assert.equal(sequence.kept, 0);
  });
  fc.assert(property, runs(500));
});

/** A client that sends to a server, with all that is between them. */
class Pair {
  readonly client = new Connection({ ...DEFAULTS, role: "client", max_frame_bytes: 16_384 });
  readonly server = new Connection({ ...DEFAULTS, role: "server", max_frame_bytes: 16_384 });
  readonly stream: Stream;
  far: Stream | undefined;
  readonly received: number[] = [];
  hasEnded = false;
  #held: { count: number; bytes: number }[] = [];

  constructor(items: number, bytes: number) {
    this.client.beginLink();
    this.server.beginLink();
    this.stream = this.client.open({
      target: "S/m",
      kind: 1,
      argument: null,
      metadata: {},
      deadlineMs: () => null,
      priority: 1,
      window: { items: 1, bytes: 1000, fixed: true },
      wish: undefined,
    });
    this.exchange([]); // HELLO, before which nothing else is said
    this.exchange([]);
    assert(this.far);
    accept(this.server, this.far, { items, bytes, fixed: true });
    this.exchange([]);
  }

  exchange(places: number[]): void {
    for (const [from, to] of [
      [this.client, this.server],
      [this.server, this.client],
    ] as const)
      for (const part of cut(written(from), places)) for (const event of to.receive(part)) this.#handle(event);
  }

  #handle(event: Event): void {
    assert.notEqual(event.type, "Violated", JSON.stringify(event));
    if (event.type === "Opened") this.far = event.stream;
    if (event.type === "Ended") this.hasEnded = true;
    if (event.type !== "ItemsArrived") return;
    this.received.push(...(decode(event.payload) as Uint8Array[]).map((item) => item.length));
    this.#held.push({ count: event.count, bytes: event.payload.length });
  }

  consume(): void {
    const batch = this.#held.shift();
    if (batch !== undefined && this.far !== undefined) this.server.consume(this.far, batch.count, batch.bytes);
  }
}

function written(connection: Connection): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let part = connection.output(10_000); part !== undefined; part = connection.output(10_000)) parts.push(part);
  return joined(parts);
}

const step = fc.oneof(
  fc.record({ do: fc.constant("send" as const), size: fc.integer({ min: 0, max: 40_000 }) }),
  fc.record({ do: fc.constant("send" as const), size: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ do: fc.constant("consume" as const) }),
  fc.record({ do: fc.constant("exchange" as const), places: fc.array(fc.nat(), { maxLength: 5 }) }),
);

test("what arrives is what was sent, within the credit, and a consumer that keeps on gets all of it (section 5)", () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 50_000 }),
    fc.array(step),
    (items, bytes, steps) => {
      const pair = new Pair(items, bytes);
      const sent: number[] = [];
      let consumed = 0;
      const { sending } = pair.stream;
      const largest = 40_000 + 10;
      const check = (): void => {
        assert.deepEqual(pair.received, sent.slice(0, pair.received.length));
        assert(sending.items <= sending.creditItems);
        assert(sending.bytes < sending.creditBytes + largest);
        assert(pair.received.length - consumed <= items + sent.length);
      };
      for (const each of steps) {
        if (each.do === "send") {
          assert(pair.client.send(pair.stream, new Uint8Array(each.size)));
          sent.push(each.size);
        } else if (each.do === "consume") pair.consume();
        else pair.exchange(each.places);
        consumed = pair.far?.receiving?.consumedItems ?? 0;
        check();
      }
      pair.client.end(pair.stream);
      for (let round = 0; round < sent.length * 2 + 2 && !pair.hasEnded; round++) {
        pair.exchange([]);
        pair.consume();
      }
      assert(pair.hasEnded, "the sender waits for credit that never comes");
      assert.deepEqual(pair.received, sent);
    },
  );
  fc.assert(property, runs(200));
});

test("a consumer that has taken all, and waits, leaves its sender with credit, however its window grows (5.6, 5.7)", () => {
  const arrivals = fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 400 })), { maxLength: 80 });
  fc.assert(
    fc.property(arrivals, fc.integer({ min: 1, max: 256 }), fc.integer({ min: 0, max: 4 }), (batches, items, idleWaits) => {
      const ledger = new ReceiveLedger({ items, bytes: 1_000, fixed: false });
      const credit = { items, bytes: 1_000 };
      const tell = () => Object.assign(credit, ledger.credit());
      for (const [wanted, size] of batches) {
        const count = Math.min(wanted, credit.items - ledger.items);
        ledger.arrived(count, count * size);
        for (let taken = 0; taken < count; taken++) if (ledger.consume(1, size)) tell();
        for (let waits = 0; waits <= idleWaits; waits++) if (ledger.waits(Infinity, Infinity)) tell();
        assert(credit.items > ledger.items && credit.bytes > ledger.bytes, JSON.stringify([credit, ledger]));
      }
    }),
    runs(500),
  );
});

test("a peer that asks without end and does not read is cut off (10.5)", () => {
  const client = new Connection({ ...DEFAULTS });
  const server = new Connection({ ...DEFAULTS, role: "server" });
  client.beginLink();
  server.beginLink();
  client.receive(written(server));
  const events = Array.from({ length: 40_000 }, (_, number) => client.receive(writeFrame(PING, 0, { number }))).flat();
  assert.deepEqual(
    events.map((event) => event.type === "Violated" && event.violation.rule),
    ["10.5"],
  );
});
