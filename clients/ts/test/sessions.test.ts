/** Whole conversations of `vectors/sessions/`: this implementation plays one side, the bytes of the vector are the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { accept, drain, halfClose, stopRequests } from "../src/core/callee.ts";
import { Connection } from "../src/core/connection.ts";
import type { Event } from "../src/core/events.ts";
import { type Cancel, HELLO, type Hello, type Open, writeFrame } from "../src/core/frames.ts";
import { decode, encode } from "../src/core/msgpack/index.ts";
import { DEFAULTS } from "../src/core/settings.ts";
import type { Stream } from "../src/core/stream.ts";
import { load, plain, readAll, rich, sessions, unhex, type VectorFrame } from "./vectors.ts";

type Role = "client" | "server";
interface Step {
  from: Role;
  what: string;
  hex: string;
  frames: VectorFrame[];
  events: Record<string, unknown>[];
  lost?: true;
}

/** What a server does for a resume is not part of this client. */
const ofServers = (event: Record<string, unknown>) => ["ResumeAsked", "Confirmed"].includes(event.event as string);

/** The fields of all bodies that a command needs. */
interface Said {
  credentials: string;
  credit_items: number;
  credit_bytes: number;
  payload: Uint8Array;
  consumed: number;
  items: number;
  bytes: number;
  reason: string;
  code: number;
  details: unknown;
  number: number;
  message: string;
}

class Player {
  readonly connection: Connection;
  readonly #streams = new Map<number, Stream>();

  constructor(role: Role, hello: Hello) {
    const { agent, keep_ms, instance, max_frame_bytes, max_item_bytes, max_header_bytes, max_streams } = hello;
    const limits = { max_frame_bytes, max_item_bytes, max_header_bytes, max_streams };
    this.connection = new Connection({
      ...DEFAULTS,
      ...limits,
      role,
      agent,
      keep_ms,
      instance,
      decompress: { deflate: (data) => data },
    });
  }

  take(bytes: Uint8Array): Event[] {
    const events = this.connection.receive(bytes);
    for (const event of events) if (event.type === "Opened") this.#streams.set(event.stream.id, event.stream);
    return events;
  }

  written(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let part = this.connection.output(65_536); part !== undefined; part = this.connection.output(65_536)) parts.push(part);
    return new Uint8Array(Buffer.concat(parts));
  }

  /** Give the command that leads to a frame. */
  do({ type, flags, stream: id, body }: VectorFrame): void {
    const { connection } = this;
    const stream = this.#streams.get(id) as Stream;
    const said = rich(body) as Said;
    switch (type) {
      case "HELLO":
        connection.credentials = said.credentials;
        return connection.isClient ? connection.beginLink() : undefined; // a server has begun when it was connected to
      case "OPEN":
        this.#streams.set(id, connection.open(openingOf(said as unknown as Open)));
        return undefined;
      case "ACCEPT":
        return accept(connection, stream, { items: said.credit_items, bytes: said.credit_bytes, fixed: true }, said.payload);
      case "ITEMS":
        for (const item of decode(said.payload) as unknown[]) assert(connection.send(stream, item));
        if (!flags.includes("LAST")) return undefined;
        return stream.isOurs ? connection.end(stream) : connection.answer(stream, { code: 0 });
      case "CREDIT":
        assert(this.#consume(stream, said.consumed, said.items, said.bytes), "credit is due");
        return undefined;
      case "END":
        if (said.reason !== null) return connection.close(stream, said.reason);
        return stream.isOurs ? connection.end(stream) : halfClose(connection, stream);
      case "STATUS":
        return connection.answer(stream, { ...(said as object), code: said.code, details: encode(said.details) });
      case "CANCEL":
        return stream.isOurs
          ? connection.cancel(stream, said as unknown as Cancel)
          : stopRequests(connection, stream, said as unknown as Cancel);
      case "PING":
        return connection.ping(said.number);
      case "GOAWAY":
        return drain(connection, said.message);
      default:
        return undefined; // PONG and ACK come by themselves
    }
  }

  /** Consume up to `consumed` items; their bytes follow from the window that is granted. */
  #consume(stream: Stream, consumed: number, items: number, bytes: number): boolean {
    const ledger = stream.receiving;
    assert(ledger);
    assert.equal(ledger.grantedItems - ledger.consumedItems, items - consumed, "the window stays");
    const window = ledger.grantedBytes - ledger.consumedBytes;
    return this.connection.consume(stream, consumed - ledger.consumedItems, bytes - window - ledger.consumedBytes);
  }
}

