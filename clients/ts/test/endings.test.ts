/** What a callee says at the end of a call, and a server at the beginning of a link. The server here is the core, in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectWith } from "../src/connect.ts";
import { accept, halfClose } from "../src/core/callee.ts";
import { Connection } from "../src/core/connection.ts";
import type { Event } from "../src/core/events.ts";
import { HELLO, LAST, type Hello, PING, RESUMED, writeFrame, writeItems } from "../src/core/frames.ts";
import { encode } from "../src/core/msgpack/index.ts";
import { Sequence } from "../src/core/sequence.ts";
import { DEFAULTS } from "../src/core/settings.ts";
import type { Stream } from "../src/core/stream.ts";
import { CallFailed, Code, type Peer } from "../src/index.ts";
import type { Transport } from "../src/transports/transport.ts";
import { readAll } from "./vectors.ts";

type Step = (server: Connection, stream: Stream) => void;

/** A peer whose server answers each call by these steps; what each of them says leaves before the next one. */
async function peerOf(...steps: Step[]): Promise<Peer> {
  const server = new Connection({ ...DEFAULTS, role: "server" });
  const transport: Transport = {
    async dial(_url, receiver) {
      const flush = (): void => {
        for (let out = server.output(65_536); out !== undefined; out = server.output(65_536)) receiver.received(out);
      };
      const write = (bytes: Uint8Array): void => {
        const opened = server.receive(bytes).filter((event) => event.type === "Opened");
        flush();
        for (const { stream } of opened)
          for (const step of steps) {
            step(server, stream);
            flush();
          }
      };
      server.beginLink();
      queueMicrotask(flush);
      return { unsent: 0, write, close: () => {} };
    },
  };
  return connectWith({ "core:": transport }, {}, "core://here", { reconnect: false });
}

const accepted: Step = (server, stream) => accept(server, stream, { items: 1, bytes: 1, fixed: true });

test("an error behind the END of a stream is its outcome, after the items (6.10)", async () => {
  const peer = await peerOf(
    accepted,
    (server, stream) => server.send(stream, 1),
    (server, stream) => halfClose(server, stream),
    (server, stream) => server.answer(stream, { code: Code.ABORTED, reason: "aborted", message: "all for nothing" }),
  );
  const items: unknown[] = [];
  const reading = async (): Promise<void> => {
    for await (const item of peer.stream("S/m")) items.push(item);
  };
  await assert.rejects(reading, (error) => error instanceof CallFailed && error.message === "all for nothing");
  assert.deepEqual(items, [1]);
  await peer.close();
});

test("a normal end behind the END of a stream is its end (6.10)", async () => {
  const peer = await peerOf(
    accepted,
    (server, stream) => server.send(stream, 1),
    (server, stream) => halfClose(server, stream),
    (server, stream) => server.answer(stream, { code: 0 }),
  );
  const items: unknown[] = [];
  for await (const item of peer.stream("S/m")) items.push(item);
  assert.deepEqual(items, [1]);
  await peer.close();
});

test("a batch that is sent again is ignored, with its flags and in any state (4.3)", () => {
  const [client, server] = [new Connection(DEFAULTS), new Connection({ ...DEFAULTS, role: "server" })];
  for (const each of [client, server]) each.beginLink();
  const carry = (from: Connection, to: Connection): Event[] => {
    const events: Event[] = [];
    for (let out = from.output(65_536); out !== undefined; out = from.output(65_536)) events.push(...to.receive(out));
    return events;
  };
  carry(client, server);
  carry(server, client);
  const window = { items: 9, bytes: 9_999, fixed: true };
  const ours = client.open({
    ...{ target: "S/m", kind: 3, argument: encode([]), metadata: {}, priority: 1 },
    deadlineMs: () => null,
    window,
    wish: undefined,
  });
  const [opened] = carry(client, server);
  assert(opened?.type === "Opened");
  accept(server, opened.stream, window);
  carry(server, client);
  const batch = (offset: number, items: number[], flags = 0): Event[] =>
    server.receive(writeItems(ours.id, { offset, count: items.length, payload: payloadOf(items) }, flags));
  assert.deepEqual(
    [...batch(0, [1, 2]), ...batch(0, [1, 2], LAST), ...batch(1, [2], LAST)].map(({ type }) => type),
    ["ItemsArrived"],
  );
  assert.equal(opened.stream.theirState, "open");
  assert.deepEqual(
    [...batch(2, [3], LAST), ...batch(2, [3], LAST), ...batch(0, [1])].map(({ type }) => type),
    ["ItemsArrived", "Ended"],
  );
  assert.deepEqual(
    batch(3, [4]).map((event) => event.type === "Violated" && event.violation.rule),
    ["3.4"],
  );
});

/** An `array 32` of small numbers (4.8). */
const payloadOf = (items: number[]): Uint8Array => Uint8Array.of(0xdd, 0, 0, 0, items.length, ...items);

test("a server that tells a position that cannot be breaks rule 9.3", () => {
  for (const position of [39, 101]) {
    const sequence = new Sequence();
    sequence.keeps = true;
    sequence.append(new Uint8Array(100));
    sequence.next();
    sequence.acknowledge(40);
    assert.throws(() => sequence.rewind(position), /9\.3/);
    sequence.rewind(40);
    assert.equal(sequence.next()?.length, 60);
  }
});

test("a client that has much to acknowledge does so when its session goes on, and not before RESUMED (9.3, 9.4)", () => {
  const client = new Connection({ ...DEFAULTS, role: "client", keep_ms: 1000 });
  const server = new Connection({ ...DEFAULTS, role: "server", keep_ms: 1000 });
  server.beginLink();
  const [said] = readAll(server.output(65_536) as Uint8Array);
  const token = Uint8Array.of(1, 2, 3);
  const hello = writeFrame(HELLO, 0, { ...(said?.body as unknown as Hello), instance: token, token });
  const written = (): string[] => {
    const types: string[] = [];
    for (let out = client.output(65_536); out !== undefined; out = client.output(65_536))
      types.push(...readAll(out).map(({ type }) => type));
    return types;
  };
  client.beginLink();
  client.receive(hello);
  written();
  client.received = 300_000;
  client.beginLink();
  assert.deepEqual(written(), ["HELLO"]);
  client.receive(hello);
  client.receive(writeFrame(PING, 0, { number: 1 }));
  assert.deepEqual(written(), ["PONG"]);
  client.receive(writeFrame(RESUMED, 0, { code: 0, received: 0, message: "" }));
  assert.deepEqual(written(), ["ACK"]);
});
