import assert from "node:assert/strict";
import { test } from "node:test";
import { accept } from "../src/core/callee.ts";
import { Connection } from "../src/core/connection.ts";
import type { Event } from "../src/core/events.ts";
import { DEFAULTS, type Settings } from "../src/core/settings.ts";
import type { Stream } from "../src/core/stream.ts";
import { deflate } from "../src/transports/deflate.ts";
import { load, readAll, unhex, type VectorFrame } from "./vectors.ts";

type Part = string | { repeat: string; times: number };
type Step = { receive?: Part[]; open?: number; accept?: number };
type Outcome = { rule?: string; status?: number; ignored?: true };
type Case = { name: string; receiver: "client" | "server"; greeted: boolean; before: Step[]; data: Part[]; outcome: Outcome };

const { limits, cases } = load<{ limits: Partial<Settings>; cases: Case[] }>("bad_inputs.json");
const WINDOW = { items: 10, bytes: 1000, fixed: true };

const bytesOf = (parts: Part[]): Uint8Array =>
  unhex(parts.map((part) => (typeof part === "string" ? part : part.repeat.repeat(part.times))).join(""));

class Side {
  readonly connection: Connection;
  readonly events: Event[] = [];
  readonly streams = new Map<number, Stream>();

  constructor(role: "client" | "server") {
    this.connection = new Connection({ ...DEFAULTS, ...limits, role, decompress: { deflate } });
    this.connection.beginLink();
  }

  take(bytes: Uint8Array): void {
    for (const event of this.connection.receive(bytes)) {
      this.events.push(event);
      if (event.type === "Opened") this.streams.set(event.stream.id, event.stream);
    }
  }

  written(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let part = this.connection.output(65_536); part !== undefined; part = this.connection.output(65_536)) parts.push(part);
    return new Uint8Array(Buffer.concat(parts));
  }

  do(step: Step): void {
    if (step.receive) this.take(bytesOf(step.receive));
    if (step.open !== undefined)
      this.connection.open({
        target: "S/m",
        kind: step.open,
        argument: null,
        metadata: {},
        deadlineMs: () => null,
        priority: 1,
        window: { ...WINDOW },
        wish: undefined,
      });
    if (step.accept !== undefined) accept(this.connection, this.streams.get(step.accept) as Stream, { ...WINDOW });
    this.written();
  }
}

function prepared({ receiver, greeted, before }: Case): Side {
  const side = new Side(receiver);
  const other = new Side(receiver === "client" ? "server" : "client");
  side.written();
  if (greeted) side.take(other.written());
  for (const step of before) side.do(step);
  assert(!side.connection.isOver, "what came before was fine");
  return side;
}

function judge(side: Side, { outcome }: Case, frames: VectorFrame[]): void {
  const violated = side.events.find((event) => event.type === "Violated");
  const goaway = frames.find(({ type }) => type === "GOAWAY");
  if (outcome.rule !== undefined) {
    assert.equal(violated?.violation.rule, outcome.rule, violated?.violation.message);
    assert.equal(goaway?.body.code, 13);
    assert.match(goaway?.body.message as string, new RegExp(`^PROTOCOL.md rule ${outcome.rule}: `));
    return;
  }
  assert.equal(violated, undefined);
  assert(!side.connection.isOver);
  const status = frames.find(({ type }) => type === "STATUS");
  assert.equal(status?.body.code, outcome.status);
  if (status) assert.equal(status.body.started, false);
}

for (const each of cases) {
  const expected = each.outcome.rule ?? (each.outcome.status ? `status ${each.outcome.status}` : "ignored");
  test(`bad_inputs.json: ${each.name}: ${expected}`, () => {
    const side = prepared(each);
    side.take(bytesOf(each.data));
    judge(side, each, readAll(side.written()));
  });
  test(`bad_inputs.json: ${each.name}: the same, a byte at a time (1.6)`, () => {
    const side = prepared(each);
    for (const byte of bytesOf(each.data)) side.take(Uint8Array.of(byte));
    judge(side, each, readAll(side.written()));
  });
}