const openingOf = ({ target, kind, argument, metadata, priority, ...open }: Open) => ({
  ...{ target, kind, argument, metadata, priority },
  deadlineMs: () => open.deadline_ms,
  window: { items: open.credit_items, bytes: open.credit_bytes, fixed: true },
  wish: open.wish_items ? { items: open.wish_items, bytes: open.wish_bytes, fixed: true } : undefined,
});

/** An event in the words of the vectors. */
function told(event: Event): Record<string, unknown> {
  const { type } = event;
  if (type === "Gone") return { event: "Failed", message: event.goaway.message, code: event.goaway.code };
  if (type === "ItemsArrived" || type === "Opened" || type === "RoomMade") return { event: type, stream: event.stream.id };
  const { stream, ...rest } = { stream: undefined, ...event };
  return plain({
    event: type,
    ...rest,
    type: undefined,
    ...(stream === undefined ? {} : { stream: (stream as Stream).id }),
  }) as never;
}

const shown = (events: Record<string, unknown>[]): Record<string, unknown>[] => JSON.parse(JSON.stringify(events));

/** An answer that an implementation gives by itself; its words are its own. */
const isRefusal = ({ type, body }: VectorFrame): boolean => type === "STATUS" && body.started === false;

const quiet = (event: Record<string, unknown>): unknown => {
  const status = event.status as { started: boolean } | null | undefined;
  return status?.started === false ? { ...event, status: { ...status, message: "" } } : event;
};

const withoutWords = (frame: VectorFrame): VectorFrame =>
  isRefusal(frame) ? { ...frame, body: { ...frame.body, message: "" } } : frame;

const withoutItems = ({ body: { items, ...body }, ...frame }: VectorFrame): VectorFrame =>
  withoutWords({ ...frame, body: frame.type === "ITEMS" ? body : { ...body, ...(items === undefined ? {} : { items }) } });

function play(role: Role, steps: Step[]): void {
  const first = steps.find((step) => step.from === role) as Step;
  const hello = rich(first.frames[0]?.body) as Hello;
  const player = new Player(role, hello);
  if (role === "server") player.connection.beginLink();
  else if (hello.token.length > 0) remember(player, hello);
  for (const [index, step] of steps.entries()) {
    const place = `${step.from} ${step.what}`;
    const goaway = steps[index + 1]?.frames.find(({ type }) => type === "GOAWAY");
    if (goaway !== undefined && role === "server") player.do(goaway); // it drains before what crosses its GOAWAY arrives
    if (step.from !== role) {
      const events = step.lost ? [] : player.take(unhex(step.hex));
      const expected = step.events.filter((event) => !ofServers(event));
      assert.deepEqual(shown(events.filter(({ type }) => type !== "Refused").map(told)).map(quiet), expected.map(quiet), place);
      continue;
    }
    const isAutomatic = step.what.startsWith("acknowledges");
    for (const frame of step.frames) if (!isAutomatic && !isRefusal(frame) && frame.type !== "GOAWAY") player.do(frame);
    assert.deepEqual(readAll(player.written()).map(withoutItems), step.frames.map(withoutItems), place);
  }
}

/** Let a client have had the session that it asks for in its first HELLO. */
function remember({ connection }: Player, { token, received }: Hello): void {
  connection.beginLink();
  connection.output(65_536);
  const before = { magic: "penstock", version: 1, agent: "", compressions: [], keep_ms: 1, token, instance: token };
  const limits = { max_frame_bytes: 16_384, max_item_bytes: 1024, max_header_bytes: 1024, max_streams: 1 };
  connection.receive(writeFrame(HELLO, 0, { ...before, ...limits }));
  connection.received = received;
}

for (const name of sessions()) {
  const { steps } = load<{ steps: Step[] }>(`sessions/${name}`);
  test(`sessions/${name}: as the client`, () => play("client", steps));
  if (!/^(resume|proven|refused)/.test(name)) test(`sessions/${name}: as the server`, () => play("server", steps));
}
